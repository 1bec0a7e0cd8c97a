package sqlite_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/uuidv7"
)

func claimDue(t *testing.T, store *sqlite.Store) []revocation.Ref {
	t.Helper()
	due, err := store.ClaimDue(t.Context(), 100, []time.Duration{time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	refs := make([]revocation.Ref, len(due))
	for i, d := range due {
		refs[i] = d.Ref
	}
	return refs
}

// claimItems claims the due items, and returns their attempts by row.
func claimItems(t *testing.T, store *sqlite.Store) map[int]int {
	t.Helper()
	due, err := store.ClaimDueItems(t.Context(), "acme", 100, []time.Duration{time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[int]int)
	for _, d := range due {
		rows[d.ID.Row()] = d.Attempt
	}
	return rows
}

func claimJobEmails(t *testing.T, store *sqlite.Store, limit int) []revocation.Email {
	t.Helper()
	emails, _, err := store.ClaimJobNotifications(t.Context(), "sender", "acme", limit, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return emails
}

func resume(t *testing.T, store *sqlite.Store) {
	t.Helper()
	if err := store.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStore_Resume(t *testing.T) {
	t.Run("uploads are given up, and their keys are free", func(t *testing.T) {
		store := open(t, file(t))
		seed(t, store, 1, 1)
		job := revocation.NewJob{
			ID: revocation.JobID(uuidv7.New()), Account: "acme", Route: revocation.RouteJobs, IdempotencyKey: "k",
		}
		if _, err := store.BeginJob(t.Context(), job, time.Hour); err != nil {
			t.Fatal(err)
		}
		resume(t, store)
		if err := store.RenewUpload(t.Context(), job, time.Hour); revocation.ErrorCode(err) != revocation.CodeJobEnded {
			t.Errorf("the upload: %v", err)
		}
		job.ID = revocation.JobID(uuidv7.New())
		if bound, err := store.BeginJob(t.Context(), job, time.Hour); bound != nil || err != nil {
			t.Errorf("the key: %v, %v", bound, err)
		}
	})
	t.Run("what had a task under way is due, what waits for its time is not", func(t *testing.T) {
		store := open(t, file(t))
		seed(t, store, 1, 3)
		refs := submit(t, store, 1, 3)
		for i, delay := range []time.Duration{0, 2 * time.Hour} {
			if _, err := store.RecordOutcomes(t.Context(), refs[i:i+1], func(held []revocation.LockedRevocation) []revocation.Decision {
				policy := revocation.RetryPolicy{Base: delay, Max: delay, MaxAttempts: 9}
				return revocation.DecideFailed(held, revocation.Failure{Code: revocation.CodeDeadlock}, policy)
			}); err != nil {
				t.Fatal(err)
			}
			refs[i].Attempt = 1
		}
		if diff := cmp.Diff(refs[:1], claimDue(t, store)); diff != "" {
			t.Fatalf("due before (-want +got):\n%s", diff)
		}
		waits := read(t, store, refs[1])
		resume(t, store)
		got := map[revocation.Ref]bool{}
		for _, ref := range claimDue(t, store) {
			got[ref] = true
		}
		if diff := cmp.Diff(map[revocation.Ref]bool{refs[0]: true, refs[2]: true}, got); diff != "" {
			t.Errorf("due after (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(waits, read(t, store, refs[1])); diff != "" {
			t.Errorf("the one that waits (-want +got):\n%s", diff)
		}
	})
	t.Run("what is held stays held after a restart, and is carried out when it is due", func(t *testing.T) {
		path := file(t)
		before, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		seed(t, before, 1, 3)
		byTime, byHold, started := request(1), request(2), request(3)
		byTime.NotBefore = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		byHold.Hold, started.Hold = time.Hour, time.Hour
		if _, err := before.Submit(t.Context(), []revocation.Submission{byTime, byHold, started}); err != nil {
			t.Fatal(err)
		}
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}

		store := open(t, path)
		resume(t, store)
		var refs []revocation.Ref
		for _, s := range []revocation.Submission{byTime, byHold, started} {
			refs = append(refs, revocation.Ref{Account: "acme", ID: s.ID})
		}
		held := func(refs ...revocation.Ref) {
			t.Helper()
			if due := claimDue(t, store); len(due) > 0 {
				t.Errorf("due: %v", due)
			}
			done, err := store.CarryOut(t.Context(), refs, revocation.Decide)
			if err != nil || len(done.Decisions) > 0 {
				t.Errorf("carried out: %+v, %v", done, err)
			}
			for _, ref := range refs {
				if r := read(t, store, ref); r.Status != revocation.StatusPending || time.Until(r.NextAttemptAt) < time.Minute {
					t.Errorf("%s, and the next attempt is at %v", r.Status, r.NextAttemptAt)
				}
			}
		}
		held(refs...)
		if r := read(t, store, refs[0]); !r.NotBefore.Equal(byTime.NotBefore) {
			t.Errorf("not before %v, want %v", r.NotBefore, byTime.NotBefore)
		}
		carriedOut := func(refs ...revocation.Ref) {
			t.Helper()
			due := claimDue(t, store)
			if len(due) != len(refs) {
				t.Fatalf("due: %v, want %v", due, refs)
			}
			if _, err := store.CarryOut(t.Context(), due, revocation.Decide); err != nil {
				t.Fatal(err)
			}
			for _, ref := range refs {
				if r := read(t, store, ref); r.Status != revocation.StatusRevoked {
					t.Errorf("%s when it is due", r.Status)
				}
			}
		}
		if _, err := store.StartSingle(t.Context(), "acme", refs[2].ID); err != nil {
			t.Fatal(err)
		}
		carriedOut(refs[2])
		held(refs[:2]...)
		// The hour passes.
		if _, err := openRaw(t, path).ExecContext(t.Context(), `
			UPDATE work_items SET due_at = due_at - 3600000000, next_check_at = next_check_at - 3600000000`); err != nil {
			t.Fatal(err)
		}
		carriedOut(refs[:2]...)
	})
	t.Run("emails are due, unless they may have been sent", func(t *testing.T) {
		store := open(t, file(t))
		seed(t, store, 1, 4)
		refs := submit(t, store, 1, 4)
		if _, err := store.CarryOut(t.Context(), refs, revocation.Decide); err != nil {
			t.Fatal(err)
		}
		emails := map[revocation.ID]revocation.Email{}
		for _, ref := range refs[1:] {
			claimed, err := store.ClaimNotifications(t.Context(), "sender", []revocation.NotificationRef{{Account: "acme", Revocation: ref.ID}}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			emails[ref.ID] = claimed[0]
		}
		pending, claimed, committed, sent := refs[0], refs[1], refs[2], refs[3]
		if held, err := store.CommitNotification(t.Context(), emails[committed.ID], time.Hour); err != nil || !held {
			t.Fatal(held, err)
		}
		if err := store.SettleNotification(t.Context(), emails[sent.ID], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1}); err != nil {
			t.Fatal(err)
		}
		resume(t, store)
		due, _, err := store.ClaimDueNotifications(t.Context(), 100, []time.Duration{time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		claims := map[revocation.ID]int{}
		for _, ref := range due {
			claims[ref.Revocation] = ref.Claims
		}
		if diff := cmp.Diff(map[revocation.ID]int{pending.ID: 0, claimed.ID: 1}, claims); diff != "" {
			t.Errorf("due, with their claims (-want +got):\n%s", diff)
		}
		if held, err := store.CommitNotification(t.Context(), emails[claimed.ID], time.Hour); err != nil || held {
			t.Errorf("a claim of before holds: %t, %v", held, err)
		}
		if got := read(t, store, committed).Notification.Status; got != revocation.NotificationUnknown {
			t.Errorf("the committed one is %s", got)
		}
		if got := read(t, store, sent).Notification.Status; got != revocation.NotificationSent {
			t.Errorf("the sent one is %s", got)
		}
	})
	t.Run("claimed items are due, and items that wait for their time are not", func(t *testing.T) {
		store := open(t, file(t))
		seed(t, store, 1, 2)
		job := bulk(t, store, 1, 2)
		if err := store.SpillChunk(t.Context(), revocation.Chunk{Account: "acme", Job: job.ID, First: 1, Last: 2}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[int]int{1: 0, 2: 0}, claimItems(t, store)); diff != "" {
			t.Fatalf("due before, with their attempts (-want +got):\n%s", diff)
		}
		waits := revocation.Ref{Account: "acme", ID: job.ID.Item(2)}
		if _, err := store.RecordOutcomes(t.Context(), []revocation.Ref{waits}, func(held []revocation.LockedRevocation) []revocation.Decision {
			policy := revocation.RetryPolicy{Base: time.Hour, Max: time.Hour, MaxAttempts: 9}
			return revocation.DecideFailed(held, revocation.Failure{Code: revocation.CodeDeadlock}, policy)
		}); err != nil {
			t.Fatal(err)
		}
		resume(t, store)
		if diff := cmp.Diff(map[int]int{1: 0}, claimItems(t, store)); diff != "" {
			t.Errorf("due after, with their attempts (-want +got):\n%s", diff)
		}
	})
	t.Run("a call that was under way is due, and in doubt", func(t *testing.T) {
		store := open(t, file(t))
		url := "https://platform.example"
		if err := store.SetAccount(t.Context(), revocation.AccountChange{
			ID: "acme", Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
		}); err != nil {
			t.Fatal(err)
		}
		refs := submit(t, store, 1, 1)
		if _, err := store.CarryOut(t.Context(), refs, revocation.Decide); err != nil {
			t.Fatal(err)
		}
		for i, before := range []func(*testing.T, *sqlite.Store){func(*testing.T, *sqlite.Store) {}, resume} {
			before(t, store)
			calls, err := store.BeginCalls(t.Context(), "acme", 9, 9, time.Hour)
			if err != nil || len(calls) != 1 || calls[0].Ref != refs[0] || calls[0].InDoubt != (i > 0) {
				t.Fatalf("got the calls %+v, %v", calls, err)
			}
		}
	})
	t.Run("emails of jobs are due, unless they may have been sent, and those are counted", func(t *testing.T) {
		store := open(t, file(t))
		seed(t, store, 1, 4)
		job := bulk(t, store, 1, 4)
		if _, err := store.CarryOutChunk(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		for _, email := range claimJobEmails(t, store, 3)[1:] {
			if held, err := store.CommitNotification(t.Context(), email, time.Hour); err != nil || !held {
				t.Fatal(held, err)
			}
		}
		for range 2 {
			resume(t, store)
		}
		got, err := store.Job(t.Context(), "acme", job.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(revocation.MailCounts{Pending: 2, Unknown: 2}, got.Mails); diff != "" {
			t.Errorf("mails (-want +got):\n%s", diff)
		}
		claims := map[int]int{}
		for _, email := range claimJobEmails(t, store, 9) {
			claims[email.Revocation.Row()] = email.Claims
		}
		if diff := cmp.Diff(map[int]int{1: 2, 4: 1}, claims); diff != "" {
			t.Errorf("due, with their claims (-want +got):\n%s", diff)
		}
	})
}
