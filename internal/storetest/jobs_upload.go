package storetest

import (
	"math"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// checkHidden fails the test if a reader can see the job or one of its items.
func (f *fixture) checkHidden(s revocation.FinalJob) {
	f.Helper()
	ctx := f.Context()
	_, err := f.Job(ctx, s.Account, s.ID)
	f.code(revocation.CodeNotFound, err)
	_, err = cancelJob(ctx, f.Store, s.Account, s.ID)
	f.code(revocation.CodeNotFound, err)
	f.equal("listed", false, slices.Contains(f.jobList(revocation.JobFilter{Account: s.Account}), s.ID))
	for _, status := range append(revocation.Statuses, "") {
		f.equal("results "+string(status), 0, len(f.pages(revocation.ResultFilter{Account: s.Account, Job: s.ID, Statuses: oneStatus(status), Limit: 100})))
	}
	for row := 1; row <= s.Total; row++ {
		_, err := f.Revocation(ctx, s.Account, s.ID.Item(row))
		f.code(revocation.CodeNotFound, err)
	}
	for name, filter := range map[string]revocation.Filter{
		"all": {}, "by report": {ReportID: 1}, "by status": {Statuses: revocation.StatusFilter{revocation.StatusPending}}, "by job": {JobID: s.ID},
		"by time": {CreatedAfter: s.ID.Time().Add(-time.Hour)}, "by everything": {
			ReportID: 1, Statuses: revocation.StatusFilter{revocation.StatusPending}, JobID: s.ID, CreatedBefore: s.ID.Time().Add(time.Hour),
		},
	} {
		filter.Account = s.Account
		f.equal("list "+name, []revocation.ID{}, slices.DeleteFunc(f.list(filter), func(id revocation.ID) bool {
			return revocation.JobID(id) != s.ID
		}))
	}
}

// checkInert fails the test if a reader can see the job, or a worker can carry out one of its items. No other work may
// exist.
func (f *fixture) checkInert(s revocation.FinalJob) {
	f.Helper()
	f.checkHidden(s)
	f.noWork("for a hidden job")
	f.equal("chunks", []revocation.Chunk{{}, {}}, []revocation.Chunk{f.chunk(s.Account), f.cancelledChunk(s.Account)})
	f.equal("items", 0, len(f.claimItems(s.Account, 100, 0))+len(f.claimCancelled(s.Account, 100, 0)))
	for row := 1; row <= s.Total; row++ {
		f.equal("carried out", 0, len(f.carryOut(revocation.Ref{Account: s.Account, ID: s.ID.Item(row)})))
	}
}

// ignoreReading ignores the fields that differ between two reads of the same job or item.
var ignoreReading = []cmp.Option{
	cmpopts.IgnoreFields(revocation.Job{}, "ReadAt", "Since", "SinceDone", "CountedAt", "QueuedAt", "StartedAt", "FinishedAt"),
	cmpopts.IgnoreFields(revocation.Revocation{}, "UpdatedAt", "CompletedAt"),
}

// equalIgnoringTimes is like equal, but ignores times.
func (f *fixture) equalIgnoringTimes(what string, want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got, ignoreReading...); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var uploadTests = []test{
	{"a job that is being received is not visible", func(f *fixture) {
		s := newJob()
		f.begin(s)
		f.checkInert(s)
		f.add(&s, item(1, withItemNotify(true)), invalid("no"), item(2))
		f.checkInert(s)
		f.equal("finalized", 3, f.finalize(s).Total)
		f.equal("outcomes", []revocation.Status{revocation.StatusPending, revocation.StatusInvalid, revocation.StatusPending},
			f.outcomes(revocation.Job{Account: acme, ID: s.ID}))
	}},
	{"a finalized job is visible as a whole", func(f *fixture) {
		separator, encoding, sheet := "\t", "utf-16le", "Blatt 1"
		file := &revocation.File{
			Format: "csv", Separator: &separator, Encoding: &encoding, Sheet: &sheet,
			Columns: map[string]string{"report_id": "Report <ID> 漢字"}, Ignored: []string{"Name", `"'`},
		}
		before := f.bulk(items(2))
		f.end(before)
		label, of := "März, 2. Teil", before.ID
		s := f.upload([]revocation.Item{
			item(1, withItemNotify(true), withItemReference("r")), invalid("report_id is missing."), item(math.MaxInt64),
		}, func(s *revocation.FinalJob) {
			s.Label, s.File, s.RetryOf, s.Route = &label, file, of, revocation.RouteRetry
		})
		want := revocation.Job{
			ID: s.ID, Account: acme, Label: &label, File: file, State: revocation.JobQueued, RetryOf: of, RequestedBy: apiKey,
			Total: 3, Counts: revocation.Counts{Invalid: 1},
		}
		job := f.finalize(s)
		f.equalIgnoringTimes("answer", want, job)
		f.checkNumbers(&job)
		f.equalIgnoringTimes("job", &want, f.job(job))
		jobs, err := f.Jobs(f.Context(), revocation.JobFilter{Account: acme, Limit: 1})
		f.must(err)
		f.equalIgnoringTimes("list", []revocation.Job{want}, jobs.Entries)
		reference := "r"
		notRequested := revocation.Notification{Status: revocation.NotificationNotRequested}
		results := f.results(job)
		f.equalIgnoringTimes("results", []revocation.Revocation{
			{
				ID: s.ID.Item(1), Account: acme, ReportID: 1, Job: s.ID, Notify: true, ClientReference: &reference,
				RequestedBy: apiKey, Status: revocation.StatusPending,
				Notification: revocation.Notification{Status: revocation.NotificationPending},
			},
			{
				ID: s.ID.Item(2), Account: acme, Job: s.ID, RequestedBy: apiKey, Notification: notRequested,
				Status: revocation.StatusInvalid, Final: true, Invalid: "report_id is missing.",
			},
			{
				ID: s.ID.Item(3), Account: acme, ReportID: math.MaxInt64, Job: s.ID, RequestedBy: apiKey,
				Status: revocation.StatusPending, Notification: notRequested,
			},
		}, results)
		f.equal("one by one", results, []revocation.Revocation{
			f.read(rowOf(job, 1)), f.read(rowOf(job, 2)), f.read(rowOf(job, 3)),
		})
		f.equal("work", []revocation.AccountWork{{Task: revocation.JobsTask, Account: acme}}, f.accountTasks())
	}},
	{"the times of a waiting item and of an invalid one", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(1), invalid("no")})
		waits, unreadable := f.read(rowOf(job, 1)), f.read(rowOf(job, 2))
		f.equal("updated", job.CreatedAt(), waits.UpdatedAt)
		if !waits.CompletedAt.IsZero() || unreadable.CompletedAt.IsZero() || !unreadable.UpdatedAt.Equal(unreadable.CompletedAt) {
			f.Errorf("completed at %v and %v, updated at %v", waits.CompletedAt, unreadable.CompletedAt, unreadable.UpdatedAt)
		}
		if read := f.job(job).ReadAt; unreadable.CompletedAt.Before(job.CreatedAt()) || unreadable.CompletedAt.After(read) {
			f.Errorf("created at %v, completed at %v, read at %v", job.CreatedAt(), unreadable.CompletedAt, read)
		}
	}},
	{"values are read as they were written", func(f *fixture) {
		var all []revocation.Item
		for _, reference := range []string{"", " ", `"quoted" \u0041`, "é 漢字 🙂", "<&>\u2028\n\t\x7f", "'); DROP TABLE jobs; --", "null", "{}"} {
			all = append(all, item(1, withItemReference(reference)), revocation.Item{Invalid: "a reason: " + reference, Reason: &reference})
			all = append(all, item(2, withItemReason(reference)))
		}
		label := all[13].Invalid
		job := f.bulk(all, func(s *revocation.FinalJob) { s.Label = &label })
		f.equal("label", &label, f.job(job).Label)
		for i, r := range f.results(job) {
			f.equal("reference", all[i].ClientReference, r.ClientReference)
			f.equal("reason", all[i].Reason, r.Reason)
			f.equal("fault", all[i].Invalid, r.Invalid)
			f.equal("message", r.Status == revocation.StatusInvalid, r.Message() == all[i].Invalid)
		}
		message := "line\nline"
		job = f.bulk([]revocation.Item{item(3), item(4, withItemReason("its own"))}, func(s *revocation.FinalJob) {
			s.Reason, s.CandidateMessage = &label, &message
		})
		read := f.job(job)
		f.equal("the job's reason and message", []*string{&label, &message}, []*string{read.Reason, read.CandidateMessage})
		for i, want := range []string{label, "its own"} {
			r := f.read(rowOf(job, i+1))
			f.equal("reason and message", []*string{&want, &message}, []*string{r.Reason, r.CandidateMessage})
			f.equal("listed reason", &want, f.results(job)[i].Reason)
		}
	}},
	{"batches make one job", func(f *fixture) {
		s := f.upload(items(3, 1))
		f.add(&s, item(2))
		f.add(&s, invalid("no"), item(5))
		var reports []int64
		for i, r := range f.results(f.finalize(s)) {
			f.equal("id", s.ID.Item(i+1), r.ID)
			reports = append(reports, r.ReportID)
		}
		f.equal("reports", []int64{3, 1, 2, 0, 5}, reports)
	}},
	{"a batch is written completely or not at all", func(f *fixture) {
		s := f.upload(items(1, 2))
		for _, row := range []int{2, 4} { // a row that exists, and a row that is twice in the batch
			err := f.AddItems(f.Context(), s.NewJob, []revocation.Item{
				{Row: 3, ReportID: 7}, {Row: 4, ReportID: 7}, {Row: row, ReportID: 7},
			}, time.Hour)
			f.code(revocation.CodeInternal, err)
		}
		f.add(&s, items(3, 4)...)
		for i, r := range f.results(f.finalize(s)) {
			f.equal("report", int64(i+1), r.ReportID)
		}
	}},
	{"a job of only invalid rows has ended at once", func(f *fixture) {
		s := f.upload([]revocation.Item{invalid("a"), invalid("b"), invalid("c")}, withJobKey("k"), notifyAll)
		job := f.finalize(s)
		f.equal("state", revocation.JobCompleted, job.State)
		f.checkNumbers(&job)
		f.equal("started", time.Time{}, job.StartedAt)
		f.equal("counts", revocation.Counts{Invalid: 3}, f.job(job).Counts)
		f.recount(job)
		f.noWork("after it")
		f.equal("chunk", revocation.Chunk{}, f.chunk(acme))
		_, err := cancelJob(f.Context(), f.Store, acme, s.ID)
		f.code(revocation.CodeJobEnded, err)
	}},
	{"the default of notify is for items that do not set it", func(f *fixture) {
		rows := []revocation.Item{item(1), item(2, withItemNotify(true)), item(3, withItemNotify(false)), item(invites + 1), invalid("no")}
		for _, byDefault := range []bool{false, true} {
			job := f.bulk(rows, func(s *revocation.FinalJob) {
				s.Notify = byDefault
				if byDefault {
					s.Account = zenith
				}
			})
			want := []bool{byDefault, true, false, byDefault, byDefault}
			for range 2 { // before and after the items are carried out
				for i, r := range f.results(job) {
					f.equal("notify", want[i], r.Notify)
					f.equal("notify by id", want[i], f.read(rowOf(job, i+1)).Notify)
					f.equal("notification", revocation.ShownNotification(want[i], r.Final, r.Status, ""), r.Notification.Status)
				}
				f.work(job.Account)
			}
			mails := map[bool]int{false: 1, true: 2}[byDefault]
			f.equal("mails", revocation.MailCounts{Pending: mails}, f.job(job).Mails)
			emails, _, err := f.ClaimJobNotifications(f.Context(), sender, job.Account, 9, time.Hour)
			f.must(err)
			f.equal("emails", mails, len(emails))
		}
	}},
	{"a dropped upload leaves nothing", func(f *fixture) {
		s := f.upload([]revocation.Item{item(1), invalid("no")})
		for range 2 {
			f.must(f.DropJob(f.Context(), acme, s.ID))
			f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 3, ReportID: 1}}, time.Hour))
			_, err := f.FinalizeJob(f.Context(), s)
			f.code(revocation.CodeJobEnded, err)
			f.checkInert(s)
		}
		f.must(f.DropJob(f.Context(), acme, revocation.JobID(uuidv7.New())))
	}},
	{"a finalized job cannot be dropped or extended", func(f *fixture) {
		s := f.upload(items(1), withJobKey("k"))
		job := f.finalize(s)
		for _, end := range []func(){func() {}, func() { f.end(job) }} {
			end()
			was := f.job(job)
			f.must(f.DropJob(f.Context(), acme, s.ID))
			if f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 2, ReportID: 2}}, time.Hour) == nil {
				f.Error("an item was added")
			}
			if _, err := f.FinalizeJob(f.Context(), s); err == nil {
				f.Error("the job was finalized again")
			}
			f.equalIgnoringTimes("job", was, f.job(job))
			f.equal("items", 1, len(f.results(job)))
		}
		dropped, err := f.DropSilentUploads(f.Context())
		f.must(err)
		f.equal("dropped", 0, dropped)
	}},
	{"another account's upload cannot be extended, finalized or dropped", func(f *fixture) {
		s := f.upload(items(1))
		foreign := s
		foreign.Account = zenith
		f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), foreign.NewJob, []revocation.Item{{Row: 2, ReportID: 2}}, time.Hour))
		_, err := f.FinalizeJob(f.Context(), foreign)
		f.code(revocation.CodeJobEnded, err)
		f.code(revocation.CodeJobEnded, f.RenewUpload(f.Context(), foreign.NewJob, time.Hour))
		f.must(f.DropJob(f.Context(), zenith, s.ID))
		f.add(&s, item(2))
		f.equal("total", 2, len(f.results(f.finalize(s))))
	}},
	{"a single submission does not join an item, nor an item a submission", func(f *fixture) {
		before := f.submitNew(request(1))[0]
		job := f.bulk(items(1, 2, 3))
		after := f.submitNew(request(2))[0]
		f.equal("joined", []revocation.Accepted{{ID: before.ID}, {ID: after.ID}}, f.submit(request(1), request(2)))
		f.spill(job) // its items have work items, as single submissions have
		f.equal("joined beside work items", []revocation.Accepted{{ID: before.ID}, {ID: after.ID}}, f.submit(request(1), request(2)))
		f.submitNew(request(3))
		f.end(job)
		f.equal("joined after the job", []revocation.Accepted{{ID: before.ID}, {ID: after.ID}}, f.submit(request(1), request(2)))
	}},
}
