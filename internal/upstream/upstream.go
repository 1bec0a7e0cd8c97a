// Package upstream is the platform behind an HTTP API: it revokes an account's invites by calling the
// documented endpoint where they live, and turns whatever comes back into one of a few outcomes.
//
// Two questions decide how careful it is. May a request have been carried out although no answer tells so?
// Then the reply is in doubt, and only then. And is the upstream down, or is it this one invite? That is the
// account's breaker to tell, which has the account's other calls held back.
package upstream

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/failpoint"
	"rescind/internal/revocation"
)

// DefaultTimeout bounds a call, from the connection to the end of the answer.
const DefaultTimeout = 10 * time.Second

// Options are a Platform's parts. Log is needed.
type Options struct {
	// Timeout bounds a call, from the connection to the end of the answer; 0: DefaultTimeout.
	Timeout time.Duration
	// Metrics is where the platform's metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Client revokes invites through the APIs of upstreams. Any number of goroutines may use it at once, for
// any number of accounts. What it remembers of an account goes when it is not called for some minutes.
type Client struct {
	timeout   time.Duration
	log       *slog.Logger
	metrics   *metrics
	transport *http.Transport

	now         func() time.Time
	breakerOpen time.Duration

	mu       sync.Mutex
	accounts map[string]*account
	swept    time.Time
}

var _ revocation.UpstreamClient = (*Client)(nil)

// New makes a Platform. It connects to nobody yet.
func New(o Options) *Client {
	return newPlatform(o, &dialer{dialTimeout: dialTimeout, tlsTimeout: tlsTimeout})
}

func newPlatform(o Options, d *dialer) *Client {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	p := &Client{
		timeout: o.Timeout, log: o.Log, transport: d.transport(),
		now: time.Now, breakerOpen: breakerOpen, accounts: make(map[string]*account),
	}
	p.metrics = newMetrics(o.Metrics, p)
	return p
}

// Close closes the connections that are kept. Calls may follow, on new ones.
func (p *Client) Close() { p.transport.CloseIdleConnections() }

// Admit waits until one more call of the account may begin; see revocation.Platform. While the account's
// breaker is open it does not wait, and nothing is counted: Revoke will say how long to hold the calls.
func (p *Client) Admit(ctx context.Context, target revocation.Target) error {
	v := p.enter(target)
	defer p.leave(v)
	if _, open := v.breaker.isOpen(); open {
		return ctx.Err()
	}
	return v.limiter.pace(ctx)
}

// Revoke makes one call; see revocation.Platform. It sends at most one request, after a wait for one of the
// account's slots. The reply's Status is empty when nothing was sent because the breaker is open or ctx ended;
// its Hold stands also with the failure that has opened the breaker. Its Failure holds nothing of what the
// upstream said but the HTTP status.
func (p *Client) Revoke(ctx context.Context, target revocation.Target, reportID int64, notify bool) revocation.Reply {
	endpoint, err := endpointOf(target)
	if err != nil {
		return failed(revocation.CodeUpstreamUnavailable, "The account's upstream cannot be called: its URL or its key is not valid.")
	}
	v := p.enter(target)
	defer p.leave(v)
	leave, err := v.limiter.enter(ctx)
	if err != nil {
		return revocation.Reply{}
	}
	defer leave()
	done, hold := v.breaker.allow()
	if done == nil {
		return revocation.Reply{Hold: hold}
	}

	began := time.Now()
	failpoint.Reach(failpoint.BeforeCall, "revoke")
	answer := p.call(ctx, endpoint, string(target.Key), request{ReportID: reportID, Notify: notify})
	failpoint.Reach(failpoint.AfterCall, "revoke")
	reply := answer.reply(p.now())
	done(verdict(ctx, answer, reply))
	if answer.err != nil && !answer.sent && ctx.Err() != nil {
		return revocation.Reply{}
	}
	if hold, open := v.breaker.isOpen(); open {
		reply.Hold = hold
	}
	p.metrics.observe(outcome(reply), time.Since(began))
	p.record(v, reply)
	return reply
}
