package api

import (
	"net/http"
	"strconv"
	"sync"

	"rescind/internal/revocation"
)

// slots bounds how many of one kind of request go on at once: for each of those who are told apart, such as accounts,
// and for the whole process. It is safe for concurrent use.
type slots[Who comparable] struct {
	each, all int
	// name is the kind in the plural. It is the policy's name in the RateLimit fields, and stands in problems.
	name string

	mu    sync.Mutex
	taken map[Who]int // without those who have none
	total int
}

// newSlots makes slots of which each can have some, and the process all; both are at least 1.
func newSlots[Who comparable](name string, each, all int) *slots[Who] {
	return &slots[Who]{each: each, all: all, name: name, taken: make(map[Who]int)}
}

// acquire takes a slot for who. The caller must call leave once, when the request has ended. When there is no slot,
// leave is nil and full says why: rate_limited when who has as many as it can have, unavailable when the process has.
func (s *slots[Who]) acquire(who Who) (leave func(), full *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken[who] >= s.each:
		return nil, s.refuse()
	case s.total >= s.all:
		return nil, newProblem(revocation.CodeUnavailable).
			withDetail("The service has as many " + s.name + " under way as it can have. Nothing was accepted.")
	}
	s.taken[who]++
	s.total++
	return func() { s.release(who) }, nil
}

func (s *slots[Who]) release(who Who) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.taken[who]--; s.taken[who] == 0 {
		delete(s.taken, who)
	}
}

// within has a handler run in a slot of the caller's account.
func within(s *slots[string], handle func(*requestContext) error) func(*requestContext) error {
	return func(x *requestContext) error {
		leave, full := s.acquire(x.key.Account)
		if full != nil {
			return full
		}
		defer leave()
		return handle(x)
	}
}

// waiting has a handler run in a slot of the caller's account when the request prefers to wait.
func (a *API) waiting(handle func(*requestContext) error) func(*requestContext) error {
	inSlot := within(a.waits, handle)
	return func(x *requestContext) error {
		if pollPreference(x).wait > 0 {
			return inSlot(x)
		}
		return handle(x)
	}
}

// slotRetry is after how many seconds somebody who has no slot may ask again.
const slotRetry = 1

// refuse tells of this limit in the RateLimit fields, in place of the one for requests a second.
func (s *slots[Who]) refuse() *problem {
	p := newProblem(codeRateLimited).
		withDetail("As many " + s.name + " are under way as there can be at once for this API key's account.")
	p.retryAfter = slotRetry
	limit, wait := strconv.Itoa(s.each), strconv.Itoa(slotRetry)
	p.header = http.Header{
		"RateLimit-Policy":    {`"` + s.name + `";q=` + limit + `;qu="concurrent-requests"`},
		"RateLimit":           {`"` + s.name + `";r=0;t=` + wait},
		"RateLimit-Limit":     {limit},
		"RateLimit-Remaining": {"0"},
		"RateLimit-Reset":     {wait},
	}
	return p
}
