package storetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"rescind/internal/revocation"
)

var ruleTests = []test{
	{"a chunk applies the rule", func(f *fixture) {
		runs := 0
		rapid.Check(f.T, func(t *rapid.T) {
			runs++
			checkRule(t, f, fmt.Sprintf("run-%d", runs))
		})
	}},
}

// checkRule carries out two jobs that name the same invites of various ages and states, and changes the account before each.
// It compares the outcome of each item with revocation.Rule. The chunk of a job may be spilled.
func checkRule(t *rapid.T, f *fixture, account string) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		// Times around the plan change, from a microsecond to days away.
		scale := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, time.Second, 24 * time.Hour}).Draw(t, "scale")
		return planChange.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "steps")) * scale)
	})
	ok(f.SetAccount(f.Context(), revocation.AccountChange{ID: account}))
	progress := rapid.SampledFrom([]revocation.Progress{"", revocation.ProgressPending, revocation.ProgressStarted, revocation.ProgressCompleted})
	sent := rapid.SliceOfN(moment, 1, 6).Draw(t, "sent")
	known, states := make([]revocation.Invite, len(sent)), make(map[int64]*revocation.InviteState, len(sent))
	for i, at := range sent {
		known[i] = revocation.Invite{ReportID: int64(i + 1), SentAt: at, Progress: progress.Draw(t, "progress")}
		states[int64(i+1)] = &revocation.InviteState{SentAt: at, Started: known[i].Progress.Started()}
	}
	ok(f.UpsertInvites(f.Context(), account, known))
	for range 2 {
		var changed time.Time
		if rapid.IntRange(0, 4).Draw(t, "plan") > 0 {
			changed = moment.Draw(t, "changed")
		}
		spares := rapid.Bool().Draw(t, "spares")
		ok(f.SetAccount(f.Context(), revocation.AccountChange{ID: account, PlanChangedAt: &changed, SpareStarted: &spares}))
		s := newJob(func(s *revocation.FinalJob) { s.Account = account })
		s.Notify = rapid.Bool().Draw(t, "notify all")
		var want []revocation.Revocation
		var rows []revocation.Item
		for _, report := range rapid.SliceOfN(rapid.Int64Range(1, int64(len(sent)+1)), 1, 12).Draw(t, "reports") {
			row := revocation.Item{Row: len(rows) + 1, ReportID: report}
			if notify := rapid.IntRange(0, 2).Draw(t, "notify"); notify > 0 {
				withItemNotify(notify == 1)(&row)
			}
			rows = append(rows, row)
			w := revocation.Revocation{ReportID: report, Notify: s.Notify, Status: missing}
			if row.Notify != nil {
				w.Notify = *row.Notify
			}
			if state := states[report]; state != nil {
				w.Status = revocation.Rule(*state, revocation.AccountState{PlanChangedAt: changed, SpareStarted: spares})
				state.Revoked = state.Revoked || w.Status == revoked
			}
			if w.Status == revocation.StatusNotAllowed {
				w.Timestamp = changed.UTC().Format(revocation.TimestampLayout)
			}
			w.Notification.Status = revocation.ShownNotification(w.Notify, true, w.Status, "")
			want = append(want, w)
		}
		s.Total = len(rows)
		_, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
		ok(err)
		ok(f.AddItems(f.Context(), s.NewJob, rows, time.Hour))
		job, err := f.FinalizeJob(f.Context(), s)
		ok(err)
		if rapid.IntRange(0, 3).Draw(t, "spilled") == 0 {
			ok(f.SpillChunk(f.Context(), chunkOf(job, 0)))
		}
		_, err = f.drainJobs(f.Context(), account)
		ok(err)
		page, err := f.Results(f.Context(), revocation.ResultFilter{Account: account, Job: job.ID, Limit: 100})
		ok(err)
		if len(page.Entries) != len(want) {
			t.Fatalf("%d items, want %d", len(page.Entries), len(want))
		}
		for i, r := range page.Entries {
			got := revocation.Revocation{
				ReportID: r.ReportID, Notify: r.Notify, Status: r.Status, Timestamp: r.Timestamp, Notification: r.Notification,
			}
			if got != want[i] || !r.Final || r.Attempts != 1 {
				t.Fatalf("row %d is %+v, want %+v", i+1, r, want[i])
			}
		}
	}
}
