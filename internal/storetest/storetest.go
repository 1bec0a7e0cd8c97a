// Package storetest holds every store to the same promises: those of the domain's seams, and of the
// administration. A store's own tests call Run.
package storetest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// Store is all that a store does.
type Store interface {
	revocation.SubmissionStore
	revocation.ReadStore
	revocation.JobStore
	revocation.ExecutionStore
	revocation.DispatchStore
	revocation.NotificationStore
	revocation.BulkStore
	revocation.CallStore
	revocation.JanitorStore
	revocation.BacklogStore

	SetAccount(ctx context.Context, change revocation.AccountChange) error
	Accounts(ctx context.Context) ([]revocation.Account, error)
	AddKey(ctx context.Context, key revocation.APIKey) error
	Keys(ctx context.Context, account string) ([]revocation.APIKey, error)
	RevokeKey(ctx context.Context, account string, id revocation.ID) error
	KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error)
	UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error
	Ping(ctx context.Context) error
	Close() error
}

type test struct {
	name string
	run  func(f *fixture)
}

// Run tests the stores that open gives. Each is empty at first, belongs to one test alone, and is closed by
// open's own clean-up at that test's end.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, group := range []struct {
		name  string
		tests []test
		// byRule has the rule applied by the way that decides at once, as far as that goes.
		byRule bool
	}{
		{name: "Submit", tests: submitTests},
		{name: "Flush", tests: flushTests},
		{name: "Read", tests: readTests},
		{name: "Pages", tests: pageTests},
		{name: "Tenants", tests: tenantTests},
		{name: "CarryOut", tests: carryOutTests},
		{name: "CarryOutByRule", tests: carryOutTests, byRule: true},
		{name: "ByRule", tests: byRuleTests},
		{name: "Retry", tests: retryTests},
		{name: "Notification", tests: notificationTests},
		{name: "MailAnswers", tests: mailAnswerTests},
		{name: "Dispatch", tests: dispatchTests},
		{name: "Accounts", tests: accountTests},
		{name: "Concurrency", tests: concurrencyTests},
		{name: "ConcurrencyByRule", tests: concurrencyTests, byRule: true},
		{name: "Properties", tests: propertyTests},
		{name: "Intake", tests: intakeTests},
		{name: "JobKeys", tests: jobKeyTests},
		{name: "JobRetries", tests: jobRetryTests},
		{name: "Sizes", tests: sizeTests},
		{name: "Bulk", tests: bulkTests},
		{name: "Spill", tests: spillTests},
		{name: "JobStates", tests: jobStateTests},
		{name: "Cancel", tests: cancelTests},
		{name: "JobMail", tests: jobMailTests},
		{name: "JobUpstream", tests: jobUpstreamTests},
		{name: "JobRead", tests: jobReadTests},
		{name: "JobWaiting", tests: waitingTests},
		{name: "Housekeeping", tests: housekeepingTests},
		{name: "Backlog", tests: backlogTests},
		{name: "JobConcurrency", tests: togetherTests},
		{name: "JobRule", tests: ruleTests},
		{name: "JobProperties", tests: jobPropertyTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(newFixture(t, open(t), group.byRule)) })
			}
		})
	}
}

// Two accounts that know invites by the same numbers, 1 to invites.
const (
	acme    = "acme"
	zenith  = "zenith"
	invites = 20
)

// sentAt is when every invite of the fixture was sent, and planChange a later moment.
var (
	sentAt     = time.Date(2025, 1, 10, 9, 0, 0, 0, time.UTC)
	planChange = time.Date(2025, 1, 15, 10, 32, 45, 0, time.UTC)
	apiKey     = uuidv7.New()
	outage     = revocation.Failure{Code: revocation.CodeLockTimeout, Detail: "It was held for too long."}
)

// fixture is a test's store, with the two accounts and their invites.
type fixture struct {
	*testing.T
	Store
	byRule bool
	lost   int // emails of jobs that have become UNKNOWN
}

