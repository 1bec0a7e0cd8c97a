package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// history records the requests and answers, as the callers saw them.
type history struct {
	mu       sync.Mutex
	requests []*request
	uploads  []*upload
	seen     map[string]*sighting // by revocation
	jobs     map[string]*jobSighting
	counts   map[string]int // number of answers, by kind of request and answer
	// hurried contains the jobs, and the invites of single revocations, for which a start was requested.
	hurried map[string]bool
}

func newHistory() *history {
	return &history{seen: make(map[string]*sighting), jobs: make(map[string]*jobSighting), counts: make(map[string]int), hurried: make(map[string]bool)}
}

// request is a submission of one revocation: one call, or several with the same Idempotency-Key.
type request struct {
	account *account
	report  int64
	notify  bool
	key     string
	ref     string // its unique client_reference
	called  time.Duration
	// returned is the time of the first answer with an id.
	returned time.Duration
	id       string
	// refused reports that every call so far was answered with a refusal.
	refused bool
	// notBefore is when it may be carried out at the earliest, or zero.
	notBefore time.Time
}

// upload is a submission of a job: one call, or several with the same Idempotency-Key.
type upload struct {
	account  *account
	label    string
	key      string
	items    int
	invalid  int
	called   time.Duration
	id       string
	refused  bool
	retryOf  string
	body     string
	kind     string
	notify   bool
	finished time.Duration // when its end was first seen, or 0
	preview  bool
	// notBefore is when it may begin at the earliest, or zero.
	notBefore time.Time
}

// sighting is the latest state of a revocation that was seen.
type sighting struct {
	account *account
	state   revocationBody
	final   time.Duration // when it was first seen final, or 0
}

// jobSighting is the latest state of a job that was seen.
type jobSighting struct {
	account *account
	state   jobBody
}

// forever is the end time of a call that was never answered.
const forever = time.Duration(1 << 60)

func (h *history) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[what]++
}

// hurry records that a start is requested.
func (h *history) hurry(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hurried[what] = true
}

// inviteName names an invite in history.hurried.
func inviteName(account string, report int64) string { return fmt.Sprintf("%s/%d", account, report) }

// known returns the latest state of a revocation that a caller has seen, or nil. Call it before a new read begins.
func (h *history) known(id string) *sighting {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.seen[id]; s != nil {
		copied := *s
		return &copied
	}
	return nil
}

func (h *history) knownJob(id string) *jobSighting {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.jobs[id]; s != nil {
		copied := *s
		return &copied
	}
	return nil
}

// see records a read of a revocation. The read began after the state before was known. It returns an error if the
// revocation has gone backwards since.
func (h *history) see(a *account, before *sighting, now time.Duration, r revocationBody) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if before != nil {
		err = backwards(before.state, r)
	}
	s := h.seen[r.ID]
	if s == nil {
		s = &sighting{account: a, state: r}
		h.seen[r.ID] = s
	}
	if backwards(s.state, r) == nil {
		s.state = r
	}
	if r.Final && (s.final == 0 || now < s.final) {
		s.final = now
	}
	return err
}

var settledMails = map[string]bool{
	"NOT_REQUESTED": true, "SENT": true, "FAILED": true, "UNKNOWN": true, "SKIPPED": true, "DELEGATED": true,
}

// backwards returns an error if a revocation cannot change from earlier to later.
func backwards(earlier, later revocationBody) error {
	switch {
	case earlier.ReportID != later.ReportID:
		return fmt.Errorf("report_id %d became %d", earlier.ReportID, later.ReportID)
	case earlier.Attempts > later.Attempts:
		return fmt.Errorf("attempts went from %d to %d", earlier.Attempts, later.Attempts)
	case earlier.Final && (!later.Final || earlier.Status != later.Status || earlier.Attempts != later.Attempts):
		return fmt.Errorf("final %s (%d attempts) became %s (%d, final %v)",
			earlier.Status, earlier.Attempts, later.Status, later.Attempts, later.Final)
	case earlier.Status == "ERROR_REVOKING" && later.Status == "PENDING":
		return fmt.Errorf("ERROR_REVOKING became PENDING")
	case earlier.Notify && !later.Notify:
		return fmt.Errorf("notify_candidate became false")
	case earlier.Final && settledMails[earlier.Notification.Status] && later.Notification.Status != earlier.Notification.Status:
		return fmt.Errorf("the settled email went from %s to %s", earlier.Notification.Status, later.Notification.Status)
	}
	return nil
}

// seeJob is like see, for a job.
func (h *history) seeJob(a *account, before *jobSighting, now time.Duration, j jobBody) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if before != nil {
		err = jobBackwards(before.state, j)
	}
	s := h.jobs[j.ID]
	if s == nil {
		s = &jobSighting{account: a, state: j}
		h.jobs[j.ID] = s
	}
	if jobBackwards(s.state, j) == nil {
		s.state = j
	}
	if j.ended() {
		for _, u := range h.uploads {
			if u.id == j.ID && (u.finished == 0 || now < u.finished) {
				u.finished = now
			}
		}
	}
	return err
}

var jobOrder = map[string]int{
	"PREVIEWING": 0, "PREVIEWED": 1, "AWAITING_APPROVAL": 2, "SCHEDULED": 3, "QUEUED": 4, "RUNNING": 5, "CANCELLING": 6,
	"COMPLETED": 7, "CANCELLED": 7, "EXPIRED": 7,
}

func jobBackwards(earlier, later jobBody) error {
	if jobOrder[earlier.State] > jobOrder[later.State] || earlier.ended() && earlier.State != later.State {
		return fmt.Errorf("state %s became %s", earlier.State, later.State)
	}
	if earlier.Total != later.Total || earlier.Pending < later.Pending {
		return fmt.Errorf("%d of %d pending became %d of %d", earlier.Pending, earlier.Total, later.Pending, later.Total)
	}
	for status, n := range earlier.Counts {
		if later.Counts[status] < n {
			return fmt.Errorf("%s went from %d to %d", status, n, later.Counts[status])
		}
	}
	return nil
}

// addsUp returns an error if the numbers of a job are inconsistent.
func addsUp(j jobBody) error {
	sum := j.Pending + j.Retrying
	for _, n := range j.Counts {
		sum += n
	}
	if sum != j.Total || j.Pending < 0 || j.Retrying < 0 {
		return fmt.Errorf("total %d, pending %d, retrying %d, counts %v", j.Total, j.Pending, j.Retrying, j.Counts)
	}
	if j.ended() && j.Pending+j.Retrying > 0 {
		return fmt.Errorf("%s with %d pending and %d retrying", j.State, j.Pending, j.Retrying)
	}
	return nil
}

// drawRequest returns a random request for which fits returns true, or nil. It prefers recent requests.
func (h *history) drawRequest(r *rand.Rand, fits func(*request) bool) *request {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 20 {
		if len(h.requests) == 0 {
			return nil
		}
		back := r.IntN(len(h.requests))
		if r.IntN(3) > 0 {
			back = r.IntN(min(len(h.requests), 100))
		}
		if q := h.requests[len(h.requests)-1-back]; fits(q) {
			return q
		}
	}
	return nil
}

func (h *history) drawUpload(r *rand.Rand, fits func(*upload) bool) *upload {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 20 {
		if len(h.uploads) == 0 {
			return nil
		}
		back := r.IntN(min(len(h.uploads), 30))
		if u := h.uploads[len(h.uploads)-1-back]; fits(u) {
			return u
		}
	}
	return nil
}
