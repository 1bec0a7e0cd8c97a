package storetest

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"rescind/internal/revocation"
)

// selectItems begins a job and fills it with what a selection finds.
func (f *fixture) selectItems(selected revocation.Selection, limit int, with ...func(*revocation.FinalJob)) (revocation.FinalJob, error) {
	f.Helper()
	s := newJob(with...)
	s.Preview, s.PreviewTTL = true, time.Hour
	f.begin(s)
	total, err := f.SelectItems(f.Context(), s.NewJob, selected, limit, time.Hour)
	s.Total = total
	return s, err
}

// selected returns a previewed job with what a selection finds.
func (f *fixture) selected(selected revocation.Selection, with ...func(*revocation.FinalJob)) revocation.Job {
	f.Helper()
	s, err := f.selectItems(selected, revocation.MaxJobItems, with...)
	f.must(err)
	job := f.finalize(s)
	f.equal("state", revocation.JobPreviewing, job.State)
	f.equal("total", s.Total, job.Total)
	f.predict(job.Account)
	return *f.job(job)
}

// reports returns the reports of a job's items in the order of their rows.
func (f *fixture) reports(job revocation.Job) (all []int64) {
	f.Helper()
	for i, r := range f.results(job) {
		f.equal("row", i+1, r.ID.Row())
		all = append(all, r.ReportID)
	}
	return all
}

// ownReports are the reports of a fixture's invites.
func ownReports() (all []int64) {
	for report := range int64(invites) {
		all = append(all, report+1)
	}
	return all
}

// selections are selections of the world of the searches, where 102 is revoked, with the reports that they find.
func selections() map[string]struct {
	selection revocation.Selection
	want      []int64
} {
	many := []string{"ADA@one.example", "adam@THREE.example", "nobody@one.example", "ada@ONE.example"}
	for i := range revocation.MaxSelectionEmails - len(many) {
		many = append(many, "nobody-"+strconv.Itoa(i)+"@one.example")
	}
	started := []revocation.Progress{revocation.ProgressStarted}
	type selection = struct {
		selection revocation.Selection
		want      []int64
	}
	return map[string]selection{
		"address without case":          {revocation.Selection{Emails: []string{"ADA@one.EXAMPLE"}}, []int64{101, 107}},
		"address among white space":     {revocation.Selection{Emails: []string{" ada@one.example "}}, []int64{101, 107}},
		"address, not its beginning":    {revocation.Selection{Emails: []string{"ada@one"}}, nil},
		"address of a revoked invite":   {revocation.Selection{Emails: []string{"countess@two.example"}}, nil},
		"address of another account":    {revocation.Selection{Emails: []string{"zoe@zenith.example"}}, nil},
		"as many addresses as may be":   {revocation.Selection{Emails: many}, []int64{101, 103, 107}},
		"assessment's id":               {revocation.Selection{AssessmentID: "be-1"}, []int64{101, 103}},
		"assessment's id with case":     {revocation.Selection{AssessmentID: "BE-1"}, nil},
		"assessment without case":       {revocation.Selection{Assessment: "BACKEND"}, []int64{101, 103, 105, 107}},
		"assessment, not its beginning": {revocation.Selection{Assessment: "back"}, nil},
		"from a moment on":              {revocation.Selection{SentAfter: minutes(104)}, []int64{104, 105, 106, 107}},
		"until a moment":                {revocation.Selection{SentBefore: sentAt.Add(time.Microsecond)}, ownReports()},
		"before all":                    {revocation.Selection{SentBefore: sentAt}, nil},
		"between two moments":           {revocation.Selection{SentAfter: minutes(101), SentBefore: minutes(104)}, []int64{101, 103}},
		"state":                         {revocation.Selection{Progress: started}, []int64{103}},
		"several states": {
			revocation.Selection{Progress: []revocation.Progress{revocation.ProgressStarted, revocation.ProgressCompleted}}, []int64{103, 107},
		},
		"the state of all others": {
			revocation.Selection{Progress: []revocation.Progress{revocation.ProgressPending}}, append(ownReports(), 101, 104, 105, 106),
		},
		"addresses and an assessment": {revocation.Selection{Emails: many, Assessment: "backend", AssessmentID: "be-1"}, []int64{101, 103}},
		"addresses and a time":        {revocation.Selection{Emails: many, SentAfter: minutes(102)}, []int64{103, 107}},
		"both of an assessment":       {revocation.Selection{AssessmentID: "be-1", Assessment: "frontend"}, nil},
		"an assessment and a state":   {revocation.Selection{Assessment: "backend", Progress: started}, []int64{103}},
		"an assessment and a time":    {revocation.Selection{Assessment: "backend", SentAfter: minutes(102), SentBefore: minutes(107)}, []int64{103, 105}},
		"a time and a state":          {revocation.Selection{SentAfter: minutes(101), Progress: started}, []int64{103}},
		"all members": {
			revocation.Selection{
				Emails: many, AssessmentID: "be-1", Assessment: "backend", Progress: started,
				SentAfter: minutes(103), SentBefore: minutes(104),
			},
			[]int64{103},
		},
	}
}

