package storetest

import (
	"pgregory.net/rapid"

	"rescind/internal/revocation"
)

const (
	modelReports  = 3 // invites that exist; the number after is unknown
	modelAttempts = 3
)

// model is the expected content of the store. Only one goroutine uses both, so every outcome is known.
type model struct {
	store   Store
	f       *fixture
	account string
	ids     []revocation.ID // in the order of creation
	all     map[revocation.ID]*modelled
	under   map[int64]revocation.ID // revocations that a submission joins
	revoked map[int64]bool
	started map[int64]bool
	spares  bool
	keys    map[string]modelledKey
	jobs    []*modelledJob // in the order of creation
	jobKeys map[string]*modelledJob
}

// modelled is the expected state of a revocation.
type modelled struct {
	report   int64
	notify   bool
	status   revocation.Status
	final    bool
	attempts int
	// work reports that it has a work item, due that an attempt can be claimed, claimed that an attempt is claimed.
	work    bool
	due     bool
	claimed bool
	// job is nil for a single submission. mail is the stored status of its email, and empty without an email.
	job     *modelledJob
	mail    revocation.NotificationStatus
	mailDue bool
}

type modelledKey struct {
	request revocation.Submission
	id      revocation.ID
}

func newModel(f *fixture, t *rapid.T, account string) *model {
	m := &model{
		store: f.Store, f: f, account: account,
		all: make(map[revocation.ID]*modelled), under: make(map[int64]revocation.ID),
		revoked: make(map[int64]bool), started: make(map[int64]bool), keys: make(map[string]modelledKey), jobKeys: make(map[string]*modelledJob),
	}
	m.spares = rapid.Bool().Draw(t, "spares")
	m.must(t, f.SetAccount(f.Context(), revocation.AccountChange{ID: account, SpareStarted: &m.spares}))
	known := make([]revocation.Invite, modelReports)
	for i := range known {
		known[i] = revocation.Invite{ReportID: int64(i + 1), SentAt: sentAt}
	}
	known[0].Progress, m.started[1] = revocation.ProgressStarted, true
	m.must(t, f.UpsertInvites(f.Context(), account, known))
	return m
}

func (m *model) must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// accept applies one submission to the model and returns the expected answer.
func (m *model) accept(s revocation.Submission) (id revocation.ID, created bool, code revocation.Code) {
	if known, ok := m.keys[s.IdempotencyKey]; ok {
		if known.request.ReportID != s.ReportID || known.request.Notify != s.Notify {
			return id, false, revocation.CodeIdempotencyMismatch
		}
		return known.id, false, ""
	}
	if s.ReportID > modelReports {
		return id, false, revocation.CodeNotFound
	}
	id, joined := m.under[s.ReportID]
	if joined {
		m.all[id].notify = m.all[id].notify || s.Notify
	} else {
		id = s.ID
		m.ids = append(m.ids, id)
		m.under[s.ReportID] = id
		m.all[id] = &modelled{report: s.ReportID, notify: s.Notify, status: revocation.StatusPending, work: true}
	}
	if s.IdempotencyKey != "" {
		m.keys[s.IdempotencyKey] = modelledKey{s, id}
	}
	return id, !joined, ""
}

// decided checks the decisions and applies them to the model.
func (m *model) decided(t *rapid.T, live map[revocation.ID]bool, done revocation.BatchResult) {
	over := make(map[revocation.ID]bool)
	for _, d := range done.Decisions {
		r := m.all[d.ID]
		if r == nil || !live[d.ID] || d.Attempt != r.attempts || d.ReportID != r.report || d.Notify != r.notify {
			t.Fatalf("decided %+v about %+v", d, r)
		}
		live[d.ID] = false
		m.apply(t, r, d)
		if r.job != nil && r.job.ends(m) {
			over[r.job.final.ID] = true
		}
	}
	for id, waiting := range live {
		if waiting {
			t.Fatalf("nothing was decided about %+v", m.all[id])
		}
	}
	for _, id := range done.Ended {
		if !over[id] {
			t.Fatalf("job %v did not end with it", id)
		}
		delete(over, id)
	}
	if len(over) > 0 || len(done.Locked) > 0 {
		t.Fatalf("jobs %v ended, and %v are locked", over, done.Locked)
	}
}

