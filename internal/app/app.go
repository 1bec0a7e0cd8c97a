// Package app puts the parts together into the two services: the API and the worker. Which store, which
// Redis and which mail server they work with is the caller's choice, so that the embedded form, which runs
// both in one process, is the same program as the one that runs on many machines.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"rescind/internal/api"
	"rescind/internal/config"
	"rescind/internal/queue"
	"rescind/internal/revocation"
)

// Store is what the services need of a store.
type Store interface {
	revocation.SubmissionStore
	revocation.ReadStore
	revocation.JobStore
	revocation.ExecutionStore
	revocation.DispatchStore
	revocation.NotificationStore
	revocation.BulkStore
	revocation.CallStore
	revocation.JanitorStore
	revocation.BacklogStore
	api.Keys
	// Ping reports whether the store can be read and written. The Detail of its error, if any, is for everybody.
	Ping(ctx context.Context) error
}

// shutdownTimeout bounds the end of the requests under way; with what comes after it, a process ends within
// 25 seconds.
const shutdownTimeout = 20 * time.Second

// RelaxGC has memory collected less often. What lives is a few megabytes, and collecting at every doubling of
// it costs about a tenth of a request; GOGC, when it is set, counts instead.
func RelaxGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// serve answers on listener until ctx ends. It then calls drain, takes no more connections and lets the
// requests under way end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, drain func()) error {
	server := api.NewServer(listener.Addr().String(), handler, log)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		log.Warn("requests did not end in time: cut off", "error", err)
		_ = server.Close() // nothing is left to do about it
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// databaseCheck looks at the store, without which nothing works.
func databaseCheck(store Store) api.Check {
	return api.Check{Name: "database", Critical: true, Run: func(ctx context.Context) (api.State, string) {
		err := store.Ping(ctx)
		if known, ok := errors.AsType[*revocation.Error](err); ok && known.Detail != "" {
			return api.StateUnavailable, known.Detail
		}
		if err != nil {
			return api.StateUnavailable, "The database does not answer, or its tables are not there."
		}
		return api.StateOK, ""
	}}
}

// redisCheck looks at Redis, which only workers cannot do without.
func redisCheck(client *queue.Client, critical bool) api.Check {
	return api.Check{Name: "redis", Critical: critical, Run: func(ctx context.Context) (api.State, string) {
		switch health := client.Health(ctx); health.State {
		case queue.StateOK:
			return api.StateOK, ""
		case queue.StateEvicting:
			return api.StateDegraded, health.Reason
		default:
			return api.StateUnavailable, health.Reason
		}
	}}
}

// Mailer delivers the emails, and reports whether it can.
type Mailer interface {
	revocation.Mailer
	// Check reports by a *revocation.DeliveryError why no message can be delivered now.
	Check(ctx context.Context) error
	// Local reports whether messages are delivered on this machine, and not to a mail server.
	Local() bool
}

// mailCheck asks the mailer. For a mail server the emails wait, and all else is done meanwhile.
func mailCheck(mailer Mailer) api.Check {
	says := "The mail server takes no message: "
	if mailer.Local() {
		says = "Emails cannot be written to their directory: "
	}
	return api.Check{Name: "mail", Critical: mailer.Local(), Run: func(ctx context.Context) (api.State, string) {
		failure, failed := errors.AsType[*revocation.DeliveryError](mailer.Check(ctx))
		if !failed {
			return api.StateOK, ""
		}
		return api.StateUnavailable, says + string(failure.Reason) + "."
	}}
}

// ListenAdmin listens on the operators' address. Where the default is taken, as when an API and a worker run
// on one machine without settings of their own, the process goes on without it (nil) and says so.
func ListenAdmin(addr string, log *slog.Logger) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil && addr == config.DefaultAdminAddr && errors.Is(err, syscall.EADDRINUSE) {
		log.Warn("address is taken: no metrics and no health there; set ADMIN_ADDR", "addr", addr)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	return listener, nil
}
