package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rescind/internal/revocation"
)

func (m *model) cancelJob(t *rapid.T) {
	j := m.drawJob(t)
	if j == nil {
		return
	}
	got, err := cancelJob(m.f.Context(), m.store, m.account, j.final.ID)
	var want revocation.Code
	switch {
	case j.stage != revocation.JobQueued:
		want = revocation.CodeNotFound
	case j.ended && !j.cancelled:
		want = revocation.CodeJobEnded
	default:
		m.must(t, err)
		j.cancelled = true
		state := revocation.JobCancelling
		if j.ended {
			state = revocation.JobCancelled
		}
		if got.ID != j.final.ID || got.State != state {
			t.Fatalf("cancelled %+v", got)
		}
		return
	}
	if err == nil || revocation.ErrorCode(err) != want {
		t.Fatalf("%v, want one of code %s", err, want)
	}
}

// carryOutChunk carries out the chunk of a job. No job of the model has more than one.
func (m *model) carryOutChunk(t *rapid.T) {
	cancelled := rapid.IntRange(0, 3).Draw(t, "cancelled") == 3
	c, err := m.f.takeChunk(m.f.Context(), m.account, cancelled)
	m.must(t, err)
	c.MoreWork = false
	var j *modelledJob
	for _, some := range m.jobs {
		if some.chunk && some.cancelled == cancelled {
			j = some
			if j.final.ID == c.Job {
				break
			}
		}
	}
	if j == nil {
		if c != (revocation.Chunk{}) {
			t.Fatalf("there is no chunk, and %+v was carried out", c)
		}
		return
	}
	want := revocation.Chunk{Account: m.account, Job: j.final.ID, First: 1, Last: len(j.items)}
	for want.Last > c.Last && j.items[want.Last-1].Invalid != "" { // a chunk need not include invalid rows at its end
		want.Last--
	}
	before := j.count(m)
	for i := range j.items {
		if r := j.item(m, i+1); r != nil {
			d := revocation.Decision{Ref: revocation.Ref{Attempt: r.attempts}, Status: m.rule(r.report), Kind: revocation.Final}
			if cancelled {
				d.Status = revocation.StatusCancelled
			}
			m.apply(t, r, d)
		}
	}
	j.chunk = false
	after := j.count(m)
	after.Counts.Invalid -= before.Counts.Invalid
	want.Ended = j.ends(m)
	want.Done = revocation.JobCount{Account: m.account, Job: j.final.ID, Counts: after.Counts, Mails: after.Mails.Pending}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Fatalf("chunk (-want +got):\n%s", diff)
	}
}

func (m *model) spillChunk(t *rapid.T) {
	j := m.drawJob(t)
	if j == nil {
		return
	}
	m.must(t, m.store.SpillChunk(m.f.Context(), revocation.Chunk{Account: m.account, Job: j.final.ID, First: 1, Last: len(j.items)}))
	if !j.chunk {
		return
	}
	j.chunk = false
	j.begin(false)
	for i := range j.items {
		if r := j.item(m, i+1); r != nil {
			r.work, r.due = true, true
		}
	}
}

// claimItems claims all due items, or all items to be cancelled. Either claim may return an item that is both.
func (m *model) claimItems(t *rapid.T) {
	cancelled := rapid.Bool().Draw(t, "cancelled")
	due, err := m.f.claimKind(m.f.Context(), m.account, cancelled, 1000, []time.Duration{time.Hour})
	m.must(t, err)
	for _, d := range due {
		r := m.all[d.ID]
		if r == nil || r.job == nil || !r.work || d.Attempt != r.attempts || d.Account != m.account ||
			!cancelled && !r.due || cancelled && (r.claimed || !r.job.cancelled) {
			t.Fatalf("claimed (cancelled: %t): %+v, about %+v", cancelled, d, r)
		}
		r.due, r.claimed = false, true
	}
	for _, r := range m.all {
		if r.job != nil && r.work && r.job.cancelled == cancelled && (r.due || cancelled && !r.claimed) {
			t.Fatalf("not claimed (cancelled: %t): %+v", cancelled, r)
		}
	}
}

// sendMails claims emails of jobs and settles some of the claims.
func (m *model) sendMails(t *rapid.T) {
	due, limit := 0, rapid.IntRange(1, 3).Draw(t, "limit")
	for _, r := range m.all {
		if r.mailDue {
			due++
		}
	}
	emails, _, err := m.store.ClaimJobNotifications(m.f.Context(), sender, m.account, limit, time.Hour)
	m.must(t, err)
	if len(emails) != min(due, limit) {
		t.Fatalf("%d emails claimed of %d, with the limit %d", len(emails), due, limit)
	}
	for _, email := range emails {
		r := m.all[email.Revocation]
		if r == nil || !r.mailDue {
			t.Fatalf("claimed %+v, about %+v", email, r)
		}
		r.mailDue = false
		if rapid.Bool().Draw(t, "committed") {
			committed, err := m.store.CommitNotification(m.f.Context(), email, time.Hour)
			if m.must(t, err); !committed {
				t.Fatalf("not committed: %+v", email)
			}
		}
		status := rapid.SampledFrom([]revocation.NotificationStatus{
			"", revocation.NotificationPending, revocation.NotificationSent, revocation.NotificationFailed, revocation.NotificationUnknown,
		}).Draw(t, "settled")
		if status == "" {
			continue // still claimed
		}
		m.must(t, m.store.SettleNotification(m.f.Context(), email, revocation.Settlement{Status: status, Attempts: 1}))
		r.mail, r.mailDue = status, status == revocation.NotificationPending
	}
}

// finish carries out all remaining work and fails unless every finalized job has ended.
func (m *model) finish(t *rapid.T) {
	for _, j := range m.jobs {
		if j.chunk {
			m.must(t, m.store.SpillChunk(m.f.Context(), revocation.Chunk{Account: m.account, Job: j.final.ID, First: 1, Last: len(j.items)}))
			j.chunk = false
			for i := range j.items {
				if r := j.item(m, i+1); r != nil {
					r.work = true
				}
			}
		}
	}
	var refs []revocation.Ref
	live := make(map[revocation.ID]bool)
	for _, id := range m.ids {
		if r := m.all[id]; r.work {
			refs = append(refs, revocation.Ref{Account: m.account, ID: id, Attempt: r.attempts})
			live[id] = true
		}
	}
	m.carryOutAs(t, refs, live, nil)
	for _, j := range m.jobs {
		if j.stage == revocation.JobQueued && !j.ended {
			t.Fatalf("not ended: %+v", j)
		}
	}
}
