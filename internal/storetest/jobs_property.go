package storetest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"rescind/internal/revocation"
)

var jobPropertyTests = []test{
	{"whatever is done to jobs in whatever order, their numbers add up", func(f *fixture) {
		runs := 0
		rapid.Check(f.T, func(t *rapid.T) {
			runs++
			m := newModel(f, t, fmt.Sprintf("run-%d", runs))
			steps := map[string]func(*rapid.T){
				"upload": m.upload, "begin": m.beginJob, "add": m.addItems, "seal": m.sealJob, "drop": m.dropJob, "sweep": m.sweep,
				"chunk": m.carryOutChunk, "spill": m.spillChunk, "claim": m.claimItems, "carry out": m.carryOut, "fail": m.fail,
				"cancel": m.cancelJob, "mail": m.sendMails, "submit": m.submit, "claim due": m.claimDue,
			}
			// What comes first is drawn most.
			names := []string{
				"carry out", "mail", "chunk", "spill", "fail", "claim", "upload", "cancel", "submit",
				"begin", "add", "seal", "drop", "claim due", "sweep",
			}
			m.upload(t)
			m.upload(t)
			for range rapid.IntRange(8, 24).Draw(t, "steps") {
				steps[rapid.SampledFrom(names).Draw(t, "step")](t)
				m.check(t)
				m.checkJobs(t)
				m.checkWork(t)
			}
			m.checkResults(t)
			m.finish(t)
			m.checkResults(t)
		})
	}},
}

// drawJob gives one of the jobs at a stage, or at any, if there is one.
func (m *model) drawJob(t *rapid.T, stages ...revocation.JobState) *modelledJob {
	var some []*modelledJob
	for _, j := range m.jobs {
		if len(stages) == 0 || slices.Contains(stages, j.stage) {
			some = append(some, j)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[rapid.IntRange(0, len(some)-1).Draw(t, "job")]
}

// upload makes a job of some items at once.
func (m *model) upload(t *rapid.T) {
	j := &modelledJob{seal: newSeal(), stage: revocation.JobReceiving}
	j.seal.Account = m.account
	_, err := m.store.BeginJob(m.f.Context(), j.seal.NewJob, time.Hour)
	m.must(t, err)
	m.jobs = append(m.jobs, j)
	m.addTo(t, j)
	m.sealUp(t, j)
}

func (m *model) beginJob(t *rapid.T) {
	key := rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key")
	j := &modelledJob{seal: newSeal(underKey(key)), stage: revocation.JobReceiving}
	j.seal.Account = m.account
	j.silent = rapid.IntRange(0, 4).Draw(t, "silent") == 0
	lease := time.Hour
	if j.silent {
		lease = 0
	}
	bound, err := m.store.BeginJob(m.f.Context(), j.seal.NewJob, lease)
	if owner := m.jobKeys[key]; owner != nil {
		switch {
		case owner.stage == revocation.JobQueued:
			m.must(t, err)
			if bound == nil || bound.Target != owner.seal.ID || bound.Fingerprint != owner.seal.Fingerprint {
				t.Fatalf("bound to %+v, want %v", bound, owner.seal.ID)
			}
			return
		case owner.stage == revocation.JobReceiving && !owner.silent:
			if err == nil || revocation.ErrorCode(err) != revocation.CodeUploadInProgress {
				t.Fatalf("%v (bound: %+v), and an upload with the key is under way", err, bound)
			}
			return
		default:
			owner.stage = revocation.JobDropped
		}
	}
	if m.must(t, err); bound != nil {
		t.Fatalf("bound to %+v", bound)
	}
	m.jobs = append(m.jobs, j)
	if key != "" {
		m.jobKeys[key] = j
	}
}

func (m *model) addItems(t *rapid.T) {
	if j := m.drawJob(t, revocation.JobReceiving, revocation.JobDropped); j != nil && !j.silent {
		m.addTo(t, j)
	}
}

func (m *model) addTo(t *rapid.T, j *modelledJob) {
	piece := make([]revocation.Item, rapid.IntRange(1, 4).Draw(t, "items"))
	for i := range piece {
		if report := rapid.Int64Range(0, modelReports+1).Draw(t, "report"); report > 0 {
			piece[i].ReportID = report
		} else {
			piece[i].Invalid = fmt.Sprint("a reason ", i)
		}
		if wish := rapid.IntRange(0, 2).Draw(t, "wish"); wish > 0 {
			wishing(wish == 1)(&piece[i])
		}
		piece[i].Row = len(j.items) + i + 1
	}
	err := m.store.AddItems(m.f.Context(), j.seal.NewJob, piece, time.Hour)
	if m.gone(t, j, err); j.stage == revocation.JobReceiving {
		j.items = append(j.items, piece...)
	}
}

// gone fails unless err tells that a job was given up, if it was.
func (m *model) gone(t *rapid.T, j *modelledJob, err error) {
	t.Helper()
	if j.stage == revocation.JobReceiving {
		m.must(t, err)
	} else if err == nil || revocation.ErrorCode(err) != revocation.CodeJobEnded {
		t.Fatalf("%v, and the job was given up", err)
	}
}

func (m *model) sealJob(t *rapid.T) {
	if j := m.drawJob(t, revocation.JobReceiving, revocation.JobDropped); j != nil && !j.silent && len(j.items) > 0 {
		m.sealUp(t, j)
	}
}

func (m *model) sealUp(t *rapid.T, j *modelledJob) {
	j.seal.Notify = rapid.IntRange(0, 3).Draw(t, "notify all") < 3
	j.seal.Total, j.seal.Invalid = len(j.items), 0
	for _, i := range j.items {
		if i.Invalid != "" {
			j.seal.Invalid++
		}
	}
	_, err := m.store.FinalizeJob(m.f.Context(), j.seal)
	if m.gone(t, j, err); j.stage != revocation.JobReceiving {
		return
	}
	j.stage = revocation.JobQueued
	j.chunk = j.seal.Invalid < j.seal.Total
	for i, row := range j.items {
		if row.Invalid != "" {
			continue
		}
		r := &modelled{report: row.ReportID, notify: j.seal.Notify, status: revocation.StatusPending, job: j}
		if row.Notify != nil {
			r.notify = *row.Notify
		}
		id := j.seal.ID.Item(i + 1)
		m.all[id], m.ids = r, append(m.ids, id)
	}
	j.ends(m)
}

func (m *model) dropJob(t *rapid.T) {
	j := m.drawJob(t)
	if j == nil {
		return
	}
	m.must(t, m.store.DropJob(m.f.Context(), m.account, j.seal.ID))
	if j.stage == revocation.JobReceiving {
		j.stage = revocation.JobDropped
	}
}

// sweep gives up what is silent, and deletes a little of what was given up.
func (m *model) sweep(t *rapid.T) {
	_, err := m.store.DropSilentUploads(m.f.Context())
	m.must(t, err)
	for _, j := range m.jobs {
		if j.silent {
			j.stage = revocation.JobDropped
		}
	}
	_, err = m.store.ClearDropped(m.f.Context(), rapid.IntRange(1, 3).Draw(t, "limit"))
	m.must(t, err)
}
