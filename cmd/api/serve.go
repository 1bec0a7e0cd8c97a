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
	"rescind/internal/postgres"
	"rescind/internal/queue"
	"rescind/internal/standalone"
	"rescind/internal/telemetry"
)

type serveCommand struct{}

// Run serves the API until the process is told to stop. A database or a Redis that is away is told at
// /readyz and waited for; tables that are missing end the start.
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
		JobMaxItems: settings.JobMaxItems, Instruments: instruments, Log: p.log,
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

// Run ends well when the process beside it is ready.
func (c *healthCommand) Run(p *process) error {
	addr, err := config.AdminAddr(os.Environ())
	if err != nil {
		return err
	}
	return app.Healthcheck(p.ctx, addr)
}

type standaloneCommand struct {
	Addr string `placeholder:"HOST:PORT" help:"Where to listen; 127.0.0.1:8080 unless HTTP_ADDR says otherwise."`
	Data string `default:"./rescind-data" placeholder:"DIR" help:"The directory that holds everything (default: ${default})."`
	Demo bool   `help:"Load an account, its key and sample invites, and print what to try. Listens on this machine alone; the key works only while this is given."`
}

// Run works in one process until it is told to stop.
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
	log := slog.New(telemetry.Sampled(slog.NewTextHandler(p.stderr, nil))) // somebody sits before it
	queue.LogRedis(log)
	return standalone.Run(p.ctx, standalone.Options{
		Dir: c.Data, Demo: c.Demo, Settings: settings, Listener: listener, Admin: admin, Log: log,
		Ready: func() { c.greet(p, listener.Addr().String(), settings) },
	})
}

// greet tells the address, and with --demo what to try: lines that work as they stand.
func (c *standaloneCommand) greet(p *process, addr string, settings config.Standalone) {
	url := "http://" + addr
	tell := func(format string, args ...any) { _, _ = fmt.Fprintf(p.stdout, format+"\n", args...) }
	tell("rescind is ready at %s", url)
	if !c.Demo {
		return
	}
	revoke := func(report int, notify bool) {
		tell("  curl -sS %s/assessments/invite/revoke -H 'apiKey: %s' \\\n"+
			"    -H 'Content-Type: application/json' -d '{\"report_id\": %d, \"notify_candidate\": %v}'",
			url, standalone.DemoKey, report, notify)
	}
	tell("\nThe account %q has invites %d to %d. Try:\n", standalone.DemoAccount,
		standalone.DemoTooOld, standalone.DemoRevocable+standalone.DemoInvites-1)
	tell("Revoke an invite and tell the candidate (the same again answers ALREADY_REVOKED):")
	revoke(standalone.DemoRevocable, true)
	tell("One that was sent before the account's plan changed:")
	revoke(standalone.DemoTooOld, false)
	tell("What was asked and what became of it:")
	tell("  curl -sS %s/revocations -H 'apiKey: %s'", url, standalone.DemoKey)
	if settings.SMTPURL == "" {
		tell("The emails:\n  ls %s/%s", c.Data, standalone.MailDirectory)
	}
	tell("The reference: %s/docs\n", url)
}