// unsorted adds n invites with an assessment of their own, whose times do not follow their reports.
func (f *fixture) unsorted(assessment string, n int) (reports []int64) {
	f.Helper()
	var list []revocation.Invite
	for i := range n {
		invite := person(int64(10_000+i), "", "many@acme.example", assessment)
		invite.SentAt = sentAt.Add(time.Duration(i*7919%n) * time.Minute)
		list, reports = append(list, invite), append(reports, invite.ReportID)
	}
	for part := range slices.Chunk(list, uploadBatchSize) {
		f.must(f.UpsertInvites(f.Context(), acme, part))
	}
	return reports
}

var selectionTests = []test{
	{"a selection finds the invites that match all members, in ascending order", func(f *fixture) {
		f.searchWorld()
		f.must(f.UpsertInvites(f.Context(), zenith, []revocation.Invite{person(500, "Zoe", "zoe@zenith.example", "Backend")}))
		for name, s := range selections() {
			if s.want == nil {
				_, err := f.selectItems(s.selection, revocation.MaxJobItems)
				if revocation.ErrorCode(err) != revocation.CodeInvalid {
					f.Errorf("%s: %v", name, err)
				}
				continue
			}
			f.equal(name, s.want, f.reports(f.selected(s.selection)))
		}
	}},
	{"the items of a selection have the job's values, and end as predicted", func(f *fixture) {
		f.searchWorld()
		job := f.selected(revocation.Selection{Assessment: "backend"}, notifyAll, func(s *revocation.FinalJob) { s.Reason = new("closed") })
		f.equal("state", revocation.JobPreviewed, job.State)
		f.equal("predicted", 4, job.Preview.Predicted.Revoked)
		f.confirm(job)
		_, err := f.finishJob(f.Context(), acme, job.ID)
		f.must(err)
		f.recount(job)
		f.equal("revoked", 4, f.revokedOnce(job))
		for _, r := range f.results(job) {
			f.equal("item", []any{revoked, "closed", apiKey, true}, []any{r.Status, *r.Reason, r.RequestedBy, r.Notify})
		}
		_, err = f.selectItems(revocation.Selection{Assessment: "backend"}, revocation.MaxJobItems)
		f.code(revocation.CodeInvalid, err)
	}},
	{"a selection of several chunks is in ascending order", func(f *fixture) {
		for _, n := range []int{revocation.ChunkSize, 2*revocation.ChunkSize + 1} {
			want := f.unsorted("Many", n)
			f.equal("by assessment", want, f.reports(f.selected(revocation.Selection{Assessment: "many"})))
			f.equal("by address", want, f.reports(f.selected(revocation.Selection{Emails: []string{"MANY@acme.example"}})))
			job := f.selected(revocation.Selection{SentAfter: sentAt, SentBefore: sentAt.Add(24 * 365 * time.Hour)})
			f.equal("by time", append(ownReports(), want...), f.reports(job))
		}
	}},
	{"two selections that overlap give what jobs with the same ids give", func(f *fixture) {
		f.searchWorld()
		byAddress := revocation.Selection{Emails: []string{"ada@one.example", "anders@four.example"}} // 101, 104, 107
		byAssessment := revocation.Selection{Assessment: "backend"}                                   // 101, 103, 105, 107
		first, second := f.selected(byAddress), f.selected(byAssessment)
		f.equal("reports", [][]int64{{101, 104, 107}, {101, 103, 105, 107}}, [][]int64{f.reports(first), f.reports(second)})
		f.confirm(first)
		f.confirm(second)
		for _, job := range []revocation.Job{first, second} {
			_, err := f.finishJob(f.Context(), acme, job.ID)
			f.must(err)
			f.recount(job)
		}
		f.equal("together", 5, f.job(first).Counts.Revoked+f.job(second).Counts.Revoked)
		f.equal("again", 2, f.job(first).Counts.AlreadyRevoked+f.job(second).Counts.AlreadyRevoked)
	}},
	{"a selection is of one moment", func(f *fixture) {
		want := f.unsorted("Many", revocation.ChunkSize+1)
		var stopped atomic.Bool
		_, err := concurrently(2, func(i int) (int, error) {
			if i == 1 { // moves all invites between two assessments, together
				for n := 0; !stopped.Load(); n++ {
					list := make([]revocation.Invite, len(want))
					for at, report := range want {
						list[at] = person(report, "", "many@acme.example", []string{"Few", "Many"}[n%2])
					}
					if err := f.UpsertInvites(f.Context(), acme, list); err != nil {
						return 0, err
					}
				}
				return 0, nil
			}
			defer stopped.Store(true)
			for range 8 {
				s := newJob()
				if _, err := f.BeginJob(f.Context(), s.NewJob, time.Hour); err != nil {
					return 0, err
				}
				switch n, err := f.SelectItems(f.Context(), s.NewJob, revocation.Selection{Assessment: "many"}, math.MaxInt32, time.Hour); {
				case revocation.ErrorCode(err) == revocation.CodeInvalid:
				case err != nil:
					return 0, err
				case n != len(want):
					f.Errorf("%d of %d invites that change together", n, len(want))
				}
			}
			return 0, nil
		})
		f.must(err)
	}},
	{"a selection of more than the limit leaves nothing", func(f *fixture) {
		f.searchWorld()
		_, err := f.selectItems(revocation.Selection{Assessment: "backend"}, 3)
		f.code(revocation.CodeTooManyItems, err)
		s, err := f.selectItems(revocation.Selection{Assessment: "backend"}, 4)
		f.must(err)
		f.equal("total", 4, s.Total)

		s, err = f.selectItems(revocation.Selection{Assessment: "frontend"}, 4)
		f.code(revocation.CodeInvalid, err)
		f.add(&s, items(1, 2)...) // no items were left
		f.equal("reports", []int64{1, 2}, f.reports(f.finalize(s)))
	}},
	{"a selection by texts is refused while it could miss invites", func(f *fixture) {
		f.searchWorld()
		f.tables.Unfold(f, zenith)
		byTexts := []revocation.Selection{
			{Emails: []string{"ada@one.example"}}, {Assessment: "backend"}, {Emails: []string{"nobody@one.example"}, SentAfter: sentAt},
		}
		for _, s := range byTexts {
			if _, err := f.selectItems(s, 100); !errors.Is(err, revocation.ErrNotFindable) {
				f.Errorf("%v", err)
			}
		}
		f.equal("by id", []int64{101, 103}, f.reports(f.selected(revocation.Selection{AssessmentID: "be-1"})))
		f.equal("by time", []int64{106, 107}, f.reports(f.selected(revocation.Selection{SentAfter: minutes(106)})))
		n, err := f.FoldInvites(f.Context(), 100)
		f.must(err)
		f.equal("folded", true, n > 0)
		f.equal("by address", []int64{101, 107}, f.reports(f.selected(byTexts[0])))
	}},
	{"a selection needs the upload and the account's invites", func(f *fixture) {
		s := newJob()
		f.begin(s)
		f.must(f.DropJob(f.Context(), acme, s.ID))
		_, err := f.SelectItems(f.Context(), s.NewJob, revocation.Selection{SentAfter: sentAt}, 100, time.Hour)
		f.code(revocation.CodeJobEnded, err)

		url := "https://upstream.example"
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")}}))
		_, err = f.selectItems(revocation.Selection{SentAfter: sentAt}, 100)
		f.code(revocation.CodeNotSupported, err)
	}},
}