// canFollow reports whether a revocation that is not final can get the status next.
func canFollow(status, next revocation.Status) bool {
	open := status == revocation.StatusPending || status == revocation.StatusErrorRevoking
	return open && next != revocation.StatusPending && next != revocation.StatusInvalid
}

// apply applies a decision to a revocation.
func (m *model) apply(t *rapid.T, r *modelled, d revocation.Decision) {
	final := d.Kind == revocation.Final
	r.due, r.work, r.claimed = !final, !final, false
	cancelling := r.job != nil && r.job.cancelled
	if !d.HasStatus() && !cancelling {
		if r.job != nil {
			r.job.begin(false)
		}
		return
	}
	if want := m.rule(r.report); d.Status != revocation.StatusErrorRevoking && d.Status != want && !cancelling ||
		cancelling && d.Status != revocation.StatusErrorRevoking && d.Status != revocation.StatusCancelled ||
		!canFollow(r.status, d.Status) {
		t.Fatalf("%s after %s, want %s (job: %+v)", d.Status, r.status, want, r.job)
	}
	r.status, r.final, r.attempts = d.Status, final, d.Attempts()
	m.revoked[r.report] = m.revoked[r.report] || d.Status == revocation.StatusRevoked
	if r.job == nil {
		if final {
			delete(m.under, r.report)
		}
		return
	}
	r.job.begin(d.Status != revocation.StatusCancelled)
	if r.mailDue = d.Status == revocation.StatusRevoked && r.notify; r.mailDue {
		r.mail = revocation.NotificationPending
	}
}

// rule returns the outcome that an attempt on an invite must have now.
func (m *model) rule(report int64) revocation.Status {
	switch {
	case report > modelReports:
		return revocation.StatusNotFound
	case m.revoked[report]:
		return revocation.StatusAlreadyRevoked
	case m.spares && m.started[report]:
		return revocation.StatusAlreadyStarted
	default:
		return revocation.StatusRevoked
	}
}

// check compares the list of revocations with the model.
func (m *model) check(t *rapid.T) {
	page, err := m.store.Revocations(m.f.Context(), revocation.Filter{Account: m.account, Limit: 1000})
	m.must(t, err)
	if len(page.Entries) != len(m.ids) {
		t.Fatalf("%d revocations, want %d", len(page.Entries), len(m.ids))
	}
	for _, r := range page.Entries {
		want, ok := m.all[r.ID]
		if !ok {
			t.Fatalf("not in the model: %+v", r)
		}
		m.compare(t, r, want)
	}
}

// compare fails unless a revocation equals the expected state.
func (m *model) compare(t *rapid.T, r revocation.Revocation, want *modelled) {
	got := *want
	got.report, got.notify, got.status, got.final, got.attempts = r.ReportID, r.Notify, r.Status, r.Final, r.Attempts
	if got != *want || (want.job == nil) != r.Job.IsZero() || want.job != nil && r.Job != want.job.final.ID {
		t.Fatalf("revocation %+v, want %+v", r, *want)
	}
	if waits := r.Status == revocation.StatusErrorRevoking && !r.Final; waits == r.NextAttemptAt.IsZero() {
		t.Fatalf("%s (final: %t), and the next attempt is at %v", r.Status, r.Final, r.NextAttemptAt)
	}
	if (r.LastError != nil) != (r.Status == revocation.StatusErrorRevoking) {
		t.Fatalf("%s with the error %v", r.Status, r.LastError)
	}
	wantEmail := revocation.ShownNotification(want.notify, want.final, want.status, want.mail)
	if r.Notification.Status != wantEmail {
		t.Fatalf("email %s, want %s", r.Notification.Status, wantEmail)
	}
}
