package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"

	"rescind/internal/revocation"
)

// switchableServer is a server whose answer a test can change.
type switchableServer struct {
	url    string
	answer atomic.Pointer[fixedAnswer]
	served atomic.Int64
}

type fixedAnswer struct {
	code int
	body string
}

var (
	fine = fixedAnswer{200, `{"status": "REVOKED"}`}
	down = fixedAnswer{500, ``}
)

func newSwitchableServer(t *testing.T, first fixedAnswer) *switchableServer {
	t.Helper()
	m := new(switchableServer)
	m.answer.Store(&first)
	m.url = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		m.served.Add(1)
		a := m.answer.Load()
		w.WriteHeader(a.code)
		_, _ = io.WriteString(w, a.body)
	})
	return m
}

func (m *switchableServer) setAnswer(to fixedAnswer) { m.answer.Store(&to) }

func (m *switchableServer) wantServed(t *testing.T, want int64) {
	t.Helper()
	if n := m.served.Load(); n != want {
		t.Errorf("%d calls were made, want %d", n, want)
	}
}

// withBreaker returns a Client whose breakers stay open for the given time.
func withBreaker(t *testing.T, open time.Duration, log *logged) *Client {
	t.Helper()
	p := newTestClient(t, Options{Log: log.logger(), Timeout: 500 * time.Millisecond}, testDialer())
	p.breakerOpen = open
	return p
}

// stateOf returns the state of an account's breaker.
func stateOf(p *Client, account string) gobreaker.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accounts[account].breaker.State()
}

func wantState(t *testing.T, p *Client, want gobreaker.State) {
	t.Helper()
	if got := stateOf(p, "acme"); got != want {
		t.Errorf("the breaker is %s, want %s", got, want)
	}
}

// wantHold checks the hold of a reply, and returns the reply without it.
func wantHold(t *testing.T, r revocation.Reply, most time.Duration) revocation.Reply {
	t.Helper()
	if r.Hold <= 0 || r.Hold > most {
		t.Errorf("held for %v, want up to %v", r.Hold, most)
	}
	r.Hold = 0
	return r
}

// trip makes calls that fail until the breaker is open.
func trip(t *testing.T, p *Client, to revocation.Target) {
	t.Helper()
	for range breakerConsecutive - 1 {
		want(t, p.Revoke(t.Context(), to, 1, false), failedWith("500"))
	}
	want(t, wantHold(t, p.Revoke(t.Context(), to, 1, false), p.breakerOpen), failedWith("500"))
}

const (
	openedLog = "level=WARN msg=\"upstream fails: its breaker opened\" account_id=acme\n"
	closedLog = "level=WARN msg=\"upstream works again: its breaker closed\" account_id=acme\n"
)

