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

// hidden fails the test if anything of a job can be read.
func (f *fixture) hidden(s revocation.FinalJob) {
	f.Helper()
	ctx := f.Context()
	_, err := f.Job(ctx, s.Account, s.ID)
	f.code(revocation.CodeNotFound, err)
	_, err = f.CancelJob(ctx, s.Account, s.ID)
	f.code(revocation.CodeNotFound, err)
	f.same("listed", false, slices.Contains(f.jobList(revocation.JobFilter{Account: s.Account}), s.ID))
	for _, status := range append(revocation.Statuses, "") {
		f.same("results "+string(status), 0, len(f.pages(revocation.ResultFilter{Account: s.Account, Job: s.ID, Statuses: oneStatus(status), Limit: 100})))
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
		f.same("list "+name, []revocation.ID{}, slices.DeleteFunc(f.list(filter), func(id revocation.ID) bool {
			return revocation.JobID(id) != s.ID
		}))
	}
}

// unseen fails the test if anything of a job can be read or carried out. Nothing else is to be done.
func (f *fixture) unseen(s revocation.FinalJob) {
	f.Helper()
	f.hidden(s)
	f.idle("for a job that nobody sees")
	f.same("chunks", []revocation.Chunk{{}, {}}, []revocation.Chunk{f.chunk(s.Account), f.cancelledChunk(s.Account)})
	f.same("items", 0, len(f.claimItems(s.Account, 100, 0))+len(f.claimCancelled(s.Account, 100, 0)))
	for row := 1; row <= s.Total; row++ {
		f.same("carried out", 0, len(f.carryOut(revocation.Ref{Account: s.Account, ID: s.ID.Item(row)})))
	}
}

// ignoreReading is what differs between two readings of a job, or of an item.
var ignoreReading = []cmp.Option{
	cmpopts.IgnoreFields(revocation.Job{}, "ReadAt", "Since", "SinceDone", "StartedAt", "FinishedAt"),
	cmpopts.IgnoreFields(revocation.Revocation{}, "UpdatedAt", "CompletedAt"),
}

