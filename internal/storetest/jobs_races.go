package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// races is how often each race is run.
const races = 60

// dueJob is the change of a job whose time may have come.
var dueJob = revocation.JobChange{Kind: revocation.ChangeDue, By: revocation.Actor{Type: revocation.ActorService}}

// raceCancel cancels a job while another change is applied to it, and returns the job and the other's error. The cancel must
// succeed, and the job's values and events tell whether the other change came first.
func (f *fixture) raceCancel(job revocation.Job, change revocation.JobChange, events ...revocation.EventType) {
	f.Helper()
	var refused error
	if _, err := concurrently(2, func(i int) (struct{}, error) {
		if i == 0 {
			_, err := cancelJob(f.Context(), f.Store, acme, job.ID)
			return struct{}{}, err
		}
		_, refused = f.ChangeJob(f.Context(), acme, job.ID, change)
		return struct{}{}, nil
	}); err != nil {
		f.Fatal(err)
	}
	page := f.eventPage(revocation.EventFilter{Account: acme, Subject: job.ID.String(), Limit: 10})
	told := make([]revocation.EventType, len(page.Events))
	for i, e := range page.Events {
		told[i] = e.Type
	}
	first := slices.Contains(told, events[0])
	if !first {
		events = nil
	}
	f.equal("events at the end", append(events, revocation.EventJobCancelRequested), told[len(told)-len(events)-1:])
	switch {
	case change.Kind == revocation.ChangeDue: // of the service, which is not told of a change that came too late
		f.must(refused)
	case first:
		f.must(refused)
	default:
		f.code(revocation.CodeWrongState, refused)
	}
	j := f.job(job)
	f.equal("state", revocation.JobCancelling, j.State)
	f.equal("begun", slices.Contains(events, revocation.EventJobStarted), !j.QueuedAt.IsZero())
	if change.Kind == revocation.ChangeConfirm {
		f.equal("confirmed", first, !j.ConfirmedBy.IsZero())
	}
	if f.Failed() {
		f.FailNow()
	}
}

var jobRaceTests = []test{
	{"a cancel that races with a confirmation: both or only the cancel", func(f *fixture) {
		f.useUpstream()
		for name, after := range map[string]struct {
			setting func(*revocation.AccountChange)
			events  []revocation.EventType
		}{
			"begins":             {func(*revocation.AccountChange) {}, []revocation.EventType{revocation.EventJobConfirmed, revocation.EventJobStarted}},
			"waits for its hold": {func(c *revocation.AccountChange) { c.Hold = new(time.Hour) }, []revocation.EventType{revocation.EventJobConfirmed}},
			"waits for an approval": {func(c *revocation.AccountChange) { c.ApproveAbove = new(int) }, []revocation.EventType{
				revocation.EventJobConfirmed, revocation.EventJobApprovalRequested,
			}},
		} {
			f.Log("a confirmed job " + name)
			f.set(func(c *revocation.AccountChange) { none := -1; c.Hold, c.ApproveAbove = new(time.Duration), &none })
			f.set(after.setting)
			for range races {
				job := f.bulk(items(1), withPreview(time.Hour))
				f.raceCancel(job, confirmation(job), after.events...)
			}
		}
		f.equal("nothing to carry out", revocation.Chunk{}, f.chunk(acme))
	}},
	{"a cancel that races with the moment of a job: both or only the cancel", func(f *fixture) {
		for _, job := range f.scheduled(races) {
			f.raceCancel(job, dueJob, revocation.EventJobStarted)
		}
		f.equal("nothing to carry out", revocation.Chunk{}, f.chunk(acme))
	}},
	{"a job that is cancelled while it becomes due and is carried out is revoked or cancelled", func(f *fixture) {
		for _, job := range f.scheduled(races) {
			var refused error
			if _, err := concurrently(2, func(i int) (struct{}, error) {
				if i == 0 {
					_, refused = cancelJob(f.Context(), f.Store, acme, job.ID)
					return struct{}{}, nil
				}
				_, err := f.ChangeJob(f.Context(), acme, job.ID, dueJob)
				if err == nil {
					_, err = f.CarryOutChunk(f.Context(), acme)
				}
				return struct{}{}, err
			}); err != nil {
				f.Fatal(err)
			}
			state := revocation.JobCancelled
			if refused != nil {
				f.code(revocation.CodeJobEnded, refused)
				state = revocation.JobCompleted
			} else {
				f.cancelledChunk(acme)
			}
			// What is in progress at the cancel finishes.
			j, r := f.job(job), f.read(rowOf(job, 1))
			f.equal("state and count", []any{state, r.Status == revoked}, []any{j.State, j.Counts.Revoked == 1})
			if r.Status != revoked && (r.Status != cancelled || state != revocation.JobCancelled) {
				f.Errorf("%s in a job that is %s", r.Status, state)
			}
			invite, err := f.Invite(f.Context(), acme, r.ReportID)
			f.must(err)
			f.equal("invite is revoked", r.Status == revoked, invite.RevokedBy == r.ID)
			if f.Failed() {
				f.FailNow()
			}
		}
	}},
}

// scheduled returns n jobs of acme's, each with an invite of its own, whose time has come but that nothing has begun yet.
func (f *fixture) scheduled(n int) []revocation.Job {
	f.Helper()
	f.must(f.UpsertInvites(f.Context(), acme, raceInvites(n)))
	jobs := make([]revocation.Job, n)
	for i := range jobs {
		jobs[i] = f.bulk(items(int64(1000+i)), withNotBefore(time.Now().Add(time.Hour)))
	}
	f.tables.Pass(f, 2*time.Hour)
	return jobs
}
