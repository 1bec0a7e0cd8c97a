// Package app assembles the two services: the API and the worker. The caller chooses the store, the Redis and the mailer,
// so the standalone process and a deployment on many machines run the same code.
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

// Store is the set of store methods that the services call.
type Store interface {
	revocation.SubmissionStore
	revocation.SingleStore
	revocation.ReadStore
	revocation.JobStore
	revocation.EventStore
	revocation.ExecutionStore
	revocation.DispatchStore
	revocation.NotificationStore
	revocation.BulkStore
	revocation.CallStore
	revocation.JanitorStore
	revocation.BacklogStore
	revocation.InviteStore
	api.Keys
	api.Accounts
	// Ping returns nil when the store can be read and written. If the error is a *revocation.Error, its Detail may be
	// shown to any caller.
	Ping(ctx context.Context) error
}

// shutdownTimeout is how long a stopping process waits for requests in progress. It leaves time for the steps that
// follow, because a process must exit within 25 seconds.
const shutdownTimeout = 20 * time.Second

// RelaxGC makes the garbage collector run less often, unless GOGC is set. The live heap is only a few megabytes. With the
// default setting, collection takes about a tenth of the time of a request.
func RelaxGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// serve answers requests on listener until ctx ends. It then calls drain, accepts no more connections, and waits up to
// shutdownTimeout for the requests in progress.
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
		_ = server.Close() // the process exits in any case
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// databaseCheck returns a critical check of the store.
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

// redisCheck returns a check of Redis. It is critical for a worker and not for an API.
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

// Mailer delivers emails and reports whether it is able to.
type Mailer interface {
	revocation.Mailer
	// Check returns a *revocation.DeliveryError when no message can be delivered now.
	Check(ctx context.Context) error
	// Local reports whether the mailer writes messages to a directory and not to a mail server.
	Local() bool
}

// mailCheck returns a check of the mailer. A mail server that does not answer is not critical: emails wait for it, and
// the worker does everything else.
func mailCheck(mailer Mailer) api.Check {
	detail := "The mail server takes no message: "
	if mailer.Local() {
		detail = "Emails cannot be written to their directory: "
	}
	return api.Check{Name: "mail", Critical: mailer.Local(), Run: func(ctx context.Context) (api.State, string) {
		failure, failed := errors.AsType[*revocation.DeliveryError](mailer.Check(ctx))
		if !failed {
			return api.StateOK, ""
		}
		return api.StateUnavailable, detail + string(failure.Reason) + "."
	}}
}

// ListenAdmin listens on the operators' address. If addr is the default and already in use, for example because an API and
// a worker run on one machine, ListenAdmin logs a warning and returns a nil listener and a nil error.
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
