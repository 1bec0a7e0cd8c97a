package storetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"rescind/internal/revocation"
)

var previewPropertyTests = []test{
	{"a preview predicts what carrying out the same job at once does", func(f *fixture) {
		runs := 0
		rapid.Check(f.T, func(t *rapid.T) {
			runs++
			w := newPreviewed(t, f, fmt.Sprintf("now-%d", runs))
			job := w.upload(withPreview(time.Hour))
			w.must(w.predict(job))
			job = w.read(job)
			plain := w.upload()
			ended, err := f.finishJob(f.Context(), w.account, plain.ID)
			w.must(err)
			got, emails := job.Preview.Predicted, *job.Preview.Emails
			want := revocation.PredictedCounts{
				Revoked: ended.Counts.Revoked, AlreadyRevoked: ended.Counts.AlreadyRevoked, NotAllowed: ended.Counts.NotAllowed,
				NotFound: ended.Counts.NotFound, AlreadyStarted: ended.Counts.AlreadyStarted, Invalid: ended.Counts.Invalid,
			}
			if got != want || emails != ended.Mails.Pending || got.Sum() != job.Total {
				t.Fatalf("predicted %+v and %d emails, carried out %+v and %+v", got, emails, ended.Counts, ended.Mails)
			}
			predicted, outcomes := w.results(job), w.results(plain)
			for i, p := range predicted {
				if p.Predicted != outcomes[i].Status {
					t.Fatalf("row %d is predicted %s and ended %s", i+1, p.Predicted, outcomes[i].Status)
				}
			}
		})
	}},
	{"a confirmed job revokes nothing but what was predicted REVOKED, whatever happened since", func(f *fixture) {
		runs := 0
		rapid.Check(f.T, func(t *rapid.T) {
			runs++
			w := newPreviewed(t, f, fmt.Sprintf("later-%d", runs))
			job := w.upload(withPreview(time.Hour))
			w.must(w.predict(job))
			job = w.read(job)
			w.change()
			if job.Ended() {
				return // all rows are invalid
			}
			_, err := f.ChangeJob(f.Context(), w.account, job.ID, confirmation(job))
			w.must(err)
			if rapid.Bool().Draw(t, "spilled") {
				w.must(f.SpillChunk(f.Context(), chunkOf(job, 0)))
			}
			if rapid.Bool().Draw(t, "changes again") {
				w.change()
			}
			ended, err := f.finishJob(f.Context(), w.account, job.ID)
			w.must(err)
			w.check(job, ended)
		})
	}},
}

// previewed is an account in a random world, with the items of a job.
type previewed struct {
	t       *rapid.T
	f       *fixture
	account string
	notify  bool
	rows    []revocation.Item
}

const previewedInvites = 6

func newPreviewed(t *rapid.T, f *fixture, account string) *previewed {
	w := &previewed{t: t, f: f, account: account, notify: rapid.Bool().Draw(t, "notify all")}
	w.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: account}))
	w.change()
	w.rows = rapid.SliceOfN(rapid.Custom(w.item), 1, 12).Draw(t, "rows")
	if rapid.IntRange(0, 9).Draw(t, "chunks") == 0 {
		// The same items again, in the next chunk.
		filler := unknown(revocation.ChunkSize - len(w.rows))
		w.rows = append(append(w.rows, filler...), rapid.SliceOfN(rapid.Custom(w.item), 1, 6).Draw(t, "more rows")...)
	}
	return w
}

func (w *previewed) item(t *rapid.T) revocation.Item {
	report := rapid.Int64Range(0, previewedInvites+1).Draw(t, "report")
	if report == 0 {
		return invalid("no")
	}
	row := item(report)
	if notify := rapid.IntRange(0, 2).Draw(t, "notify"); notify > 0 {
		withItemNotify(notify == 1)(&row)
	}
	return row
}

