package api

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// slots limits how many requests of one kind run at once, for each key, such as an account, and for the whole process. It
// is safe for concurrent use.
type slots[K comparable] struct {
	perKey, perProcess int
	// name names the kind in the plural. It is the policy's name in the RateLimit fields, and appears in problems.
	name string

	mu    sync.Mutex
	taken map[K]int // has no zeros
	total int
}

// newSlots returns slots for perKey requests of each key and perProcess requests in total. Both must be at least 1.
func newSlots[K comparable](name string, perKey, perProcess int) *slots[K] {
	return &slots[K]{perKey: perKey, perProcess: perProcess, name: name, taken: make(map[K]int)}
}

// acquire takes a slot for key. The caller must call release once, when the request has ended. If there is no free slot,
// release is nil and refused is a problem: rate_limited if the key has no free slot, unavailable if only the process has
// none.
func (s *slots[K]) acquire(key K) (release func(), refused *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken[key] >= s.perKey:
		return nil, s.refuse()
	case s.total >= s.perProcess:
		return nil, newProblem(revocation.CodeUnavailable).
			withDetail("The service cannot run more " + s.name + " at once. Nothing was accepted.")
	}
	s.taken[key]++
	s.total++
	return func() { s.release(key) }, nil
}

func (s *slots[K]) release(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.taken[key]--; s.taken[key] == 0 {
		delete(s.taken, key)
	}
}

// within returns a handler that runs handle in a slot of the caller's account.
func within(s *slots[string], handle func(*requestContext) error) func(*requestContext) error {
	return func(x *requestContext) error {
		release, refused := s.acquire(x.key.Account)
		if refused != nil {
			return refused
		}
		defer release()
		return handle(x)
	}
}

const (
	// maxPageWait is how long a request waits for the pages that its account reads already: as long as the stores bound one.
	maxPageWait = 2 * time.Second
	// maxStreamWait is how long a stream waits for its next page. It is longer, because the stream breaks after that.
	maxStreamWait = 20 * time.Second
)

// readPage returns the page that read reads for the caller's account. The account's pages are read one after the other, so that
// it keeps no more than one connection of the database busy. The error is unavailable if those before take longer than maxWait.
func readPage[Page any](a *API, x *requestContext, maxWait time.Duration, read func(context.Context) (Page, error)) (page Page, err error) {
	ctx := x.Request().Context()
	waiting, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	leave, err := a.pages.acquire(waiting, x.key.Account)
	if err != nil {
		return page, &revocation.Error{Code: revocation.CodeUnavailable, Detail: "Other pages of the account take too long.", Err: err}
	}
	defer leave()
	return read(ctx)
}

// waiting returns a handler that runs handle in a slot of the caller's account if the request asks to wait.
func (a *API) waiting(handle func(*requestContext) error) func(*requestContext) error {
	inSlot := within(a.waits, handle)
	return func(x *requestContext) error {
		if pollPreference(x).wait > 0 {
			return inSlot(x)
		}
		return handle(x)
	}
}

// slotRetry is the Retry-After of a request that got no slot, in seconds.
const slotRetry = 1

// refuse returns the problem rate_limited. Its RateLimit fields describe this limit and not the one for requests a second.
func (s *slots[K]) refuse() *problem {
	p := newProblem(codeRateLimited).
		withDetail("The API key's account cannot run more " + s.name + " at once.")
	p.retryAfter = slotRetry
	limit, wait := strconv.Itoa(s.perKey), strconv.Itoa(slotRetry)
	p.header = http.Header{
		"RateLimit-Policy":    {`"` + s.name + `";q=` + limit + `;qu="concurrent-requests"`},
		"RateLimit":           {`"` + s.name + `";r=0;t=` + wait},
		"RateLimit-Limit":     {limit},
		"RateLimit-Remaining": {"0"},
		"RateLimit-Reset":     {wait},
	}
	return p
}
