// Command worker carries out the revocations that the API accepted and sends their emails. Any number of workers can
// share one PostgreSQL and one Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"rescind/internal/app"
	"rescind/internal/config"
	"rescind/internal/mail"
	"rescind/internal/postgres"
	"rescind/internal/queue"
	"rescind/internal/telemetry"
)

type commands struct {
	Work   workCommand   `cmd:"" default:"1" hidden:""`
	Health healthCommand `cmd:"" name:"healthcheck" help:"Ask the worker at ADMIN_ADDR whether it is ready; for a container's health check."`
}

const about = `Carries out the revocations that the API accepted and sends their emails.

Without a command it works until it receives SIGTERM. Its settings are environment variables: deploy/docs/settings.md lists them.`

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	exit := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exit)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exit := -1
	parser, err := kong.New(&commands{},
		kong.Name("worker"),
		kong.Description(about),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }))
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "worker:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // help was requested
		return exit
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "worker: %v\nSee: worker --help\n", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.BindTo(stderr, (*io.Writer)(nil))
	if err := command.Run(); err != nil {
		_, _ = fmt.Fprintln(stderr, "worker:", err)
		return exitFailed
	}
	return exitOK
}

type healthCommand struct{}

// Run returns nil when the worker at ADMIN_ADDR is ready.
func (healthCommand) Run(ctx context.Context) error {
	addr, err := config.AdminAddr(os.Environ())
	if err != nil {
		return err
	}
	return app.Healthcheck(ctx, addr)
}

type workCommand struct{}

// Run works until ctx ends. While the database or Redis does not answer, it keeps trying and /readyz names the part that
// is missing. It returns an error at once when the database's tables are missing or of another version.
func (workCommand) Run(ctx context.Context, stderr io.Writer) (err error) {
	log := slog.New(telemetry.Sampled(slog.NewJSONHandler(stderr, nil)))
	queue.LogRedis(log)
	app.RelaxGC()
	settings, err := config.LoadWorker(os.Environ())
	if err != nil {
		return err
	}
	mailer, err := mail.Open(mail.Options{
		URL: settings.SMTPURL, From: settings.MailFrom, Bounce: settings.MailBounce, Hello: settings.MailHelo,
		Templates: settings.MailTemplates,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mailer.Close()) }()
	tracing, err := telemetry.StartTracing(ctx, "rescind-worker", log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracing.Stop()) }()
	store, err := postgres.Open(ctx, settings.DatabaseURL, tracing.Queries()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.CheckSchema(ctx); errors.Is(err, postgres.ErrNotMigrated) {
		return err
	} else if err != nil {
		log.Warn("database is away: not ready until it is back", "error", err)
	}
	redis, err := queue.NewRedis(settings.RedisURL)
	if err != nil {
		return fmt.Errorf("REDIS_URL: %w", err)
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	admin, err := app.ListenAdmin(settings.AdminAddr, log)
	if err != nil {
		return err
	}
	instruments := app.NewInstruments(store, redis, tracing)
	worker, err := app.NewWorker(app.WorkerOptions{
		Store: store, Redis: redis, Mailer: mailer, MailRate: settings.MailRate,
		MailMaxAge: settings.MailMaxAge, Retry: settings.Retry,
		Upstream: settings.Upstream, PreviewTTL: settings.PreviewTTL, Retention: settings.Retention, Instruments: instruments, Log: log,
	})
	if err != nil {
		return err
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return worker.Run(ctx) })
	if admin != nil {
		running.Go(func() error {
			return app.Admin(ctx, app.AdminOptions{
				Listener: admin, AllowedHosts: settings.AllowedHosts, Health: worker.Health(), Instruments: instruments, Log: log,
			})
		})
	}
	log.Info("working")
	return running.Wait()
}
