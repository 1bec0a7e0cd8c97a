package revocation

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ledger is a model of a store that accepts one submission at a time. PlanFlush must return the same answers.
type ledger struct {
	invites  map[InviteKey]bool
	underWay map[InviteKey]UnderWay
	locked   map[InviteKey]bool // under way, and locked by another transaction
	due      map[InviteKey]time.Time
	bound    map[IdempotencyKey]Binding
}

func (l *ledger) submit(s Submission) Accepted {
	key, invite := IdempotencyKey{s.Account, s.IdempotencyKey}, InviteKey{s.Account, s.ReportID}
	if b, ok := l.bound[key]; ok && s.IdempotencyKey != "" {
		return replay(&s, b)
	}
	if !l.invites[invite] {
		return Accepted{Err: &Error{Code: CodeNotFound}}
	}
	under, ok := l.underWay[invite]
	if l.locked[invite] && (s.Notify && !under.Notify || under.Waits) {
		return Accepted{Err: &Error{Code: CodeLockTimeout}}
	}
	if !ok {
		under.ID = s.ID
	}
	under.Notify = under.Notify || s.Notify
	l.underWay[invite] = under
	if due := s.DueAt(ledgerNow); !ok || due.Before(l.due[invite]) {
		l.due[invite] = due
	}
	if s.IdempotencyKey != "" {
		l.bound[key] = Binding{key, s.Fingerprint(), under.ID}
	}
	return Accepted{ID: under.ID, Created: !ok}
}

// ledgerNow is when all flushes of a test are written.
var ledgerNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestPlanFlush(t *testing.T) {
	t.Run("a flush has the same result as its submissions one after the other", rapid.MakeCheck(func(t *rapid.T) {
		l := &ledger{
			invites: make(map[InviteKey]bool), underWay: make(map[InviteKey]UnderWay), bound: make(map[IdempotencyKey]Binding),
			due: make(map[InviteKey]time.Time),
		}
		for _, account := range []string{"acme", "bolt"} {
			for report := range int64(3) {
				l.invites[InviteKey{account, report + 1}] = true // report 4 does not exist
			}
		}
		created := byte(0)
		draw := rapid.Custom(func(t *rapid.T) Submission {
			created++
			return Submission{
				ID:             ID{15: created},
				Account:        rapid.SampledFrom([]string{"acme", "bolt"}).Draw(t, "account"),
				ReportID:       rapid.Int64Range(1, 4).Draw(t, "report"),
				Notify:         rapid.Bool().Draw(t, "notify"),
				IdempotencyKey: rapid.SampledFrom([]string{"", "", "k1", "k2"}).Draw(t, "key"),
				NotBefore:      rapid.SampledFrom([]time.Time{{}, {}, ledgerNow.Add(-time.Hour), ledgerNow.Add(time.Hour), ledgerNow.Add(3 * time.Hour)}).Draw(t, "not before"),
				Hold:           rapid.SampledFrom([]time.Duration{0, 0, 2 * time.Hour}).Draw(t, "hold"),
			}
		})
		for range rapid.IntRange(1, 4).Draw(t, "flushes") {
			flush := rapid.SliceOfN(draw, 0, 10).Draw(t, "flush")
			for invite, under := range l.underWay {
				under.Waits = l.due[invite].After(ledgerNow)
				l.underWay[invite] = under
			}
			facts := FlushFacts{Bound: maps.Clone(l.bound), Invites: l.invites, UnderWay: maps.Clone(l.underWay)}
			due := maps.Clone(l.due)
			l.locked = make(map[InviteKey]bool)
			for invite, under := range facts.UnderWay {
				under.Locked = rapid.Bool().Draw(t, fmt.Sprintf("%v is locked", invite))
				facts.UnderWay[invite], l.locked[invite] = under, under.Locked
			}
			plan := PlanFlush(flush, facts)
			for i, s := range flush {
				want := l.submit(s)
				got := plan.Accepted[i]
				if got.ID != want.ID || got.Created != want.Created || (got.Err == nil) != (want.Err == nil) ||
					got.Err != nil && ErrorCode(got.Err) != ErrorCode(want.Err) {
					t.Fatalf("submission %d %+v: got %+v, want %+v", i, s, got, want)
				}
			}
			applyPlan(facts, plan, due)
			for invite, under := range facts.UnderWay {
				under.Locked = false
				facts.UnderWay[invite] = under
			}
			if diff := cmp.Diff(l.underWay, facts.UnderWay); diff != "" {
				t.Fatalf("under way after the flush: %s", diff)
			}
			if diff := cmp.Diff(l.bound, facts.Bound); diff != "" {
				t.Fatalf("bound after the flush: %s", diff)
			}
			if diff := cmp.Diff(l.due, due); diff != "" {
				t.Fatalf("due after the flush: %s", diff)
			}
			for invite := range l.underWay {
				if rapid.Bool().Draw(t, fmt.Sprintf("%v becomes final", invite)) {
					delete(l.underWay, invite)
					delete(l.due, invite)
				}
			}
		}
	}))
	t.Run("rows are written in the order of their keys", rapid.MakeCheck(func(t *rapid.T) {
		facts := FlushFacts{Invites: make(map[InviteKey]bool), UnderWay: make(map[InviteKey]UnderWay)}
		flush := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Submission {
			s := Submission{Account: rapid.StringN(1, 3, -1).Draw(t, "account"), ReportID: rapid.Int64Range(1, 9).Draw(t, "report"), Notify: true}
			invite := InviteKey{s.Account, s.ReportID}
			facts.Invites[invite] = true
			if rapid.Bool().Draw(t, "under way") {
				facts.UnderWay[invite] = UnderWay{ID: ID{1}}
			}
			return s
		})).Draw(t, "flush")
		plan := PlanFlush(flush, facts)
		for i := 1; i < len(plan.Insert); i++ {
			a, b := plan.Insert[i-1], plan.Insert[i]
			if (InviteKey{a.Account, a.ReportID}).Compare(InviteKey{b.Account, b.ReportID}) >= 0 {
				t.Fatalf("inserts %d and %d are out of order or the same", i-1, i)
			}
		}
		for i := 1; i < len(plan.EnableNotify); i++ {
			if plan.EnableNotify[i-1].Compare(plan.EnableNotify[i].InviteKey) >= 0 {
				t.Fatalf("EnableNotify %d and %d are out of order or the same", i-1, i)
			}
		}
	}))
}

