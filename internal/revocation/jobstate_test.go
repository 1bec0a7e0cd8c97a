package revocation

import (
	"testing"
	"time"
)

// The times of the tests. A preview that was ready at ready can be confirmed until expiry.
var (
	jobNow = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	expiry = jobNow.Add(time.Hour)
	keyA   = ID{15: 1}
	keyB   = ID{15: 2}
	keyC   = ID{15: 3}
)

// jobIn returns a job of ten items, of which seven can be revoked, in the given state. keyA has submitted and keyB has
// confirmed it.
func jobIn(state JobState) Job {
	j := Job{State: state, RequestedBy: keyA, Total: 10, Counts: Counts{Invalid: 1}}
	switch state {
	case JobReceiving, JobQueued, JobRunning, JobCompleted:
		return j
	default:
		j.Preview = &Preview{Predicted: PredictedCounts{Revoked: 7, NotFound: 2, Invalid: 1}}
	}
	switch state {
	case JobPreviewed:
		j.ExpiresAt = expiry
	case JobAwaitingApproval:
		j.ConfirmedBy, j.CountedAt, j.ExpiresAt = keyB, jobNow, expiry
	case JobScheduled:
		j.ConfirmedBy, j.ApprovedBy, j.CountedAt, j.DueAt = keyB, keyC, jobNow, expiry
	}
	return j
}

// outcome is what a change does: the state afterwards, or the code of the error.
type outcome struct {
	state JobState
	code  Code
	// quiet reports that there is no event.
	quiet bool
}

func TestJob_Change_everyPair(t *testing.T) {
	allStates := append([]JobState{JobReceiving, JobDropped}, JobStates...)
	refused := outcome{code: CodeWrongState}
	table := map[JobChangeKind]map[JobState]outcome{
		ChangeAccept:    {JobReceiving: {state: JobQueued}},
		ChangePredicted: {JobPreviewing: {state: JobPreviewed}},
		ChangeConfirm: {
			JobPreviewed: {state: JobQueued},
			// It was confirmed before.
			JobAwaitingApproval: {state: JobAwaitingApproval, quiet: true}, JobScheduled: {state: JobScheduled, quiet: true},
		},
		ChangeApprove: {
			JobAwaitingApproval: {state: JobQueued},
			JobScheduled:        {state: JobScheduled, quiet: true}, // it was approved before
		},
		ChangeStart: {JobScheduled: {state: JobQueued}},
		ChangeCancel: {
			JobPreviewing: {state: JobCancelling}, JobPreviewed: {state: JobCancelling}, JobAwaitingApproval: {state: JobCancelling},
			JobScheduled: {state: JobCancelling}, JobQueued: {state: JobCancelling}, JobRunning: {state: JobCancelling},
			JobCancelling: {state: JobCancelling, quiet: true}, JobCancelled: {state: JobCancelled, quiet: true},
		},
		ChangeDue:    {},
		ChangeExpire: {},
	}
	otherwise := map[JobChangeKind]outcome{
		ChangeAccept: {code: CodeJobEnded}, ChangePredicted: {quiet: true}, ChangeConfirm: refused, ChangeApprove: refused,
		ChangeStart: refused, ChangeCancel: {code: CodeJobEnded}, ChangeDue: {quiet: true}, ChangeExpire: {quiet: true},
	}
	for kind, known := range table {
		for _, state := range allStates {
			want, ok := known[state]
			if !ok {
				want = otherwise[kind]
				if want.state = state; want.code != "" {
					want.state = ""
				}
			}
			j := jobIn(state)
			before := j
			events, err := j.Change(JobChange{Kind: kind, By: ByKey(keyC), Count: 7, PreviewTTL: time.Hour}, JobFacts{Now: jobNow})
			switch {
			case want.code != "":
				if err == nil || ErrorCode(err) != want.code || j != before {
					t.Errorf("change %d of a job that is %s: %v and %+v, want %s and no change", kind, state, err, j, want.code)
				}
			case err != nil || j.State != want.state:
				t.Errorf("change %d of a job that is %s: %s and %v, want %s", kind, state, j.State, err, want.state)
			case want.quiet != (len(events) == 0) || want.quiet && j != before:
				t.Errorf("change %d of a job that is %s has the events %v", kind, state, events)
			}
		}
	}
}

