// Package upstream revokes invites that another service keeps. It calls the documented endpoint of the account's
// upstream and maps each answer to one of a few replies.
//
// Two rules decide what a failure means. A reply is in doubt exactly if the upstream may have carried out the request and
// no complete answer shows it. And each account has a circuit breaker: after many failures it opens, and the account's
// other calls are held until the upstream works again.
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

// Options configure a Client. Log is required.
type Options struct {
	// Timeout bounds a call, from the connection to the end of the answer; 0 means DefaultTimeout.
	Timeout time.Duration
	// Metrics is where the Client registers its metrics; if it is nil, they are not registered.
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Client revokes invites through the APIs of upstreams. It is safe for concurrent use, and serves any number of accounts.
// It drops the state of an account that has had no call for ten minutes.
type Client struct {
	timeout   time.Duration
	log       *slog.Logger
	metrics   *metrics
	transport *http.Transport

	now         func() time.Time
	breakerOpen time.Duration

	mu          sync.Mutex
	accounts    map[string]*account
	idleChecked time.Time
}

var _ revocation.UpstreamClient = (*Client)(nil)

// New returns a Client. It does not connect yet.
func New(o Options) *Client {
	return newClient(o, &dialer{dialTimeout: dialTimeout, tlsTimeout: tlsTimeout})
}

func newClient(o Options, d *dialer) *Client {
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

// Admit waits until the account's rate allows one more call; see revocation.UpstreamClient. While the account's breaker
// is open, Admit neither waits nor counts a call: Revoke returns how long to hold the calls.
func (p *Client) Admit(ctx context.Context, target revocation.Target) error {
	v := p.enter(target)
	defer p.leave(v)
	if _, open := v.breaker.isOpen(); open {
		return ctx.Err()
	}
	return v.limiter.pace(ctx)
}

// Revoke makes one call; see revocation.UpstreamClient. It waits for one of the account's slots and sends at most one
// request. The reply's Status is empty if nothing was sent because the breaker is open or ctx ended. Hold is also set with
// the failure that opened the breaker. Of the upstream's answer, Failure contains only the HTTP status.
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
	done(breakerError(ctx, answer, reply))
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