func TestClient_BreakerOpens(t *testing.T) {
	t.Run("after failures in a row, and makes no more calls", func(t *testing.T) {
		var written logged
		m, p := newSwitchableServer(t, down), withBreaker(t, time.Hour, &written)
		to := target(m.url)
		trip(t, p, to)
		wantState(t, p, gobreaker.StateOpen)
		for range 5 {
			want(t, wantHold(t, p.Revoke(t.Context(), to, 1, false), time.Hour), revocation.Reply{})
		}
		m.wantServed(t, breakerConsecutive)
		if diff := cmp.Diff(openedLog, written.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		t.Run("but not another account's", func(t *testing.T) {
			other := to
			other.Account = "other"
			want(t, p.Revoke(t.Context(), other, 1, false), failedWith("500"))
		})
		t.Run("until the account is changed", func(t *testing.T) {
			m.setAnswer(fine)
			changed := to
			changed.Key = "another"
			want(t, p.Revoke(t.Context(), changed, 1, false), revoked)
		})
	})
	t.Run("after failures of one call in two", func(t *testing.T) {
		var written logged
		m, p := newSwitchableServer(t, down), withBreaker(t, time.Hour, &written)
		for i := range breakerVolume {
			m.setAnswer([]fixedAnswer{fine, down}[i%2])
			if p.Revoke(t.Context(), target(m.url), 1, false).Status == "" {
				t.Fatalf("open after %d calls", i)
			}
		}
		wantState(t, p, gobreaker.StateOpen)
	})
	for name, failing := range map[string]func(t *testing.T) (url string){
		"refused connections": func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			url := "http://" + l.Addr().String()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return url
		},
		"broken connections": func(t *testing.T) string {
			return afterRequest(t, func(conn *net.TCPConn, _ <-chan struct{}) { reset(conn) })
		},
		"timeouts": func(t *testing.T) string {
			return afterRequest(t, func(_ *net.TCPConn, gone <-chan struct{}) { <-gone })
		},
		"ERROR_REVOKING with 503": func(t *testing.T) string {
			return answers(t, 503, asJSON, `{"status": "ERROR_REVOKING"}`)
		},
	} {
		t.Run("after "+name, func(t *testing.T) {
			var written logged
			p, to := withBreaker(t, time.Hour, &written), target(failing(t))
			to.Concurrency = breakerConsecutive
			replies := revokeAll(t.Context(), t, p, to, breakerConsecutive)
			for range breakerConsecutive {
				if got := await(t, "a reply", replies); got.Status != revocation.StatusErrorRevoking {
					t.Errorf("%+v", got)
				}
			}
			wantState(t, p, gobreaker.StateOpen)
		})
	}
	for _, a := range []fixedAnswer{
		fine,
		{500, `{"status": "ALREADY_REVOKED"}`},
		{200, `{"status": "ERROR_REVOKING"}`},
		{200, `garbage`},
		{302, ``},
		{400, ``},
		{401, ``},
		{403, ``},
		{404, `{}`},
		{404, `page`},
		{418, ``},
		{422, ``},
		{429, ``},
	} {
		t.Run(fmt.Sprintf("not after %d %s", a.code, a.body), func(t *testing.T) {
			var written logged
			m, p := newSwitchableServer(t, a), withBreaker(t, time.Hour, &written)
			const n = 2 * breakerVolume
			for range n {
				if got := p.Revoke(t.Context(), target(m.url), 1, false); got.Status == "" || got.Hold != 0 {
					t.Fatalf("%+v", got)
				}
			}
			m.wantServed(t, n)
		})
	}
	t.Run("not after calls that were cancelled", func(t *testing.T) {
		var written logged
		g, p := newGate(t), withBreaker(t, time.Hour, &written)
		p.timeout = time.Minute
		for range 2 * breakerVolume {
			ctx, cancel := context.WithCancel(t.Context())
			replies := revokeAll(ctx, t, p, target(g.url), 1)
			await(t, "the call", g.arrivals)
			cancel()
			wantAll(t, replies, 1, inDoubt(wasStopped))
		}
		wantState(t, p, gobreaker.StateClosed)
	})
	t.Run("and then Admit neither waits for the rate nor uses it up", func(t *testing.T) {
		var written logged
		m, p := newSwitchableServer(t, down), withBreaker(t, time.Hour, &written)
		to := target(m.url)
		to.Rate = 0.001
		trip(t, p, to)
		for range 5 {
			if err := p.Admit(t.Context(), to); err != nil {
				t.Error(err)
			}
		}
		to.Key = "another" // and so another breaker, but the same rate
		if err := p.Admit(t.Context(), to); err != nil {
			t.Error(err)
		}
	})
}

func TestClient_BreakerCloses(t *testing.T) {
	t.Parallel()
	// next returns the reply of the next call that the breaker allows.
	next := func(t *testing.T, p *Client, to revocation.Target) (got revocation.Reply) {
		t.Helper()
		eventually(t, "a call is allowed", func() bool {
			got = p.Revoke(t.Context(), to, 1, false)
			return got.Status != ""
		})
		return got
	}
	t.Run("after probes that succeed", func(t *testing.T) {
		var written logged
		m, p := newSwitchableServer(t, down), withBreaker(t, 50*time.Millisecond, &written)
		to := target(m.url)
		trip(t, p, to)
		m.setAnswer(fine)
		for range breakerProbes {
			want(t, next(t, p, to), revoked)
		}
		wantState(t, p, gobreaker.StateClosed)
		m.wantServed(t, breakerConsecutive+breakerProbes)
		if diff := cmp.Diff(openedLog+closedLog, written.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("not after a probe that fails, which logs nothing", func(t *testing.T) {
		var written logged
		m, p := newSwitchableServer(t, down), withBreaker(t, time.Second, &written)
		to := target(m.url)
		trip(t, p, to)
		want(t, wantHold(t, next(t, p, to), time.Second), failedWith("500"))
		want(t, wantHold(t, p.Revoke(t.Context(), to, 1, false), time.Second), revocation.Reply{})
		if n := strings.Count(written.String(), "\n"); n != 1 {
			t.Errorf("%d lines, want 1:\n%s", n, written.String())
		}
	})
	t.Run("after a few probes at once", func(t *testing.T) {
		var written logged
		g := newGate(t)
		p := withBreaker(t, 50*time.Millisecond, &written)
		p.timeout = time.Minute
		to := target(g.url)
		to.Concurrency = 50
		// Open the breaker without calls.
		v := p.enter(to)
		for range breakerConsecutive {
			done, _ := v.breaker.allow()
			done(errFault)
		}
		p.leave(v)
		eventually(t, "the breaker is half-open", func() bool { return stateOf(p, "acme") == gobreaker.StateHalfOpen })
		replies := revokeAll(t.Context(), t, p, to, 20)
		wantAll(t, replies, 20-breakerProbes, revocation.Reply{Hold: shortHold})
		g.release(t, breakerProbes)
		wantAll(t, replies, breakerProbes, revoked)
	})
}
