package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sync/errgroup"

	"rescind/internal/app"
	"rescind/internal/config"
	"rescind/internal/mail"
	"rescind/internal/postgres"
	"rescind/internal/queue"
	"rescind/internal/standalone"
	"rescind/internal/telemetry"
)

type serveCommand struct{}

// Run serves the API until p.ctx ends. While the database or Redis does not answer, it keeps trying and /readyz names the
// part that is missing. It returns an error at once when the database's tables are missing or of another version.
func (c *serveCommand) Run(p *process) (err error) {
	queue.LogRedis(p.log)
	app.RelaxGC()
	settings, err := config.LoadAPI(os.Environ())
	if err != nil {
		return err
	}
	tracing, err := telemetry.StartTracing(p.ctx, "rescind-api", p.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracing.Stop()) }()
	store, err := postgres.Open(p.ctx, settings.DatabaseURL, tracing.Queries()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.CheckSchema(p.ctx); errors.Is(err, postgres.ErrNotMigrated) {
		return err
	} else if err != nil {
		p.log.Warn("database is away: not ready until it is back", "error", err)
	}
	redis, err := queue.NewRedis(settings.RedisURL)
	if err != nil {
		return fmt.Errorf("REDIS_URL: %w", err)
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	emails, err := mail.NewExamples(settings.MailTemplates)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", settings.HTTPAddr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	admin, err := app.ListenAdmin(settings.AdminAddr, p.log)
	if err != nil {
		return err
	}
	instruments := app.NewInstruments(store, redis, tracing)
	server := app.NewAPI(app.APIOptions{
		Listener: listener, AllowedHosts: settings.AllowedHosts, TrustedProxies: settings.TrustedProxies,
		Store: store, Redis: redis, SubmitWait: settings.SubmitWait, RateLimit: settings.RateLimit,
		JobMaxItems: settings.JobMaxItems, Emails: emails, PreviewTTL: settings.PreviewTTL, Instruments: instruments, Log: p.log,
	})
	running, ctx := errgroup.WithContext(p.ctx)
	running.Go(func() error { return server.Run(ctx) })
	if admin != nil {
		running.Go(func() error {
			return app.Admin(ctx, app.AdminOptions{
				Listener: admin, AllowedHosts: settings.AllowedHosts, Health: server.Health(), Instruments: instruments, Log: p.log,
			})
		})
	}
	p.log.Info("serving", "addr", listener.Addr().String())
	return running.Wait()
}

type healthCommand struct{}

// Run returns nil when the process at ADMIN_ADDR is ready.
func (c *healthCommand) Run(p *process) error {
	addr, err := config.AdminAddr(os.Environ())
	if err != nil {
		return err
	}
	return app.Healthcheck(p.ctx, addr)
}

type standaloneCommand struct {
	Addr string `placeholder:"HOST:PORT" help:"The address to listen on; by default HTTP_ADDR, or 127.0.0.1:8080."`
	Data string `default:"./rescind-data" placeholder:"DIR" help:"The directory with all data (default: ${default})."`
	Demo bool   `help:"Load an account, its key and sample invites, and print commands to try. Requires a loopback address; the key works only with this flag."`
}

// Run runs an API and a worker in this process until p.ctx ends.
func (c *standaloneCommand) Run(p *process) error {
	settings, err := config.LoadStandalone(os.Environ())
	if err != nil {
		return err
	}
	addr := c.Addr
	if addr == "" {
		addr = settings.HTTPAddr
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen: %w; choose another address with --addr", err)
	}
	if c.Demo {
		if err := standalone.CheckDemo(listener.Addr()); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	admin, err := app.ListenAdmin(settings.AdminAddr, p.log)
	if err != nil {
		return err
	}
	app.RelaxGC()
	log := slog.New(telemetry.Sampled(slog.NewTextHandler(p.stderr, nil))) // for a person at a terminal
	queue.LogRedis(log)
	return standalone.Run(p.ctx, standalone.Options{
		Dir: c.Data, Demo: c.Demo, Settings: settings, Listener: listener, Admin: admin, Log: log,
		Ready: func() { c.greet(p, listener.Addr().String(), settings) },
	})
}

// greet prints the address, and with --demo commands that can be copied and run.
func (c *standaloneCommand) greet(p *process, addr string, settings config.Standalone) {
	url := "http://" + addr
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(p.stdout, format+"\n", args...) }
	say("rescind is ready at %s", url)
	if !c.Demo {
		return
	}
	revoke := func(report int, notify bool) {
		say("  curl -sS %s/assessments/invite/revoke -H 'apiKey: %s' \\\n"+
			"    -H 'Content-Type: application/json' -d '{\"report_id\": %d, \"notify_candidate\": %v}'",
			url, standalone.DemoKey, report, notify)
	}
	say("\nThe account %q has invites %d to %d. Try:\n", standalone.DemoAccount,
		standalone.DemoTooOld, standalone.DemoRevocable+standalone.DemoInvites-1)
	say("Revoke an invite and email the candidate (a second time answers ALREADY_REVOKED):")
	revoke(standalone.DemoRevocable, true)
	say("Revoke an invite that was sent before the account's plan changed:")
	revoke(standalone.DemoTooOld, false)
	say("List all revocations with their outcomes:")
	say("  curl -sS %s/revocations -H 'apiKey: %s'", url, standalone.DemoKey)
	if settings.SMTPURL == "" {
		say("The emails:\n  ls %s/%s", c.Data, standalone.MailDirectory)
	}
	say("The reference: %s/docs\n", url)
}
