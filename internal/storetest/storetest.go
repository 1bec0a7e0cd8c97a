// Package storetest is the conformance suite of the stores: each store must keep the promises of the domain's store
// interfaces and of the administration. The tests of a store call Run.
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

// Store is the set of all methods of a store.
type Store interface {
	revocation.SubmissionStore
	revocation.SingleStore
	revocation.ReadStore
	revocation.JobStore
	revocation.ExecutionStore
	revocation.DispatchStore
	revocation.NotificationStore
	revocation.BulkStore
	revocation.CallStore
	revocation.JanitorStore
	revocation.BacklogStore
	revocation.InviteStore
	revocation.EventStore

	SetAccount(ctx context.Context, change revocation.AccountChange) error
	Accounts(ctx context.Context) ([]revocation.Account, error)
	Account(ctx context.Context, id string) (revocation.Account, error)
	AddKey(ctx context.Context, key revocation.APIKey) error
	Keys(ctx context.Context, account string) ([]revocation.APIKey, error)
	RevokeKey(ctx context.Context, account string, id revocation.ID) error
	KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error)
	Ping(ctx context.Context) error
	Close() error
}

type test struct {
	name string
	run  func(f *fixture)
}

// Run runs the suite. It calls open once for each test. Open must return an empty store that no other test uses, with its
// tables, and must close it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) (Store, Tables)) {
	for _, group := range []struct {
		name  string
		tests []test
		// fastPath applies the rule with RevokeFast, and with CarryOut where RevokeFast makes no decision.
		fastPath bool
		// slow groups take seconds, and are left out with -short.
		slow bool
	}{
		{name: "Submit", tests: submitTests},
		{name: "SubmitBatch", tests: batchTests},
		{name: "Read", tests: readTests},
		{name: "Pages", tests: pageTests, slow: true},
		{name: "Tenants", tests: tenantTests},
		{name: "CarryOut", tests: carryOutTests},
		{name: "CarryOutFastPath", tests: carryOutTests, fastPath: true},
		{name: "FastPath", tests: fastPathTests},
		{name: "Singles", tests: singleTests, slow: true},
		{name: "Retry", tests: retryTests},
		{name: "Notification", tests: notificationTests},
		{name: "MailAnswers", tests: mailAnswerTests},
		{name: "Dispatch", tests: dispatchTests},
		{name: "Accounts", tests: accountTests},
		{name: "Events", tests: eventTests},
		{name: "EventsFastPath", tests: eventTests, fastPath: true},
		{name: "EventReaders", tests: eventReaderTests, slow: true},
		{name: "Concurrency", tests: concurrencyTests, slow: true},
		{name: "ConcurrencyFastPath", tests: concurrencyTests, fastPath: true, slow: true},
		{name: "Properties", tests: propertyTests, slow: true},
		{name: "JobUpload", tests: uploadTests},
		{name: "JobKeys", tests: jobKeyTests},
		{name: "JobRetries", tests: jobRetryTests},
		{name: "Sizes", tests: sizeTests, slow: true},
		{name: "Bulk", tests: bulkTests},
		{name: "Spill", tests: spillTests},
		{name: "JobStates", tests: jobStateTests},
		{name: "JobChanges", tests: jobChangeTests},
		{name: "Limits", tests: limitTests},
		{name: "JobRaces", tests: jobRaceTests, slow: true},
		{name: "Cancel", tests: cancelTests},
		{name: "JobMail", tests: jobMailTests},
		{name: "JobUpstream", tests: jobUpstreamTests},
		{name: "JobRead", tests: jobReadTests},
		{name: "JobWaiting", tests: waitingTests, slow: true},
		{name: "Housekeeping", tests: housekeepingTests, slow: true},
		{name: "Backlog", tests: backlogTests},
		{name: "JobConcurrency", tests: jobConcurrencyTests, slow: true},
		{name: "JobRule", tests: ruleTests, slow: true},
		{name: "JobProperties", tests: jobPropertyTests, slow: true},
		{name: "Forget", tests: forgetTests},
		{name: "ForgetTables", tests: forgetTableTests},
		{name: "Invites", tests: inviteTests},
		{name: "Selections", tests: selectionTests, slow: true},
		{name: "Preview", tests: previewTests},
		{name: "PreviewStates", tests: previewStateTests},
		{name: "PreviewProperties", tests: previewPropertyTests, slow: true},
	} {
		t.Run(group.name, func(t *testing.T) {
			if group.slow && testing.Short() {
				t.Skip("takes seconds")
			}
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					store, tables := open(t)
					test.run(newFixture(t, store, tables, group.fastPath))
				})
			}
		})
	}
}

// The two accounts of a fixture. Each has invites with the report ids 1 to invites.
const (
	acme    = "acme"
	zenith  = "zenith"
	invites = 20
)

// Every invite of a fixture was sent at sentAt. The time planChange is later.
var (
	sentAt     = time.Date(2025, 1, 10, 9, 0, 0, 0, time.UTC)
	planChange = time.Date(2025, 1, 15, 10, 32, 45, 0, time.UTC)
	apiKey     = uuidv7.New()
	outage     = revocation.Failure{Code: revocation.CodeLockTimeout, Detail: "It was held for too long."}
)

