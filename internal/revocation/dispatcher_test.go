package revocation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

// away is a database that answers every other look at what is due, and nothing else. It ends the test's wait after
// many looks.
type away struct {
	*sqlite.Store
	looks int
	stop  func()
}

var errAway = errors.New("away")

func (a *away) Agenda(context.Context) (revocation.Agenda, error) {
	if a.looks++; a.looks == 100 {
		a.stop()
	}
	if a.looks%2 == 0 {
		return revocation.Agenda{}, errAway
	}
	return revocation.Agenda{Revocations: true, Notifications: true}, nil
}

func (*away) ClaimDue(context.Context, int, []time.Duration) ([]revocation.Due, error) {
	return nil, errAway
}

func (*away) ClaimDueNotifications(context.Context, int, []time.Duration) ([]revocation.NotificationRef, int, error) {
	return nil, 0, errAway
}

func TestDispatcher_Complaints(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	store := &away{Store: w.store, stop: stop}
	var log bytes.Buffer
	revocation.NewDispatcher(revocation.DispatcherOptions{
		Store: store, Queue: w, Log: slog.New(slog.NewTextHandler(&log, nil)), Interval: time.Millisecond,
	}).Run(ctx)
	for _, what := range []string{"look for what is due", "dispatch revocations", "dispatch emails"} {
		if n := strings.Count(log.String(), what); n < 1 || n > store.looks/10 {
			t.Errorf("%q is told %d times in %d looks:\n%s", what, n, store.looks, log.String())
		}
	}
}