func newFixture(t *testing.T, store Store, byRule bool) *fixture {
	f := &fixture{T: t, Store: store, byRule: byRule}
	for _, account := range []string{acme, zenith} {
		name, contact := "The "+account+" company", "help@"+account+".example"
		f.must(f.SetAccount(t.Context(), revocation.AccountChange{ID: account, Name: &name, Contact: &contact}))
		all := make([]revocation.Invite, invites)
		for i := range all {
			all[i] = revocation.Invite{
				ReportID: int64(i + 1), CandidateName: "Ada of " + account, CandidateEmail: "ada@" + account + ".example",
				AssessmentName: "Go", SentAt: sentAt,
			}
		}
		f.must(f.UpsertInvites(t.Context(), account, all))
	}
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// same fails the test with what differs.
func (f *fixture) same(what string, want, got any) {
	f.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// code fails the test unless err is of that code.
func (f *fixture) code(want revocation.Code, err error) {
	f.Helper()
	if err == nil {
		f.Errorf("no error, want one of code %q", want)
	} else if got := revocation.ErrorCode(err); got != want {
		f.Errorf("error of code %q, want %q: %v", got, want, err)
	}
}

// request is a submission of acme's, changed by with.
func request(reportID int64, with ...func(*revocation.Submission)) revocation.Submission {
	s := revocation.Submission{ID: uuidv7.New(), Account: acme, ReportID: reportID, RequestedBy: apiKey}
	for _, change := range with {
		change(&s)
	}
	return s
}

func withNotify(s *revocation.Submission) { s.Notify = true }

func ofZenith(s *revocation.Submission) { s.Account = zenith }

func withKey(key string) func(*revocation.Submission) {
	return func(s *revocation.Submission) { s.IdempotencyKey = key }
}

func withReference(reference string) func(*revocation.Submission) {
	return func(s *revocation.Submission) { s.ClientReference = &reference }
}

func (f *fixture) submit(flush ...revocation.Submission) []revocation.Accepted {
	f.Helper()
	accepted, err := f.Submit(f.Context(), flush)
	f.must(err)
	if len(accepted) != len(flush) {
		f.Fatalf("%d answers for %d submissions", len(accepted), len(flush))
	}
	return accepted
}

// fresh submits what must give a new revocation each, and gives their first attempts.
func (f *fixture) fresh(flush ...revocation.Submission) []revocation.Ref {
	f.Helper()
	accepted := f.submit(flush...)
	refs := make([]revocation.Ref, len(flush))
	for i, s := range flush {
		f.same("answer", revocation.Accepted{ID: s.ID, Created: true}, accepted[i])
		refs[i] = revocation.Ref{Account: s.Account, ID: s.ID}
	}
	if f.Failed() {
		f.FailNow() // without them, nothing that follows makes sense
	}
	return refs
}

func (f *fixture) read(ref revocation.Ref) revocation.Revocation {
	f.Helper()
	r, err := f.Revocation(f.Context(), ref.Account, ref.ID)
	f.must(err)
	return r
}

// status fails the test unless the revocation has that status, final or not.
func (f *fixture) status(ref revocation.Ref, want revocation.Status, final bool) {
	f.Helper()
	if r := f.read(ref); r.Status != want || r.Final != final {
		f.Errorf("status %s (final: %t), want %s (%t)", r.Status, r.Final, want, final)
	}
}

// carryOut applies the rule to refs, and gives the decisions in the order of the keys.
func (f *fixture) carryOut(refs ...revocation.Ref) []revocation.Decision {
	f.Helper()
	done, err := f.applyRule(refs)
	f.must(err)
	if len(done.Locked) > 0 {
		f.Fatalf("busy without anybody else: %v", done.Locked)
	}
	return done.Decisions
}

// applyRule applies it in the fixture's way.
func (f *fixture) applyRule(refs []revocation.Ref) (revocation.BatchResult, error) {
	if !f.byRule {
		return f.CarryOut(f.Context(), refs, revocation.Decide)
	}
	return ruledFirst(f.Context(), f.Store, refs, revocation.Decide)
}

// ruledFirst does at once what can be done so, and decides about the others.
func ruledFirst(ctx context.Context, store Store, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	first, err := store.RevokeFast(ctx, refs)
	if err != nil {
		return revocation.BatchResult{}, err
	}
	left := slices.DeleteFunc(slices.Clone(refs), func(ref revocation.Ref) bool {
		return slices.ContainsFunc(first.Decisions, func(d revocation.Decision) bool { return d.Ref == ref })
	})
	done, err := store.CarryOut(ctx, left, decide)
	done.Decisions = append(first.Decisions, done.Decisions...)
	slices.SortFunc(done.Decisions, func(a, b revocation.Decision) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), cmp.Compare(a.ReportID, b.ReportID), a.ID.Compare(b.ID))
	})
	return done, err
}

func (f *fixture) carryOutBy(decide func([]revocation.LockedRevocation) []revocation.Decision, refs ...revocation.Ref) {
	f.Helper()
	done, err := f.CarryOut(f.Context(), refs, decide)
	f.must(err)
	if len(done.Locked) > 0 {
		f.Fatalf("busy without anybody else: %v", done.Locked)
	}
}

// attemptFails records a failed attempt on refs; the next becomes due between half of delay and delay later.
func (f *fixture) attemptFails(delay time.Duration, refs ...revocation.Ref) []revocation.Decision {
	f.Helper()
	return f.failBy(revocation.RetryPolicy{Base: delay, Max: delay, MaxAttempts: 3}, refs...)
}

func (f *fixture) failBy(policy revocation.RetryPolicy, refs ...revocation.Ref) []revocation.Decision {
	f.Helper()
	done, err := f.RecordOutcomes(f.Context(), refs, func(held []revocation.LockedRevocation) []revocation.Decision {
		return revocation.DecideFailed(held, outage, policy)
	})
	f.must(err)
	return done.Decisions
}

// decideAll makes the same of everything.
func decideAll(decide func(h revocation.LockedRevocation) revocation.Decision) func([]revocation.LockedRevocation) []revocation.Decision {
	return func(held []revocation.LockedRevocation) []revocation.Decision {
		var all []revocation.Decision
		for _, h := range held {
			d := decide(h)
			d.Ref, d.ReportID, d.Job, d.Notify = h.Ref, h.ReportID, h.Job, h.Notify
			all = append(all, d)
		}
		return all
	}
}

// postponed is no attempt: it comes again after delay.
func postponed(delay time.Duration) func([]revocation.LockedRevocation) []revocation.Decision {
	return decideAll(func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{Delay: delay} })
}
