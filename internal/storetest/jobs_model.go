package storetest

import (
	"slices"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rescind/internal/revocation"
)

// modelledJob is the expected state of a job.
type modelledJob struct {
	final revocation.FinalJob
	items []revocation.Item
	// stage is RECEIVING, DROPPED, or QUEUED for every job that was finalized.
	stage revocation.JobState
	// silent reports that the lease has expired.
	silent    bool
	chunk     bool
	cancelled bool
	ended     bool
	// begun reports that the job must have started, and touched that it may have started.
	begun, touched bool
}

// begin notes that the job has started, or that it may have if surely is false.
func (j *modelledJob) begin(surely bool) {
	j.begun = j.begun || surely
	j.touched = true
}

// ends marks the job as ended if all its items are final. It reports whether the job ended with this call.
func (j *modelledJob) ends(m *model) bool {
	if j.ended {
		return false
	}
	now := j.count(m)
	j.ended = now.Counts.Sum() == len(j.items)
	return j.ended
}

// states returns the states in which the job may be.
func (j *modelledJob) states() []revocation.JobState {
	switch {
	case j.ended && j.cancelled:
		return []revocation.JobState{revocation.JobCancelled}
	case j.ended:
		return []revocation.JobState{revocation.JobCompleted}
	case j.cancelled:
		return []revocation.JobState{revocation.JobCancelling}
	case j.begun:
		return []revocation.JobState{revocation.JobRunning}
	case j.touched:
		return []revocation.JobState{revocation.JobRunning, revocation.JobQueued}
	default:
		return []revocation.JobState{revocation.JobQueued}
	}
}

// item returns the revocation of a row, or nil if the row is invalid.
func (j *modelledJob) item(m *model, row int) *modelled { return m.all[j.final.ID.Item(row)] }

// count counts the items.
func (j *modelledJob) count(m *model) (want revocation.Job) {
	want.Total = len(j.items)
	for i := range j.items {
		r := j.item(m, i+1)
		if r == nil {
			want.Counts.Invalid++
			continue
		}
		switch {
		case r.final:
			*want.Counts.Of(r.status)++
		case r.attempts > 0:
			want.Retrying++
		}
		switch r.mail {
		case revocation.NotificationPending:
			want.Mails.Pending++
		case revocation.NotificationSent:
			want.Mails.Sent++
		case revocation.NotificationFailed:
			want.Mails.Failed++
		case revocation.NotificationUnknown:
			want.Mails.Unknown++
		}
	}
	return want
}

// checkJobs compares the list of jobs with the model.
func (m *model) checkJobs(t *rapid.T) {
	page, err := m.store.Jobs(m.f.Context(), revocation.JobFilter{Account: m.account, Limit: 100})
	m.must(t, err)
	jobs := page.Entries
	for _, j := range slices.Backward(m.jobs) {
		if j.stage != revocation.JobQueued {
			continue
		}
		if len(jobs) == 0 || jobs[0].ID != j.final.ID {
			t.Fatalf("not listed in its place: %+v", j)
		}
		m.compareJob(t, jobs[0], j)
		jobs = jobs[1:]
	}
	if len(jobs) > 0 {
		t.Fatalf("not in the model: %+v", jobs)
	}
}

func (m *model) compareJob(t *rapid.T, got revocation.Job, j *modelledJob) {
	want := j.count(m)
	if got.Total != want.Total || got.Retrying != want.Retrying || got.Counts != want.Counts || got.Mails != want.Mails ||
		!slices.Contains(j.states(), got.State) || got.Pending() < 0 {
		t.Fatalf("job %+v, want %+v and one of %v", got, want, j.states())
	}
}

// checkResults compares each job and its items with the model.
func (m *model) checkResults(t *rapid.T) {
	for _, j := range m.jobs {
		page, err := m.store.Results(m.f.Context(), revocation.ResultFilter{Account: m.account, Job: j.final.ID, Limit: 100})
		m.must(t, err)
		results := page.Entries
		got, err := m.store.Job(m.f.Context(), m.account, j.final.ID)
		if j.stage != revocation.JobQueued {
			if len(results) > 0 || err == nil || revocation.ErrorCode(err) != revocation.CodeNotFound {
				t.Fatalf("of a %s job there are %+v and %d items (%v)", j.stage, got, len(results), err)
			}
			continue
		}
		m.must(t, err)
		m.compareJob(t, got, j)
		if len(results) != len(j.items) {
			t.Fatalf("%d items, want %d", len(results), len(j.items))
		}
		for i, r := range results {
			switch want := j.item(m, i+1); {
			case want != nil:
				m.compare(t, r, want)
			case r.Status != revocation.StatusInvalid || !r.Final || r.Invalid != j.items[i].Invalid || r.ID.Row() != i+1:
				t.Fatalf("row %d is %+v, want %+v", i+1, r, j.items[i])
			}
		}
	}
}

// checkWork fails unless the account has exactly the account tasks that it needs.
func (m *model) checkWork(t *rapid.T) {
	want, got := make(map[revocation.AccountTask]bool), make(map[revocation.AccountTask]bool)
	for _, j := range m.jobs {
		if j.chunk {
			want[revocation.JobsTask] = true
		}
	}
	for _, r := range m.all {
		if r.job != nil && r.work && (r.due || r.job.cancelled && !r.claimed) {
			want[revocation.JobsTask] = true
		}
		if r.mailDue {
			want[revocation.MailTask] = true
		}
	}
	pending, err := m.store.PendingWork(m.f.Context())
	m.must(t, err)
	for _, w := range pending.AccountTasks {
		if w.Account == m.account {
			got[w.Task] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("work (-want +got):\n%s", diff)
	}
}
