package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// gate is a server that blocks its requests until the test releases them.
type gate struct {
	url          string
	inside, most atomic.Int64
	open         chan struct{}
	arrivals     chan struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{open: make(chan struct{}), arrivals: make(chan struct{}, 1000)}
	var mu sync.Mutex
	g.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		g.most.Store(max(g.most.Load(), g.inside.Add(1)))
		mu.Unlock()
		g.arrivals <- struct{}{}
		select {
		case <-g.open:
		case <-r.Context().Done():
		}
		g.inside.Add(-1)
		_, _ = io.WriteString(w, `{"status": "REVOKED"}`)
	})
	return g
}

// release releases n requests.
func (g *gate) release(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case g.open <- struct{}{}:
		case <-time.After(time.Minute):
			t.Fatal("timed out waiting for a request")
		}
	}
}

// revokeAll makes n calls at once, each when it is admitted, and sends their replies.
func revokeAll(ctx context.Context, t *testing.T, p *Client, target revocation.Target, n int) <-chan revocation.Reply {
	t.Helper()
	replies := make(chan revocation.Reply, n)
	for i := range n {
		go func() {
			if err := p.Admit(ctx, target); err != nil {
				replies <- revocation.Reply{}
				return
			}
			replies <- p.Revoke(ctx, target, int64(i)+1, false)
		}()
	}
	return replies
}

func wantAll(t *testing.T, replies <-chan revocation.Reply, n int, reply revocation.Reply) {
	t.Helper()
	for range n {
		want(t, await(t, "a reply", replies), reply)
	}
}

func TestClient_LimitsConcurrency(t *testing.T) {
	for name, c := range map[string]struct{ set, want int }{
		"as set": {3, 3}, "to one": {1, 1}, "by default": {0, revocation.DefaultConcurrency},
	} {
		t.Run(name, func(t *testing.T) {
			g, p := newGate(t), newDefault(t)
			to := target(g.url)
			to.Concurrency = c.set
			replies := revokeAll(t.Context(), t, p, to, 20)
			for done := range 20 {
				eventually(t, "all slots are taken", func() bool { return g.inside.Load() == int64(min(c.want, 20-done)) })
				g.release(t, 1)
				wantAll(t, replies, 1, revoked)
			}
			if n := g.most.Load(); n != int64(c.want) {
				t.Errorf("%d calls at once, want %d", n, c.want)
			}
		})
	}
	t.Run("of each account separately", func(t *testing.T) {
		g, p := newGate(t), newDefault(t)
		a, b := target(g.url), target(g.url)
		a.Concurrency, b.Concurrency, b.Account = 1, 2, "other"
		ofA, ofB := revokeAll(t.Context(), t, p, a, 3), revokeAll(t.Context(), t, p, b, 3)
		eventually(t, "the slots of both are taken", func() bool { return g.inside.Load() == 3 })
		g.release(t, 6)
		wantAll(t, ofA, 3, revoked)
		wantAll(t, ofB, 3, revoked)
	})
	t.Run("until a waiting call is cancelled", func(t *testing.T) {
		g, p := newGate(t), newDefault(t)
		to := target(g.url)
		to.Concurrency = 2
		running := revokeAll(t.Context(), t, p, to, 2)
		eventually(t, "all slots are taken", func() bool { return g.inside.Load() == 2 })
		ctx, cancel := context.WithCancel(t.Context())
		waiting := revokeAll(ctx, t, p, to, 6)
		cancel()
		wantAll(t, waiting, 6, revocation.Reply{})
		g.release(t, 2)
		wantAll(t, running, 2, revoked)
		// No slot was lost.
		replies := revokeAll(t.Context(), t, p, to, 8)
		eventually(t, "all slots are taken", func() bool { return g.inside.Load() == 2 })
		g.release(t, 8)
		wantAll(t, replies, 8, revoked)
	})
	t.Run("with new slots after a change", func(t *testing.T) {
		g, p := newGate(t), newDefault(t)
		to := target(g.url)
		to.Concurrency = 1
		first := revokeAll(t.Context(), t, p, to, 1)
		eventually(t, "the slot is taken", func() bool { return g.inside.Load() == 1 })
		to.Concurrency = 4
		more := revokeAll(t.Context(), t, p, to, 4)
		eventually(t, "the new slots are taken", func() bool { return g.inside.Load() == 5 })
		g.release(t, 5)
		wantAll(t, first, 1, revoked)
		wantAll(t, more, 4, revoked)
	})
}