// alike is same, but for the times.
func (f *fixture) alike(what string, want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got, ignoreReading...); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var intakeTests = []test{
	{"a job that is being received is seen by nobody", func(f *fixture) {
		s := newSeal()
		f.begin(s)
		f.unseen(s)
		f.add(&s, item(1, wishing(true)), invalid("no"), item(2))
		f.unseen(s)
		f.same("sealed after all", 3, f.seal(s).Total)
		f.same("outcomes", []revocation.Status{revocation.StatusPending, revocation.StatusInvalid, revocation.StatusPending},
			f.outcomes(revocation.Job{Account: acme, ID: s.ID}))
	}},
	{"a job that is sealed is seen as a whole", func(f *fixture) {
		separator, encoding, sheet := "\t", "utf-16le", "Blatt 1"
		file := &revocation.File{
			Format: "csv", Separator: &separator, Encoding: &encoding, Sheet: &sheet,
			Columns: map[string]string{"report_id": "Report <ID> 漢字"}, Ignored: []string{"Name", `"'`},
		}
		before := f.bulk(items(2))
		f.end(before)
		label, of := "März, 2. Teil", before.ID
		s := f.upload([]revocation.Item{
			item(1, wishing(true), referring("r")), invalid("report_id is missing."), item(math.MaxInt64),
		}, func(s *revocation.FinalJob) {
			s.Label, s.File, s.RetryOf, s.Route = &label, file, of, revocation.RouteRetry
		})
		want := revocation.Job{
			ID: s.ID, Account: acme, Label: &label, File: file, State: revocation.JobQueued, RetryOf: of, RequestedBy: apiKey,
			Total: 3, Counts: revocation.Counts{Invalid: 1},
		}
		sealed := f.seal(s)
		f.alike("answer", want, sealed)
		f.sound(&sealed)
		f.alike("job", &want, f.look(sealed))
		jobs, err := f.Jobs(f.Context(), revocation.JobFilter{Account: acme, Limit: 1})
		f.must(err)
		f.alike("list", []revocation.Job{want}, jobs.Entries)
		reference := "r"
		notRequested := revocation.Notification{Status: revocation.NotificationNotRequested}
		results := f.results(sealed)
		f.alike("results", []revocation.Revocation{
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
		f.same("one by one", results, []revocation.Revocation{
			f.read(rowOf(sealed, 1)), f.read(rowOf(sealed, 2)), f.read(rowOf(sealed, 3)),
		})
		f.same("work", []revocation.AccountWork{{Task: revocation.JobsTask, Account: acme}}, f.turns())
	}},
	{"the times of an item that waits, and of one that cannot be read", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(1), invalid("no")})
		waits, unreadable := f.read(rowOf(job, 1)), f.read(rowOf(job, 2))
		f.same("updated", job.CreatedAt(), waits.UpdatedAt)
		if !waits.CompletedAt.IsZero() || unreadable.CompletedAt.IsZero() || !unreadable.UpdatedAt.Equal(unreadable.CompletedAt) {
			f.Errorf("completed at %v and %v, updated at %v", waits.CompletedAt, unreadable.CompletedAt, unreadable.UpdatedAt)
		}
	}},
	{"values come back as they were", func(f *fixture) {
		var all []revocation.Item
		for _, reference := range []string{"", " ", `"quoted" \u0041`, "é 漢字 🙂", "<&>\u2028\n\t\x7f", "'); DROP TABLE jobs; --", "null", "{}"} {
			all = append(all, item(1, referring(reference)), revocation.Item{Invalid: "a reason: " + reference})
		}
		label := all[9].Invalid
		job := f.bulk(all, func(s *revocation.FinalJob) { s.Label = &label })
		f.same("label", &label, f.look(job).Label)
		for i, r := range f.results(job) {
			f.same("reference", all[i].ClientReference, r.ClientReference)
			f.same("reason", all[i].Invalid, r.Invalid)
			f.same("message", r.Status == revocation.StatusInvalid, r.Message() == all[i].Invalid)
		}
	}},
	{"what comes in pieces is one job", func(f *fixture) {
		s := f.upload(items(3, 1))
		f.add(&s, item(2))
		f.add(&s, invalid("no"), item(5))
		var reports []int64
		for i, r := range f.results(f.seal(s)) {
			f.same("id", s.ID.Item(i+1), r.ID)
			reports = append(reports, r.ReportID)
		}
		f.same("reports", []int64{3, 1, 2, 0, 5}, reports)
	}},
	{"a piece is written wholly or not at all", func(f *fixture) {
		s := f.upload(items(1, 2))
		for _, row := range []int{2, 4} { // one that is there, and one that is twice in the piece
			err := f.AddItems(f.Context(), s.NewJob, []revocation.Item{
				{Row: 3, ReportID: 7}, {Row: 4, ReportID: 7}, {Row: row, ReportID: 7},
			}, time.Hour)
			f.code(revocation.CodeInternal, err)
		}
		f.add(&s, items(3, 4)...)
		for i, r := range f.results(f.seal(s)) {
			f.same("report", int64(i+1), r.ReportID)
		}
	}},
	{"a job whose rows all cannot be read has ended at once", func(f *fixture) {
		s := f.upload([]revocation.Item{invalid("a"), invalid("b"), invalid("c")}, underKey("k"), notifyAll)
		sealed := f.seal(s)
		f.same("state", revocation.JobCompleted, sealed.State)
		f.sound(&sealed)
		f.same("started", time.Time{}, sealed.StartedAt)
		f.same("counts", revocation.Counts{Invalid: 3}, f.look(sealed).Counts)
		f.recount(sealed)
		f.idle("after it")
		f.same("chunk", revocation.Chunk{}, f.chunk(acme))
		_, err := f.CancelJob(f.Context(), acme, s.ID)
		f.code(revocation.CodeJobEnded, err)
	}},
	{"the default is the wish of items that have none of their own", func(f *fixture) {
		rows := []revocation.Item{item(1), item(2, wishing(true)), item(3, wishing(false)), item(invites + 1), invalid("no")}
		for _, byDefault := range []bool{false, true} {
			job := f.bulk(rows, func(s *revocation.FinalJob) {
				s.Notify = byDefault
				if byDefault {
					s.Account = zenith
				}
			})
			want := []bool{byDefault, true, false, byDefault, byDefault}
			for range 2 { // before and after
				for i, r := range f.results(job) {
					f.same("notify", want[i], r.Notify)
					f.same("notify by id", want[i], f.read(rowOf(job, i+1)).Notify)
					f.same("notification", revocation.ShownNotification(want[i], r.Final, r.Status, ""), r.Notification.Status)
				}
				f.work(job.Account)
			}
			mails := map[bool]int{false: 1, true: 2}[byDefault]
			f.same("mails", revocation.MailCounts{Pending: mails}, f.look(job).Mails)
			emails, _, err := f.ClaimJobNotifications(f.Context(), sender, job.Account, 9, time.Hour)
			f.must(err)
			f.same("emails", mails, len(emails))
		}
	}},
	{"an upload that is given up leaves nothing", func(f *fixture) {
		s := f.upload([]revocation.Item{item(1), invalid("no")})
		for range 2 {
			f.must(f.DropJob(f.Context(), acme, s.ID))
			f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 3, ReportID: 1}}, time.Hour))
			_, err := f.FinalizeJob(f.Context(), s)
			f.code(revocation.CodeJobEnded, err)
			f.unseen(s)
		}
		f.must(f.DropJob(f.Context(), acme, revocation.JobID(uuidv7.New())))
	}},
	{"a sealed job is not given up any more, nor added to", func(f *fixture) {
		s := f.upload(items(1), underKey("k"))
		job := f.seal(s)
		for _, end := range []func(){func() {}, func() { f.end(job) }} {
			end()
			was := f.look(job)
			f.must(f.DropJob(f.Context(), acme, s.ID))
			if f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 2, ReportID: 2}}, time.Hour) == nil {
				f.Error("an item was added")
			}
			if _, err := f.FinalizeJob(f.Context(), s); err == nil {
				f.Error("it was sealed again")
			}
			f.alike("job", was, f.look(job))
			f.same("items", 1, len(f.results(job)))
		}
		dropped, err := f.DropSilentUploads(f.Context())
		f.must(err)
		f.same("dropped", 0, dropped)
	}},
	{"another account's upload cannot be added to, sealed or given up", func(f *fixture) {
		s := f.upload(items(1))
		foreign := s
		foreign.Account = zenith
		f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), foreign.NewJob, []revocation.Item{{Row: 2, ReportID: 2}}, time.Hour))
		_, err := f.FinalizeJob(f.Context(), foreign)
		f.code(revocation.CodeJobEnded, err)
		f.code(revocation.CodeJobEnded, f.RenewUpload(f.Context(), foreign.NewJob, time.Hour))
		f.must(f.DropJob(f.Context(), zenith, s.ID))
		f.add(&s, item(2))
		f.same("total", 2, len(f.results(f.seal(s))))
	}},
	{"a single submission does not join an item, nor an item a submission", func(f *fixture) {
		before := f.fresh(request(1))[0]
		job := f.bulk(items(1, 2))
		after := f.fresh(request(2))[0]
		f.same("joined", []revocation.Accepted{{ID: before.ID}, {ID: after.ID}}, f.submit(request(1), request(2)))
		f.end(job)
		f.same("joined after the job", []revocation.Accepted{{ID: before.ID}, {ID: after.ID}}, f.submit(request(1), request(2)))
	}},
}
