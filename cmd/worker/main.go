// Command worker carries out the revocations that the API accepted and sends their emails. Any number of
// them work side by side on one PostgreSQL and one Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"

	"rescind/internal/app"
	"rescind/internal/config"
	"rescind/internal/mail"
	"rescind/internal/postgres"
	"rescind/internal/queue"
	"rescind/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// run works until ctx ends; with the argument healthcheck it only asks the worker beside it whether it is ready, for a
// container's health check. A database or a Redis that is away is told at /readyz and waited for; tables
// that are missing end the start.
func run(ctx context.Context, args []string, stderr io.Writer) (err error) {
	switch {
	case slices.Equal(args, []string{"healthcheck"}):
		addr, err := config.AdminAddr(os.Environ())
		if err != nil {
			return err
		}
		return app.Healthcheck(ctx, addr)
	case len(args) > 0:
		return errors.New("takes no arguments but healthcheck; its settings are environment variables, see README.md")
	}
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
		Upstream: settings.Upstream, Retention: settings.RetentionPeriod(), Instruments: instruments, Log: log,
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
