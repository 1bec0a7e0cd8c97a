package storetest

import (
	"slices"
	"sync"
	"time"

	"rescind/internal/revocation"
)

var notAllowed, spared = revocation.StatusNotAllowed, revocation.StatusAlreadyStarted

// previewWorld changes acme so that its invites 1 to 4 have each outcome of the rule: REVOKED, ALREADY_REVOKED, NOT_ALLOWED and
// ALREADY_STARTED.
func (f *fixture) previewWorld() {
	f.Helper()
	f.carryOut(f.submitNew(request(2))...)
	spares := true
	f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange, SpareStarted: &spares}))
	f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
		{ReportID: 1, SentAt: planChange},
		{ReportID: 3, SentAt: planChange.Add(-time.Microsecond)},
		{ReportID: 4, SentAt: planChange, Progress: revocation.ProgressStarted},
		{ReportID: 5, SentAt: planChange},
	}))
}

var previewTests = []test{
	{"a preview counts every outcome and changes nothing", func(f *fixture) {
		f.previewWorld()
		rows := []revocation.Item{
			item(1, withItemNotify(true)), item(2), invalid("no"), item(3), item(4), item(invites + 1), item(5), item(1, withItemNotify(true)),
		}
		job := f.bulk(rows, withPreview(time.Hour))
		f.equal("work", []revocation.AccountWork{{Task: revocation.JobsTask, Account: acme}}, f.accountTasks())
		f.state(job, revocation.JobPreviewing)
		f.equal("predictions while they are made", make([]revocation.Status, len(rows)), f.predictions(job))
		f.equal("predicted", 7, f.predict(acme))
		f.noWork("for a job that waits")
		f.equal("chunk", revocation.Chunk{}, f.chunk(acme))
		j := f.job(job)
		if j.Preview.PredictedAt.IsZero() || j.ExpiresAt.Sub(j.Preview.PredictedAt) != time.Hour {
			f.Errorf("predicted at %v, expires at %v", j.Preview.PredictedAt, j.ExpiresAt)
		}
		f.equal("numbers", revocation.PredictedCounts{Revoked: 2, AlreadyRevoked: 2, NotAllowed: 1, NotFound: 1, AlreadyStarted: 1, Invalid: 1}, j.Preview.Predicted)
		f.equal("emails", 1, *j.Preview.Emails)
		f.equal("predictions", []revocation.Status{revoked, already, revocation.StatusInvalid, notAllowed, spared, missing, revoked, already}, f.predictions(job))
		for row, r := range f.results(job) {
			if r.Status != revocation.StatusPending && r.Status != revocation.StatusInvalid || r.Attempts != 0 {
				f.Errorf("row %d is %+v", row+1, r)
			}
		}
		message := func() string { r := f.read(rowOf(job, 2)); return r.Message() }
		f.equal("message before the confirmation", []string{"Not confirmed yet.", "Not confirmed yet."},
			[]string{message(), f.results(job)[1].Message()})
		f.confirm(*j)
		f.equal("message after the confirmation", revocation.StatusPending.Message(), message())
		f.end(job)
		f.equal("outcomes", []revocation.Status{revoked, already, revocation.StatusInvalid, notAllowed, spared, missing, revoked, already}, f.outcomes(job))
		f.equal("predictions at the end", f.outcomes(job), f.predictions(job))
		for i, r := range f.results(job) {
			attempts := 0
			if r.Predicted == revoked {
				attempts = 1
			}
			f.equal("attempts", attempts, r.Attempts)
			timestamp := ""
			if i == 3 {
				timestamp = "2025-01-15 10:32:45"
			}
			f.equal("timestamp", timestamp, r.Timestamp)
		}
		f.equal("mails", revocation.MailCounts{Pending: 1}, f.job(job).Mails)
	}},
	{"what was not predicted REVOKED ends as predicted, whatever has changed", func(f *fixture) {
		f.previewWorld()
		job := f.preview(items(1, 2, 3, 4, invites+1, 5, 5))
		later, spares := planChange.Add(time.Hour), false
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &later, SpareStarted: &spares}))
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			{ReportID: 1, SentAt: later}, {ReportID: 3, SentAt: later}, {ReportID: invites + 1, SentAt: later},
		}))
		f.confirm(job)
		f.end(job)
		f.equal("outcomes", []revocation.Status{revoked, already, notAllowed, spared, missing, notAllowed, notAllowed}, f.outcomes(job))
		results := f.results(job)
		f.equal("of the prediction", "2025-01-15 10:32:45", results[2].Timestamp)
		f.equal("of the attempt", []string{"2025-01-15 11:32:45", "2025-01-15 11:32:45"}, []string{results[5].Timestamp, results[6].Timestamp})
		f.equal("predictions", []revocation.Status{revoked, already, notAllowed, spared, missing, revoked, already}, f.predictions(job))
		f.equal("of one item", already, f.read(rowOf(job, 7)).Predicted)
	}},
	{"duplicates in several chunks", func(f *fixture) {
		rows := unknown(2*revocation.ChunkSize + 2)
		rows[0] = item(1, withItemNotify(true))
		rows[1], rows[revocation.ChunkSize], rows[revocation.ChunkSize+1] = item(2), item(1, withItemNotify(true)), item(3)
		rows[revocation.ChunkSize+2], rows[2*revocation.ChunkSize], rows[2*revocation.ChunkSize+1] = item(3), item(2), item(4)
		job := f.preview(rows)
		f.equal("numbers", revocation.PredictedCounts{Revoked: 4, AlreadyRevoked: 3, NotFound: len(rows) - 7}, job.Preview.Predicted)
		f.equal("emails", 1, *job.Preview.Emails)
		f.confirm(job)
		f.end(job)
		f.equal("outcomes", f.predictions(job), f.outcomes(job))
		f.equal("counts", revocation.Counts{Revoked: 4, AlreadyRevoked: 3, NotFound: len(rows) - 7}, f.job(job).Counts)
	}},
	{"an item is no duplicate of another job's", func(f *fixture) {
		first := f.preview(items(1, 2))
		second := f.preview(items(2, 1))
		f.equal("predictions", []revocation.Status{revoked, revoked}, f.predictions(second))
		if f.Failed() {
			f.FailNow() // a duplicate would wait for an item that is not carried out
		}
		f.confirm(second)
		f.end(second)
		f.confirm(first)
		f.end(first)
		f.equal("outcomes", []revocation.Status{revoked, revoked, already, already}, append(f.outcomes(second), f.outcomes(first)...))
		f.equal("predictions of the first", []revocation.Status{revoked, revoked}, f.predictions(first))
	}},
	{"a duplicate waits for the item that it is a duplicate of, and ends as it", func(f *fixture) {
		rows := unknown(revocation.ChunkSize + 1)
		rows[0], rows[1], rows[revocation.ChunkSize] = item(1, withItemNotify(true)), item(2), item(1, withItemNotify(true))
		job := f.preview(rows)
		f.confirm(job)
		f.spill(job)
		f.chunk(acme)
		f.equal("pending", 3, f.job(job).Pending())
		duplicate := rowOf(job, revocation.ChunkSize+1)
		decisions := f.carryOut(duplicate)
		f.equal("postponed", revocation.Postpone, decisions[0].Kind)
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, rowOf(job, 1))
		f.status(rowOf(job, 1), revocation.StatusErrorRevoking, true)
		f.carryOut(duplicate)
		r := f.read(duplicate)
		if r.Status != revocation.StatusErrorRevoking || !r.Final || r.Attempts != 0 || r.LastError == nil || *r.LastError != outage {
			f.Errorf("%+v", r)
		}
		f.carryOut(rowOf(job, 2))
		f.state(job, revocation.JobCompleted)
		f.recount(job)
	}},
	{"a spilled chunk ends as predicted too", func(f *fixture) {
		f.previewWorld()
		job := f.preview(items(1, 2, 3, 1, 4))
		f.confirm(job)
		f.spill(job)
		f.equal("outcomes", []revocation.Status{revocation.StatusPending, already, notAllowed, revocation.StatusPending, spared}, f.outcomes(job))
		f.recount(job)
		_, err := f.finishJob(f.Context(), acme, job.ID)
		f.must(err)
		f.equal("outcomes", []revocation.Status{revoked, already, notAllowed, already, spared}, f.outcomes(job))
		f.equal("predictions", f.outcomes(job), f.predictions(job))
		f.equal("timestamp", planChange.Format(revocation.TimestampLayout), f.read(rowOf(job, 3)).Timestamp)
	}},
	{"a cancel stops a preview", func(f *fixture) {
		job := f.bulk(unknown(revocation.ChunkSize+1), withPreview(time.Hour))
		step, err := f.PredictChunk(f.Context(), acme)
		f.must(err)
		f.equal("step", revocation.PreviewStep{Job: job.ID, Items: revocation.ChunkSize}, step)
		f.cancel(job)
		f.equal("predicted", 0, f.predict(acme))
		f.end(job)
		f.state(job, revocation.JobCancelled)
		f.equal("predictions", make([]revocation.Status, job.Total), f.predictions(job))
	}},
	{"items that are cancelled after the preview keep their predictions", func(f *fixture) {
		f.previewWorld()
		job := f.preview(items(1, 2, 3))
		f.cancel(job)
		f.end(job)
		f.equal("outcomes", slices.Repeat([]revocation.Status{revocation.StatusCancelled}, 3), f.outcomes(job))
		f.equal("predictions", []revocation.Status{revoked, already, notAllowed}, f.predictions(job))
	}},
	{"several workers make one preview", func(f *fixture) {
		rows := unknown(4 * revocation.ChunkSize)
		for i := range 8 {
			rows[i*revocation.ChunkSize/2] = item(int64(i/2) + 1)
		}
		job := f.bulk(rows, withPreview(time.Hour))
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				if _, err := f.predictAll(f.Context(), acme); err != nil && revocation.ErrorCode(err) != revocation.CodeLockTimeout {
					f.Error(err)
				}
			})
		}
		workers.Wait()
		f.predict(acme)
		f.equal("numbers", revocation.PredictedCounts{Revoked: 4, AlreadyRevoked: 4, NotFound: len(rows) - 8}, f.job(job).Preview.Predicted)
	}},
	{"previews take turns", func(f *fixture) {
		one, two := f.bulk(unknown(revocation.ChunkSize+1), withPreview(time.Hour)), f.bulk(unknown(revocation.ChunkSize+1), withPreview(time.Hour))
		served := make(map[revocation.ID]int)
		for range 2 {
			step, err := f.PredictChunk(f.Context(), acme)
			f.must(err)
			served[step.Job]++
		}
		f.equal("served", map[revocation.ID]int{one.ID: 1, two.ID: 1}, served)
	}},
	{"the preview of an account on an upstream is complete at once", func(f *fixture) {
		f.toUpstream(upstreamURL)
		job := f.bulk([]revocation.Item{item(1), invalid("no"), item(1)}, withPreview(time.Hour))
		f.state(job, revocation.JobPreviewed)
		f.equal("numbers", revocation.PredictedCounts{Unknown: 2, Invalid: 1}, job.Preview.Predicted)
		f.equal("emails", (*int)(nil), job.Preview.Emails)
		unknown := revocation.StatusUnknown
		want := []revocation.Status{unknown, revocation.StatusInvalid, unknown}
		f.equal("predictions", want, f.predictions(job))
		f.confirm(job)
		f.equal("spilled", 2, f.chunk(acme).Spilled)
		f.equal("predictions", want, f.predictions(job))
		f.equal("calls", 2, len(f.calls(9, time.Hour)))
	}},
	{"no call is made for a duplicate of an account that has moved to an upstream", func(f *fixture) {
		job := f.preview(items(1, 1, invites+1))
		f.confirm(job)
		f.spill(job)
		f.toUpstream(upstreamURL)
		calls := f.calls(9, 0)
		f.equal("duplicates", []bool{false, true}, []bool{calls[0].Duplicate, calls[1].Duplicate})
		f.equal("not final", (*revocation.ItemOutcome)(nil), calls[1].First)
		calls = f.calls(9, 0)
		f.equal("only the original is in doubt", []bool{true, false}, []bool{calls[0].InDoubt, calls[1].InDoubt})
		f.answered(calls[:1], func(revocation.LockedRevocation) revocation.Decision {
			return revocation.Decision{Kind: revocation.Final, Status: revocation.StatusNotAllowed, Timestamp: "then", Upstream: true}
		})
		calls = f.calls(9, 0)
		f.equal("calls", 1, len(calls))
		f.equal("final", &revocation.ItemOutcome{Status: revocation.StatusNotAllowed, Timestamp: "then"}, calls[0].First)
	}},
	{"results by prediction", func(f *fixture) {
		f.previewWorld()
		job := f.preview([]revocation.Item{item(1), item(2), invalid("no"), item(3), item(1)})
		check := func(when string) {
			f.Helper()
			for _, want := range []struct {
				predicted []revocation.Status
				rows      []int
			}{
				{[]revocation.Status{revoked}, []int{1}},
				{[]revocation.Status{already}, []int{2, 5}},
				{[]revocation.Status{revocation.StatusInvalid, notAllowed}, []int{3, 4}},
				{[]revocation.Status{revocation.StatusUnknown}, nil},
			} {
				var rows []int
				for _, r := range f.pages(revocation.ResultFilter{Account: acme, Job: job.ID, Predicted: want.predicted, Limit: 1}) {
					rows = append(rows, r.ID.Row())
				}
				f.equal(when, want.rows, rows)
			}
		}
		check("before")
		f.confirm(job)
		f.end(job)
		check("after")
		plain := f.bulk(items(1))
		f.equal("without a preview", 0, len(f.pages(revocation.ResultFilter{Account: acme, Job: plain.ID, Predicted: []revocation.Status{revoked, revocation.StatusUnknown}, Limit: 9})))
	}},
}