func TestJob_Change(t *testing.T) {
	limit := func(n int) *int { return &n }
	ready := jobIn(JobReceiving)
	later := ready
	later.NotBefore = jobNow.Add(2 * time.Hour)
	past := ready
	past.NotBefore = jobNow.Add(-time.Hour)
	empty := Job{State: JobReceiving, Total: 2, Counts: Counts{Invalid: 2}, NotBefore: later.NotBefore}
	confirm := JobChange{Kind: ChangeConfirm, By: ByKey(keyB), Count: 7}
	approve := JobChange{Kind: ChangeApprove, By: ByKey(keyC), Count: 7}
	for _, test := range []struct {
		name   string
		job    Job
		change JobChange
		facts  JobFacts
		want   outcome
		due    time.Time
	}{
		{"a hold delays an accepted job", ready, JobChange{Kind: ChangeAccept}, JobFacts{Settings: AccountSettings{Hold: time.Hour}}, outcome{state: JobScheduled}, jobNow.Add(time.Hour)},
		{"a later not_before counts", later, JobChange{Kind: ChangeAccept}, JobFacts{Settings: AccountSettings{Hold: time.Hour}}, outcome{state: JobScheduled}, later.NotBefore},
		{"a past not_before is now", past, JobChange{Kind: ChangeAccept}, JobFacts{}, outcome{state: JobQueued}, time.Time{}},
		{"without a readable item a job is completed", empty, JobChange{Kind: ChangeAccept, WantsPreview: true}, JobFacts{Settings: AccountSettings{Hold: time.Hour}}, outcome{state: JobCompleted}, time.Time{}},
		{"a preview is requested", ready, JobChange{Kind: ChangeAccept, WantsPreview: true}, JobFacts{}, outcome{state: JobPreviewing}, time.Time{}},
		{"on an upstream it is complete at once", ready, JobChange{Kind: ChangeAccept, WantsPreview: true, PreviewTTL: time.Hour}, JobFacts{Upstream: true}, outcome{state: JobPreviewed}, time.Time{}},
		{"as many as the limit need no preview", ready, JobChange{Kind: ChangeAccept}, JobFacts{Settings: AccountSettings{ConfirmAbove: limit(9)}}, outcome{state: JobQueued}, time.Time{}},
		{"one more needs one", ready, JobChange{Kind: ChangeAccept}, JobFacts{Settings: AccountSettings{ConfirmAbove: limit(8)}}, outcome{state: JobPreviewing}, time.Time{}},
		{"other jobs count", ready, JobChange{Kind: ChangeAccept}, JobFacts{Settings: AccountSettings{ConfirmAbove: limit(9)}, Recent: RecentItems{Unpreviewed: 1}}, outcome{state: JobPreviewing}, time.Time{}},
		{"the limit of approvals needs a preview too", ready, JobChange{Kind: ChangeAccept}, JobFacts{Settings: AccountSettings{ApproveAbove: limit(9)}, Recent: RecentItems{Unapproved: 1}}, outcome{state: JobPreviewing}, time.Time{}},
		{"as many as the limit need no approval", jobIn(JobPreviewed), confirm, JobFacts{Settings: AccountSettings{ApproveAbove: limit(7)}}, outcome{state: JobQueued}, time.Time{}},
		{"one more needs one", jobIn(JobPreviewed), confirm, JobFacts{Settings: AccountSettings{ApproveAbove: limit(7)}, Recent: RecentItems{Unapproved: 1}}, outcome{state: JobAwaitingApproval}, time.Time{}},
		{"a hold delays a confirmed job", jobIn(JobPreviewed), confirm, JobFacts{Settings: AccountSettings{Hold: time.Minute}}, outcome{state: JobScheduled}, jobNow.Add(time.Minute)},
		{"a wrong count", jobIn(JobPreviewed), JobChange{Kind: ChangeConfirm, Count: 8}, JobFacts{}, outcome{code: CodeCountMismatch}, time.Time{}},
		{"a wrong count of an approval", jobIn(JobAwaitingApproval), JobChange{Kind: ChangeApprove, By: ByKey(keyC), Count: 8}, JobFacts{}, outcome{code: CodeCountMismatch}, time.Time{}},
		{"another count later", jobIn(JobAwaitingApproval), JobChange{Kind: ChangeConfirm, Count: 8}, JobFacts{}, outcome{code: CodeWrongState}, time.Time{}},
		{"the key that submitted", jobIn(JobAwaitingApproval), JobChange{Kind: ChangeApprove, By: ByKey(keyA), Count: 7}, JobFacts{}, outcome{code: CodeSameKey}, time.Time{}},
		{"the key that confirmed", jobIn(JobAwaitingApproval), JobChange{Kind: ChangeApprove, By: ByKey(keyB), Count: 7}, JobFacts{}, outcome{code: CodeSameKey}, time.Time{}},
		{"just before the expiry", jobIn(JobPreviewed), confirm, JobFacts{Now: expiry.Add(-1)}, outcome{state: JobQueued}, time.Time{}},
		{"a confirmation at the moment of the expiry", jobIn(JobPreviewed), confirm, JobFacts{Now: expiry}, outcome{code: CodeWrongState}, time.Time{}},
		{"an approval at that moment", jobIn(JobAwaitingApproval), approve, JobFacts{Now: expiry}, outcome{code: CodeWrongState}, time.Time{}},
		{"a cancel at that moment", jobIn(JobPreviewed), JobChange{Kind: ChangeCancel}, JobFacts{Now: expiry}, outcome{code: CodeJobEnded}, time.Time{}},
		{"the expiry", jobIn(JobAwaitingApproval), JobChange{Kind: ChangeExpire}, JobFacts{Now: expiry}, outcome{state: JobExpired}, time.Time{}},
		{"a job is due at its time", jobIn(JobScheduled), JobChange{Kind: ChangeDue}, JobFacts{Now: expiry}, outcome{state: JobQueued}, expiry},
		{"and not before", jobIn(JobScheduled), JobChange{Kind: ChangeDue}, JobFacts{Now: expiry.Add(-1)}, outcome{state: JobScheduled, quiet: true}, expiry},
		{"a key that only approves cancels what waits for it", jobIn(JobAwaitingApproval), JobChange{Kind: ChangeCancel, OnlyApproval: true}, JobFacts{}, outcome{state: JobCancelling}, time.Time{}},
		{"and nothing else", jobIn(JobScheduled), JobChange{Kind: ChangeCancel, OnlyApproval: true}, JobFacts{}, outcome{code: CodeMissingScope}, expiry},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := test.job
			if test.facts.Now.IsZero() {
				test.facts.Now = jobNow
			}
			events, err := j.Change(test.change, test.facts)
			if test.want.code != "" {
				if err == nil || ErrorCode(err) != test.want.code {
					t.Errorf("%v, want %s", err, test.want.code)
				}
				return
			}
			if err != nil || j.State != test.want.state || !j.DueAt.Equal(test.due) || test.want.quiet != (len(events) == 0) {
				t.Errorf("%s, due at %v, events %v, %v; want %+v, due at %v", j.State, j.DueAt, events, err, test.want, test.due)
			}
			if (j.State == JobQueued) == j.QueuedAt.IsZero() || j.Ended() == j.FinishedAt.IsZero() {
				t.Errorf("%s, queued at %v, finished at %v", j.State, j.QueuedAt, j.FinishedAt)
			}
			if j.State == JobExpired && j.Counts.Sum() != j.Total {
				t.Errorf("%+v of %d items", j.Counts, j.Total)
			}
		})
	}
}
