package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// State is the health of a part of the service.
type State string

const (
	// StateOK means that the part works.
	StateOK State = "ok"
	// StateDegraded means that the part works with restrictions.
	StateDegraded State = "degraded"
	// StateUnavailable means that the part does not work.
	StateUnavailable State = "unavailable"
)

// Check checks one part of the service.
type Check struct {
	// Name names the part. It is public, and so are the results of Run.
	Name string
	// Run returns the state of the part and, unless that is StateOK, the reason in a short sentence. The reason must not
	// hold addresses, secrets or errors of a library. Run has 2 s, and must return when ctx ends.
	Run func(ctx context.Context) (state State, reason string)
	// Critical reports whether the process is unready unless the part is StateOK. Other parts only make it degraded.
	Critical bool
}

const (
	checkTimeout = 2 * time.Second
	// checkFreshness is how long a result is used again, so that frequent probes do not load the parts.
	checkFreshness = time.Second
)

// Health reports whether the process can do its work. The public and the operators' address share one. It is safe for
// concurrent use.
type Health struct {
	checks []Check

	mu   sync.Mutex
	last readiness
	asOf time.Time
}

// NewHealth returns a Health that runs the checks.
func NewHealth(checks ...Check) *Health { return &Health{checks: checks} }

// readiness is the body of /readyz.
type readiness struct {
	State State        `json:"state" doc:"ok, degraded (the service works, with restrictions that parts describes) or unavailable." enum:"ok,degraded,unavailable"`
	Parts []partHealth `json:"parts" doc:"The parts of the service." nullable:"false"`
}

type partHealth struct {
	Name   string `json:"name"`
	State  State  `json:"state" enum:"ok,degraded,unavailable"`
	Reason string `json:"reason,omitempty" doc:"Why it is not ok."`
}

// ready returns the state of all parts, at most checkFreshness old.
func (h *Health) ready() readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asOf.IsZero() || time.Since(h.asOf) > checkFreshness {
		h.last = h.runChecks()
		h.asOf = time.Now()
	}
	return h.last
}

// runChecks runs all checks concurrently. It uses no request's context, because concurrent probes share the result.
func (h *Health) runChecks() readiness {
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
			// The check may have answered in time while this loop waited for an earlier one.
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

// unready is the problem of a process that cannot do its work, with the members that /readyz always has.
type unready struct {
	*problem
	// State takes the place of the problem's, which is a job's.
	State State        `json:"state"`
	Parts []partHealth `json:"parts"`
}

func newUnready(r readiness) unready {
	return unready{newProblem(revocation.CodeUnavailable).withDetail("A part that is needed does not work."), r.State, r.Parts}
}

// answer returns the response to /readyz.
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
		panic(err) // it consists of strings
	}
	return status, media, body
}

type livenessBody struct {
	State State `json:"state" enum:"ok"`
}

func (a *API) liveness(x *requestContext) error {
	x.quiet = true
	x.respond(http.StatusOK, mediaJSON, jsonOf(livenessBody{StateOK}))
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
