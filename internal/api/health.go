package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// State is how a part of the service is.
type State string

const (
	// StateOK: the part does its work.
	StateOK State = "ok"
	// StateDegraded: it works, but not as it should.
	StateDegraded State = "degraded"
	// StateUnavailable: it does not work.
	StateUnavailable State = "unavailable"
)

// Check looks at one part.
type Check struct {
	// Name is told to everybody who asks, and so is what Run says.
	Name string
	// Run looks. The reason is a short sentence for a state other than StateOK; it must not hold addresses,
	// secrets or errors of a library. It has 2 s, and must return when ctx ends.
	Run func(ctx context.Context) (state State, reason string)
	// Critical parts must be StateOK for the process to be ready; others only degrade it.
	Critical bool
}

const (
	checkTimeout = 2 * time.Second
	// checkFreshness is how long a result is told again, so that probes do not hammer the parts.
	checkFreshness = time.Second
)

// Health tells whether the process can do its work. One serves both addresses.
type Health struct {
	checks []Check

	mu   sync.Mutex
	last readiness
	asOf time.Time
}

// NewHealth makes a Health of the parts.
func NewHealth(checks ...Check) *Health { return &Health{checks: checks} }

// readiness is the body of /readyz.
type readiness struct {
	State State        `json:"state" doc:"ok, degraded (it does its work, but see parts) or unavailable." enum:"ok,degraded,unavailable"`
	Parts []partHealth `json:"parts" doc:"What the service is made of." nullable:"false"`
}

type partHealth struct {
	Name   string `json:"name"`
	State  State  `json:"state" enum:"ok,degraded,unavailable"`
	Reason string `json:"reason,omitempty" doc:"Why it is not ok."`
}

// ready gives the state of all parts, at most checkFreshness old.
func (h *Health) ready() readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asOf.IsZero() || time.Since(h.asOf) > checkFreshness {
		h.last = h.look()
		h.asOf = time.Now()
	}
	return h.last
}

// look runs all checks at once, on no prober's context: what they find is told to all.
func (h *Health) look() readiness {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	found := make([]chan partHealth, len(h.checks))
	for i, check := range h.checks {
		found[i] = make(chan partHealth, 1)
		go func() {
			state, reason := check.Run(ctx)
			found[i] <- partHealth{Name: check.Name, State: state, Reason: reason}
		}()
	}
	r := readiness{State: StateOK, Parts: make([]partHealth, len(h.checks))}
	for i, check := range h.checks {
		r.Parts[i] = partHealth{Name: check.Name, State: StateUnavailable, Reason: "It did not answer in time."}
		select {
		case r.Parts[i] = <-found[i]:
		case <-ctx.Done():
			// One that answered in time has done so even if another used up all of it.
			select {
			case r.Parts[i] = <-found[i]:
			default:
			}
		}
		switch {
		case r.Parts[i].State == StateOK:
		case check.Critical:
			r.State = StateUnavailable
		case r.State == StateOK:
			r.State = StateDegraded
		}
	}
	return r
}

// unready is the problem of a process that cannot do its work, with what /readyz says anyway.
type unready struct {
	*problem
	readiness
}

func newUnready(r readiness) unready {
	return unready{newProblem(revocation.CodeUnavailable).withDetail("A part that is needed does not work."), r}
}

// answer gives /readyz as it is told.
func (h *Health) answer() (status int, media string, body []byte) {
	r := h.ready()
	status, media = http.StatusOK, mediaJSON
	var content any = r
	if r.State == StateUnavailable {
		p := newUnready(r)
		status, media, content = p.Status, mediaProblem, p
	}
	body, err := json.Marshal(content)
	if err != nil {
		panic(err) // it is made of strings
	}
	return status, media, body
}

const alive = `{"state":"ok"}`

func (a *API) liveness(x *requestContext) error {
	x.quiet = true
	x.respond(http.StatusOK, mediaJSON, []byte(alive))
	return nil
}

func (a *API) readiness(x *requestContext) error {
	x.quiet = true
	status, media, body := a.health.answer()
	if status != http.StatusOK {
		x.Response().Header()["Retry-After"] = []string{"1"}
	}
	x.respond(status, media, body)
	return nil
}