func TestClient_LimitsRate(t *testing.T) {
	var mu sync.Mutex
	var last time.Time
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		last = time.Now()
		mu.Unlock()
		_, _ = io.WriteString(w, `{"status": "REVOKED"}`)
	})
	// spent returns a Client that has used up its rate for a long time.
	spent := func(t *testing.T) (*Client, revocation.Target) {
		t.Helper()
		p, to := newDefault(t), target(url)
		to.Rate = 0.001
		wantAll(t, revokeAll(t.Context(), t, p, to, 1), 1, revoked)
		return p, to
	}
	wantWaiting := func(t *testing.T, p *Client, to revocation.Target) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if p.Admit(ctx, to) == nil {
			t.Error("a call was admitted")
		}
	}
	for _, rate := range []float64{20, 200} {
		t.Run(fmt.Sprintf("to %v a second", rate), func(t *testing.T) {
			// The burst is a twentieth of the rate.
			const calls = 7
			n := int(rate/20) - 1 + calls
			p, to := newDefault(t), target(url)
			to.Rate = rate
			began := time.Now()
			wantAll(t, revokeAll(t.Context(), t, p, to, n), n, revoked)
			mu.Lock()
			defer mu.Unlock()
			if took, least := last.Sub(began), time.Duration((calls-1)/rate*float64(time.Second)); took < least {
				t.Errorf("%d calls in %v, want at least %v", n, took, least)
			}
		})
	}
	t.Run("until a waiting call is cancelled", func(t *testing.T) {
		p, to := spent(t)
		wantWaiting(t, p, to)
		ctx, cancel := context.WithCancel(t.Context())
		replies := revokeAll(ctx, t, p, to, 3)
		cancel()
		wantAll(t, replies, 3, revocation.Reply{})
	})
	t.Run("also after the key has changed", func(t *testing.T) {
		p, to := spent(t)
		to.Key = "another"
		wantWaiting(t, p, to)
	})
	t.Run("of each account separately", func(t *testing.T) {
		p, to := spent(t)
		to.Account = "other"
		wantAll(t, revokeAll(t.Context(), t, p, to, 1), 1, revoked)
	})
	t.Run("not without a rate", func(t *testing.T) {
		p, to := spent(t)
		to.Rate = 0
		wantAll(t, revokeAll(t.Context(), t, p, to, 50), 50, revoked)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if p.Admit(ctx, to) == nil {
			t.Error("a cancelled call was admitted")
		}
	})
}

func TestClient_ForgetsAccounts(t *testing.T) {
	clock := newClock()
	url := answers(t, 200, asJSON, `{"status": "REVOKED"}`)
	p := newDefault(t)
	p.now = clock.Now
	for i := range 100 {
		to := target(url)
		to.Account = fmt.Sprintf("account-%d", i)
		want(t, p.Revoke(t.Context(), to, 1, false), revoked)
	}
	g := newGate(t)
	busy, slow, recent := target(g.url), target(url), target(url)
	busy.Account, slow.Account, slow.Rate, recent.Account = "busy", "slow", 0.00001, "recent"
	inProgress := revokeAll(t.Context(), t, p, busy, 1)
	await(t, "the call", g.arrivals)
	wantAll(t, revokeAll(t.Context(), t, p, slow, 1), 1, revoked)
	clock.advance(idleAccount)
	want(t, p.Revoke(t.Context(), recent, 1, false), revoked)
	p.mu.Lock()
	for id := range p.accounts {
		switch id {
		case "busy", "slow", "recent":
		default:
			t.Errorf("%s is still known", id)
		}
	}
	if n := len(p.accounts); n != 3 {
		t.Errorf("%d accounts are known, want 3", n)
	}
	p.mu.Unlock()
	g.release(t, 1)
	wantAll(t, inProgress, 1, revoked)
}