func applyPlan(facts FlushFacts, plan FlushPlan, due map[InviteKey]time.Time) {
	for _, n := range plan.EnableNotify {
		under := facts.UnderWay[n.InviteKey]
		under.ID, under.Notify = n.ID, true
		facts.UnderWay[n.InviteKey] = under
	}
	for _, s := range plan.Insert {
		facts.UnderWay[InviteKey{s.Account, s.ReportID}] = UnderWay{ID: s.ID, Notify: s.Notify}
		due[InviteKey{s.Account, s.ReportID}] = s.DueAt(ledgerNow)
	}
	for _, s := range plan.MoveEarlier {
		invite := InviteKey{s.Account, s.ReportID}
		if at := s.DueAt(ledgerNow); facts.UnderWay[invite].ID == s.ID && at.Before(due[invite]) {
			due[invite] = at
		}
	}
	for _, b := range plan.Bind {
		facts.Bound[b.IdempotencyKey] = b
	}
}

func TestSubmission_Fingerprint(t *testing.T) {
	a, ab, b := "a", "ab", "b"
	at := ledgerNow
	seen := make(map[Fingerprint]int)
	for i, s := range []Submission{
		{ReportID: 1},
		{ReportID: 2},
		{ReportID: 1, Notify: true},
		{ReportID: 1, ClientReference: &a},
		{ReportID: 1, Reason: &a},
		{ReportID: 1, CandidateMessage: &a},
		{ReportID: 1, NotBefore: at},
		{ReportID: 1, NotBefore: at.Add(time.Microsecond)},
		{ReportID: 1, ClientReference: &a, Reason: &b},
		{ReportID: 1, ClientReference: &ab, Reason: new("")},
		{ReportID: 1, Reason: &a, CandidateMessage: &b},
		{ReportID: 1, Reason: &ab, CandidateMessage: new("")},
		{ReportID: 1, ClientReference: &a, CandidateMessage: &b},
	} {
		if other, ok := seen[s.Fingerprint()]; ok {
			t.Errorf("submissions %d and %d have the same fingerprint", other, i)
		}
		seen[s.Fingerprint()] = i
		s.Hold = time.Hour
		if _, ok := seen[s.Fingerprint()]; !ok {
			t.Errorf("the fingerprint of submission %d depends on the hold", i)
		}
	}
}
