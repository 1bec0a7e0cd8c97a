package storetest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"rescind/internal/revocation"
)

var jobPropertyTests = []test{
	{"the numbers of jobs add up after any sequence of steps", func(f *fixture) {
		runs := 0
		rapid.Check(f.T, func(t *rapid.T) {
			runs++
			m := newModel(f, t, fmt.Sprintf("run-%d", runs))
			steps := map[string]func(*rapid.T){
				"upload": m.upload, "begin": m.beginJob, "add": m.addItems, "finalize": m.finalizeJob, "drop": m.dropJob, "sweep": m.sweep,
				"chunk": m.carryOutChunk, "spill": m.spillChunk, "claim": m.claimItems, "carry out": m.carryOut, "fail": m.fail,
				"cancel": m.cancelJob, "mail": m.sendMails, "submit": m.submit, "claim due": m.claimDue,
			}
			// SampledFrom prefers the first values.
			names := []string{
				"carry out", "mail", "chunk", "spill", "fail", "claim", "upload", "cancel", "submit",
				"begin", "add", "finalize", "drop", "claim due", "sweep",
			}
			m.upload(t)
			m.upload(t)
			for range rapid.IntRange(8, 18).Draw(t, "steps") {
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

// drawJob returns a job at one of the stages, or at any stage if no stage is given. It returns nil if there is no such job.
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

// upload uploads and finalizes a job of some items.
func (m *model) upload(t *rapid.T) {
	j := &modelledJob{final: newJob(), stage: revocation.JobReceiving}
	j.final.Account = m.account
	_, err := m.store.BeginJob(m.f.Context(), j.final.NewJob, time.Hour)
	m.must(t, err)
	m.jobs = append(m.jobs, j)
	m.addTo(t, j)
	m.finalize(t, j)
}

func (m *model) beginJob(t *rapid.T) {
	key := rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key")
	j := &modelledJob{final: newJob(withJobKey(key)), stage: revocation.JobReceiving}
	j.final.Account = m.account
	j.silent = rapid.IntRange(0, 4).Draw(t, "silent") == 0
	lease := time.Hour
	if j.silent {
		lease = 0
	}
	bound, err := m.store.BeginJob(m.f.Context(), j.final.NewJob, lease)
	if owner := m.jobKeys[key]; owner != nil {
		switch {
		case owner.stage == revocation.JobQueued:
			m.must(t, err)
			if bound == nil || bound.Target != owner.final.ID || bound.Fingerprint != owner.final.Fingerprint {
				t.Fatalf("bound to %+v, want %v", bound, owner.final.ID)
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
	batch := make([]revocation.Item, rapid.IntRange(1, 4).Draw(t, "items"))
	for i := range batch {
		if report := rapid.Int64Range(0, modelReports+1).Draw(t, "report"); report > 0 {
			batch[i].ReportID = report
		} else {
			batch[i].Invalid = fmt.Sprint("a reason ", i)
		}
		if notify := rapid.IntRange(0, 2).Draw(t, "notify"); notify > 0 {
			withItemNotify(notify == 1)(&batch[i])
		}
		batch[i].Row = len(j.items) + i + 1
	}
	err := m.store.AddItems(m.f.Context(), j.final.NewJob, batch, time.Hour)
	if m.checkDropped(t, j, err); j.stage == revocation.JobReceiving {
		j.items = append(j.items, batch...)
	}
}

// checkDropped fails unless err reports that the job was dropped. If the job was not dropped, it fails if err is not nil.
func (m *model) checkDropped(t *rapid.T, j *modelledJob, err error) {
	t.Helper()
	if j.stage == revocation.JobReceiving {
		m.must(t, err)
	} else if err == nil || revocation.ErrorCode(err) != revocation.CodeJobEnded {
		t.Fatalf("%v, and the job was dropped", err)
	}
}

func (m *model) finalizeJob(t *rapid.T) {
	if j := m.drawJob(t, revocation.JobReceiving, revocation.JobDropped); j != nil && !j.silent && len(j.items) > 0 {
		m.finalize(t, j)
	}
}

func (m *model) finalize(t *rapid.T, j *modelledJob) {
	j.final.Notify = rapid.IntRange(0, 3).Draw(t, "notify all") < 3
	j.final.Total, j.final.Invalid = len(j.items), 0
	for _, i := range j.items {
		if i.Invalid != "" {
			j.final.Invalid++
		}
	}
	_, err := m.store.FinalizeJob(m.f.Context(), j.final)
	if m.checkDropped(t, j, err); j.stage != revocation.JobReceiving {
		return
	}
	j.stage = revocation.JobQueued
	j.chunk = j.final.Invalid < j.final.Total
	for i, row := range j.items {
		if row.Invalid != "" {
			continue
		}
		r := &modelled{report: row.ReportID, notify: j.final.Notify, status: revocation.StatusPending, job: j}
		if row.Notify != nil {
			r.notify = *row.Notify
		}
		id := j.final.ID.Item(i + 1)
		m.all[id], m.ids = r, append(m.ids, id)
	}
	j.ends(m)
}

func (m *model) dropJob(t *rapid.T) {
	j := m.drawJob(t)
	if j == nil {
		return
	}
	m.must(t, m.store.DropJob(m.f.Context(), m.account, j.final.ID))
	if j.stage == revocation.JobReceiving {
		j.stage = revocation.JobDropped
	}
}

// sweep drops the silent uploads, and deletes some rows of dropped jobs.
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
