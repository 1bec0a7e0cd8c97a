// Package standalone runs the API and a worker in one process, with a SQLite database, a Redis within the process, and
// emails that are written to files. All its data is in one directory.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"rescind/internal/app"
	"rescind/internal/config"
	"rescind/internal/mail"
	"rescind/internal/sqlite"
	"rescind/internal/telemetry"
)

const (
	// DatabaseFile is the name of the database within the directory.
	DatabaseFile = "rescind.db"
	// MailDirectory is the name of the directory for emails, within the directory, when SMTP_URL is not set.
	MailDirectory = "mail"

	lockFile = "lock"
)

// Options are the parts and settings of a standalone process.
type Options struct {
	// Dir is the directory with all data. Run creates it if it does not exist.
	Dir string
	// Demo adds an account with sample invites and a public key. It requires a Listener on loopback: see CheckDemo. Without
	// Demo the key is refused, even if it was added before.
	Demo     bool
	Settings config.Standalone
	// Listener accepts connections from API callers, Admin from operators. If Admin is nil, the operators' address is not
	// served.
	Listener net.Listener
	Admin    net.Listener
	Log      *slog.Logger
	// Ready is called once, when the process answers requests.
	Ready func()
}

// Run works until ctx ends. After any end, even a crash, another Run on the same directory continues the work.
func Run(ctx context.Context, o Options) (err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(o.Dir, lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	if secrets := &o.Settings.Secrets; secrets.SecretsKey == "" {
		if secrets.SecretsKey, err = SecretsKey(o.Dir); err != nil {
			return err
		}
	}
	store, err := sqlite.Open(ctx, filepath.Join(o.Dir, DatabaseFile))
	if err != nil {
		return fmt.Errorf("open the database in %s: %w", o.Dir, err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var service app.Store = withoutDemoKey{store}
	releaseStartMemory()
	if err := store.Resume(ctx); err != nil {
		return err
	}
	if o.Demo {
		if err := loadDemo(ctx, store); err != nil {
			return fmt.Errorf("load the sample data: %w", err)
		}
		service = store
	}
	mailer, err := openMailer(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mailer.Close()) }()
	emails, err := mail.NewExamples(o.Settings.MailTemplates)
	if err != nil {
		return err
	}
	redis := StartRedis()
	defer func() { err = errors.Join(err, redis.Close()) }()

	tracing, err := telemetry.StartTracing(ctx, "rescind", o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracing.Stop()) }()
	instruments := app.NewInstruments(store, redis.Client(), tracing)
	server := app.NewAPI(app.APIOptions{
		Listener: o.Listener, AllowedHosts: o.Settings.AllowedHosts, TrustedProxies: o.Settings.TrustedProxies,
		Store: service, Redis: redis.Client(), SubmitWait: o.Settings.SubmitWait, RateLimit: o.Settings.RateLimit,
		JobMaxItems: o.Settings.JobMaxItems, Emails: emails, PreviewTTL: o.Settings.PreviewTTL, Instruments: instruments, Log: o.Log,
	})
	worker, err := app.NewWorker(app.WorkerOptions{
		Store: store, Redis: redis.Client(), Mailer: mailer, MailRate: o.Settings.MailRate, MailMaxAge: o.Settings.MailMaxAge,
		Retry: o.Settings.Retry, Upstream: o.Settings.Upstream, PreviewTTL: o.Settings.PreviewTTL, Retention: o.Settings.Retention,
		Instruments: instruments, Log: o.Log,
	})
	if err != nil {
		return err
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return server.Run(ctx) })
	running.Go(func() error { return worker.Run(ctx) })
	if o.Admin != nil {
		running.Go(func() error {
			return app.Admin(ctx, app.AdminOptions{
				Listener: o.Admin, AllowedHosts: o.Settings.AllowedHosts, Health: server.Health(), Instruments: instruments, Log: o.Log,
			})
		})
	}
	o.Ready()
	return running.Wait()
}

// releaseStartMemory returns memory to the system that only the start needed. The migrations leave some megabytes in
// pools, which the second collection empties. Without this, the heap could grow to a multiple of them.
func releaseStartMemory() {
	for range 3 {
		debug.FreeOSMemory()
	}
}

func openMailer(o Options) (mail.Mailer, error) {
	url := o.Settings.SMTPURL
	if url == "" {
		url = "file:" + filepath.Join(o.Dir, MailDirectory)
	}
	return mail.Open(mail.Options{
		URL: url, From: o.Settings.MailFrom, Bounce: o.Settings.MailBounce, Hello: o.Settings.MailHelo,
		Templates: o.Settings.MailTemplates,
	})
}

var _ app.Store = (*sqlite.Store)(nil)