// fixture is the store of one test, with two accounts and their invites.
type fixture struct {
	*testing.T
	Store
	tables   Tables
	fastPath bool
	lost     int // number of emails of jobs that have become UNKNOWN
}

func newFixture(t *testing.T, store Store, tables Tables, fastPath bool) *fixture {
	f := &fixture{T: t, Store: store, tables: tables, fastPath: fastPath}
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

// equal fails the test unless want and got are equal. It shows the differences.
func (f *fixture) equal(what string, want, got any) {
	f.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// code fails the test unless err has the code want.
func (f *fixture) code(want revocation.Code, err error) {
	f.Helper()
	if err == nil {
		f.Errorf("no error, want one of code %q", want)
	} else if got := revocation.ErrorCode(err); got != want {
		f.Errorf("error of code %q, want %q: %v", got, want, err)
	}
}

// request returns a submission of acme's, changed by the functions with.
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

func (f *fixture) submit(batch ...revocation.Submission) []revocation.Accepted {
	f.Helper()
	accepted, err := f.Submit(f.Context(), batch)
	f.must(err)
	if len(accepted) != len(batch) {
		f.Fatalf("%d answers for %d submissions", len(accepted), len(batch))
	}
	return accepted
}

// submitNew submits requests that must each create a revocation. It returns their first attempts.
func (f *fixture) submitNew(batch ...revocation.Submission) []revocation.Ref {
	f.Helper()
	accepted := f.submit(batch...)
	refs := make([]revocation.Ref, len(batch))
	for i, s := range batch {
		f.equal("answer", revocation.Accepted{ID: s.ID, Created: true, Waits: !s.DueAt(time.Now()).IsZero()}, accepted[i])
		refs[i] = revocation.Ref{Account: s.Account, ID: s.ID}
	}
	if f.Failed() {
		f.FailNow() // the rest of the test needs the revocations
	}
	return refs
}

func (f *fixture) read(ref revocation.Ref) revocation.Revocation {
	f.Helper()
	r, err := f.Revocation(f.Context(), ref.Account, ref.ID)
	f.must(err)
	return r
}

// status fails the test unless the revocation has the status want, and is final or not as given.
func (f *fixture) status(ref revocation.Ref, want revocation.Status, final bool) {
	f.Helper()
	if r := f.read(ref); r.Status != want || r.Final != final {
		f.Errorf("status %s (final: %t), want %s (%t)", r.Status, r.Final, want, final)
	}
}

// carryOut applies the rule to refs. It returns the decisions in the order of the keys.
func (f *fixture) carryOut(refs ...revocation.Ref) []revocation.Decision {
	f.Helper()
	done, err := f.applyRule(refs)
	f.must(err)
	if len(done.Locked) > 0 {
		f.Fatalf("locked without a concurrent transaction: %v", done.Locked)
	}
	return done.Decisions
}

// applyRule applies the rule to refs, with the fast path if the fixture says so.
func (f *fixture) applyRule(refs []revocation.Ref) (revocation.BatchResult, error) {
	if !f.fastPath {
		return f.CarryOut(f.Context(), refs, revocation.Decide)
	}
	return fastPathFirst(f.Context(), f.Store, refs, revocation.Decide)
}

// fastPathFirst calls RevokeFast for refs, and CarryOut for the refs that RevokeFast leaves.
func fastPathFirst(ctx context.Context, store Store, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
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
		f.Fatalf("locked without a concurrent transaction: %v", done.Locked)
	}
}

// attemptFails records a failed attempt on refs. The next attempt becomes due after between half of delay and delay.
func (f *fixture) attemptFails(delay time.Duration, refs ...revocation.Ref) []revocation.Decision {
	f.Helper()
	return f.failBy(revocation.RetryPolicy{Base: delay, Max: delay, MaxAttempts: 3}, refs...)
}

func (f *fixture) failBy(policy revocation.RetryPolicy, refs ...revocation.Ref) []revocation.Decision {
	f.Helper()
	done, err := f.RecordOutcomes(f.Context(), refs, func(locked []revocation.LockedRevocation) []revocation.Decision {
		return revocation.DecideFailed(locked, outage, policy)
	})
	f.must(err)
	return done.Decisions
}

// decideAll returns a function that makes the decision of decide about each revocation.
func decideAll(decide func(h revocation.LockedRevocation) revocation.Decision) func([]revocation.LockedRevocation) []revocation.Decision {
	return func(locked []revocation.LockedRevocation) []revocation.Decision {
		var all []revocation.Decision
		for _, h := range locked {
			d := decide(h)
			d.Ref, d.ReportID, d.Job, d.Notify = h.Ref, h.ReportID, h.Job, h.Notify
			all = append(all, d)
		}
		return all
	}
}

// postponed decides to postpone the attempts by delay, without counting one.
func postponed(delay time.Duration) func([]revocation.LockedRevocation) []revocation.Decision {
	return decideAll(func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{Delay: delay} })
}