func (w *previewed) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// change changes the plan, the settings and some invites of the account, and revokes some.
func (w *previewed) change() {
	t, f := w.t, w.f
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return planChange.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "hours")) * time.Hour)
	})
	changed, spares := moment.Draw(t, "plan"), rapid.Bool().Draw(t, "spares")
	w.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: w.account, PlanChangedAt: &changed, SpareStarted: &spares}))
	progress := rapid.SampledFrom([]revocation.Progress{"", revocation.ProgressPending, revocation.ProgressStarted})
	var imported []revocation.Invite
	for report := int64(1); report <= previewedInvites; report++ {
		if rapid.IntRange(0, 2).Draw(t, "import") > 0 {
			imported = append(imported, revocation.Invite{ReportID: report, SentAt: moment.Draw(t, "sent"), Progress: progress.Draw(t, "progress")})
		}
	}
	if len(imported) == 0 {
		return
	}
	w.must(f.UpsertInvites(f.Context(), w.account, imported))
	if rapid.Bool().Draw(t, "single") {
		single := request(imported[0].ReportID)
		single.Account = w.account
		_, err := f.Submit(f.Context(), []revocation.Submission{single})
		w.must(err)
		_, err = f.CarryOut(f.Context(), []revocation.Ref{{Account: w.account, ID: single.ID}}, revocation.Decide)
		w.must(err)
	}
}

func (w *previewed) upload(with ...func(*revocation.FinalJob)) revocation.Job {
	s := newJob(with...)
	s.Account, s.Notify = w.account, w.notify
	_, err := w.f.BeginJob(w.f.Context(), s.NewJob, time.Hour)
	w.must(err)
	rows := make([]revocation.Item, len(w.rows))
	for i, row := range w.rows {
		rows[i] = row
		rows[i].Row = i + 1
		if row.Invalid != "" {
			s.Invalid++
		}
	}
	s.Total = len(rows)
	w.must(w.f.AddItems(w.f.Context(), s.NewJob, rows, time.Hour))
	job, err := w.f.FinalizeJob(w.f.Context(), s)
	w.must(err)
	return job
}

func (w *previewed) predict(job revocation.Job) error {
	_, err := w.f.predictAll(w.f.Context(), job.Account)
	return err
}

func (w *previewed) read(job revocation.Job) revocation.Job {
	j, err := w.f.Job(w.f.Context(), job.Account, job.ID)
	w.must(err)
	if j.Preview == nil || j.Preview.PredictedAt.IsZero() {
		w.t.Fatalf("no complete preview: %+v", j)
	}
	return j
}

func (w *previewed) results(job revocation.Job) []revocation.Revocation {
	filter := revocation.ResultFilter{Account: job.Account, Job: job.ID, Limit: 2 * revocation.ChunkSize}
	var all []revocation.Revocation
	for {
		page, err := w.f.Results(w.f.Context(), filter)
		w.must(err)
		all = append(all, page.Entries...)
		if page.Next.IsZero() {
			break
		}
		filter.After = page.Next.Row()
	}
	if len(all) != job.Total {
		w.t.Fatalf("%d results of %d items", len(all), job.Total)
	}
	return all
}

// check compares the outcomes of a confirmed job with its predictions.
func (w *previewed) check(job, ended revocation.Job) {
	firsts := make(map[int64]revocation.Revocation)
	results := w.results(job)
	var counts revocation.Counts
	var predicted revocation.PredictedCounts
	mails := 0
	for _, r := range results {
		*counts.Of(r.Status)++
		if r.Predicted == revoked {
			firsts[r.ReportID] = r
		}
		if r.Notification.Status == revocation.NotificationPending {
			mails++
		}
		predicted.Add(revocation.PredictionOf(r.Predicted), 1) // that of INVALID is none
	}
	predicted.Invalid = counts.Invalid
	if counts != ended.Counts || mails != ended.Mails.Pending || mails > *job.Preview.Emails || predicted != job.Preview.Predicted {
		w.t.Fatalf("items %+v, %d emails, predictions %+v; job %+v, %+v, %+v", counts, mails, predicted, ended.Counts, ended.Mails, *job.Preview)
	}
	for i, r := range results {
		first, ok := firsts[r.ReportID]
		switch {
		case !r.Final:
			w.t.Fatalf("row %d is not final: %+v", i+1, r)
		case r.Status == revoked && r.Predicted != revoked:
			w.t.Fatalf("row %d was not predicted REVOKED: %+v", i+1, r)
		case r.Predicted == revoked, r.Status == r.Predicted:
		case r.Predicted != already || !ok || first.ID.Compare(r.ID) >= 0 || r.Status != first.Status || r.Timestamp != first.Timestamp:
			w.t.Fatalf("row %d ended neither as predicted nor as the item that it is a duplicate of, %+v: %+v", i+1, first, r)
		}
		if ok && r.Predicted == already && r.Status == already && first.ID.Compare(r.ID) < 0 &&
			first.Status != revoked && first.Status != already {
			w.t.Fatalf("row %d is a duplicate of %+v: %+v", i+1, first, r)
		}
	}
}
