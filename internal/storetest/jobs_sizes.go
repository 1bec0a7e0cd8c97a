package storetest

import (
	"slices"

	"rescind/internal/revocation"
)

// paged fails the test unless the pages of a job's items contain each row in order and with its status in want. It also
// reads the pages filtered by each of statuses.
func (f *fixture) paged(job revocation.Job, limit int, want []revocation.Status, statuses ...revocation.Status) {
	f.Helper()
	for _, status := range append(statuses, "") {
		var rows, wantRows []int
		for i, s := range want {
			if status == "" || s == status {
				wantRows = append(wantRows, i+1)
			}
		}
		for _, r := range f.pages(revocation.ResultFilter{Account: job.Account, Job: job.ID, Statuses: oneStatus(status), Limit: limit}) {
			row := r.ID.Row()
			rows = append(rows, row)
			if row > len(want) || r.Status != want[row-1] || r.Job != job.ID || revocation.JobID(r.ID) != job.ID {
				f.Fatalf("row %d of %d is %+v", row, len(want), r)
			}
		}
		if !slices.Equal(rows, wantRows) {
			f.Errorf("the pages by status %q hold %d rows, want %d in order", status, len(rows), len(wantRows))
		}
	}
}

// chunks carries out all chunks of acme's only job and returns their number.
func (f *fixture) chunks(job revocation.Job) (n int) {
	f.Helper()
	for {
		c := f.chunk(acme)
		if c.Job.IsZero() {
			return n
		}
		want := chunkOf(job, n)
		f.equal("chunk", []any{want.Account, want.Job, want.First, want.Last, 0}, []any{c.Account, c.Job, c.First, c.Last, c.Spilled})
		n++
		f.equal("ended", c.Last == job.Total, c.Ended)
		f.state(job, map[bool]revocation.JobState{false: revocation.JobRunning, true: revocation.JobCompleted}[c.Ended])
	}
}

var sizeTests = []test{
	{"jobs around the size of a chunk", func(f *fixture) {
		for _, n := range []int{1, revocation.ChunkSize - 1, revocation.ChunkSize, revocation.ChunkSize + 1} {
			job := f.bulk(unknown(n))
			f.equal("chunks", (n+revocation.ChunkSize-1)/revocation.ChunkSize, f.chunks(job))
			f.paged(job, 999, slices.Repeat([]revocation.Status{missing}, n), missing, revoked)
			f.equal("counts", revocation.Counts{NotFound: n}, f.job(job).Counts)
			for row := n; row > 0; row -= 50 {
				f.equal("report_id", int64(invites+row), f.read(rowOf(job, row)).ReportID)
			}
			_, err := f.Revocation(f.Context(), acme, job.ID.Item(n+1))
			f.code(revocation.CodeNotFound, err)
			_, err = f.Revocation(f.Context(), acme, job.ID)
			f.code(revocation.CodeNotFound, err)
		}
	}},
	{"small pages, also while the job runs", func(f *fixture) {
		job := f.bulk(append(items(1, 2, 3, 4, 5), append([]revocation.Item{invalid("no")}, unknown(5)...)...))
		outcomes := func(first, last revocation.Status) []revocation.Status {
			five := func(s revocation.Status) []revocation.Status { return slices.Repeat([]revocation.Status{s}, 5) }
			return slices.Concat(five(first), []revocation.Status{revocation.StatusInvalid}, five(last))
		}
		f.paged(job, 2, outcomes(revocation.StatusPending, revocation.StatusPending), revocation.Statuses...)
		page, err := f.Results(f.Context(), revocation.ResultFilter{Account: acme, Job: job.ID, Limit: 4})
		f.must(err)
		f.end(job)
		more, err := f.Results(f.Context(), revocation.ResultFilter{Account: acme, Job: job.ID, After: 4, Limit: 100})
		f.must(err)
		for i, r := range append(page.Entries, more.Entries...) {
			f.equal("row", i+1, r.ID.Row())
		}
		for _, limit := range []int{1, 5, 6, 11, 12} {
			f.paged(job, limit, outcomes(revoked, missing), revocation.Statuses...)
		}
	}},
	{"a chunk of only invalid rows", func(f *fixture) {
		rows := slices.Repeat([]revocation.Item{invalid("no")}, revocation.ChunkSize)
		job := f.bulk(append(rows, item(1)))
		f.end(job)
		f.equal("counts", revocation.Counts{Invalid: revocation.ChunkSize, Revoked: 1}, f.job(job).Counts)
		job = f.bulk(append(items(2), rows...))
		f.end(job)
		f.equal("counts", revocation.Counts{Invalid: revocation.ChunkSize, Revoked: 1}, f.job(job).Counts)
		f.noWork("after them")
	}},
	{"twenty thousand items", func(f *fixture) {
		const n, known = 20_000, 1_000
		more := make([]revocation.Invite, known)
		for i := range more {
			more[i] = revocation.Invite{ReportID: int64(i + 1), SentAt: sentAt}
			if i%10 == 0 {
				more[i].SentAt = planChange
			}
		}
		f.must(f.UpsertInvites(f.Context(), acme, more))
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		rows, want := make([]revocation.Item, n), make([]revocation.Status, n)
		var counts revocation.Counts
		for i := range rows {
			report := i%(2*known) + 1
			rows[i] = item(int64(report))
			switch {
			case i%100 == 99:
				rows[i], want[i] = invalid("no"), revocation.StatusInvalid
			case report > known:
				want[i] = revocation.StatusNotFound
			case report%10 != 1:
				want[i] = revocation.StatusNotAllowed
			case i < known:
				want[i] = revocation.StatusRevoked
			default:
				want[i] = revocation.StatusAlreadyRevoked
			}
			*counts.Of(want[i])++
		}
		job := f.bulk(rows)
		f.equal("chunks", n/revocation.ChunkSize, f.chunks(job))
		f.equal("counts", counts, f.job(job).Counts)
		f.paged(job, uploadBatchSize, want, revoked)
		for row := 1; row <= n; row += 997 {
			f.equal("status by id", want[row-1], f.read(rowOf(job, row)).Status)
		}
		f.equal("the newest of the list", job.ID.Item(n-1), f.list(revocation.Filter{JobID: job.ID, Limit: 1})[0])
	}},
}
