package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

var propertyTests = []test{
	{"whatever comes in whatever order, the states move as they may", func(f *fixture) {
		runs := 0
		rapid.Check(f.T, func(t *rapid.T) {
			// Each run has its own account. A new store for each would take much longer.
			runs++
			m := newModel(f, t, fmt.Sprintf("run-%d", runs))
			for range rapid.IntRange(1, 16).Draw(t, "steps") {
				switch rapid.SampledFrom([]string{"submit", "carry out", "carry out by rule", "fail", "claim due"}).Draw(t, "step") {
				case "submit":
					m.submit(t)
				case "carry out":
					m.carryOut(t)
				case "carry out by rule":
					refs, live := m.drawRefs(t)
					done, err := fastPathFirst(f.Context(), f.Store, refs, revocation.Decide)
					m.must(t, err)
					m.decided(t, live, done)
				case "fail":
					m.fail(t)
				default:
					m.claimDue(t)
				}
				m.check(t)
			}
		})
	}},
}

// submit submits a batch, and applies its submissions one after the other to the model.
func (m *model) submit(t *rapid.T) {
	batch := make([]revocation.Submission, rapid.IntRange(1, 4).Draw(t, "size"))
	for i := range batch {
		batch[i] = revocation.Submission{
			ID: uuidv7.New(), Account: m.account, RequestedBy: apiKey,
			ReportID:       rapid.Int64Range(1, modelReports+1).Draw(t, "report"),
			Notify:         rapid.Bool().Draw(t, "notify"),
			IdempotencyKey: rapid.SampledFrom([]string{"", "", "k", "l", "m"}).Draw(t, "key"),
		}
	}
	type answer struct {
		ID      revocation.ID
		Created bool
		Code    revocation.Code
	}
	var want, got []answer
	for _, s := range batch {
		id, created, code := m.accept(s)
		want = append(want, answer{id, created, code})
	}
	accepted, err := m.store.Submit(m.f.Context(), batch)
	m.must(t, err)
	for _, a := range accepted {
		g := answer{ID: a.ID, Created: a.Created}
		if a.Err != nil {
			g.Code = revocation.ErrorCode(a.Err)
		}
		got = append(got, g)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("answers (-want +got):\n%s", diff)
	}
}

// drawRefs returns refs of some revocations, each with the current attempt or a stale one. The map live contains the ones
// with the current attempt.
func (m *model) drawRefs(t *rapid.T) (refs []revocation.Ref, live map[revocation.ID]bool) {
	live = make(map[revocation.ID]bool)
	for _, id := range m.ids {
		r := m.all[id]
		if r.final && len(m.ids) > 6 && !rapid.Bool().Draw(t, "a final one") || !rapid.Bool().Draw(t, "named") {
			continue
		}
		stale := rapid.IntRange(0, 3).Draw(t, "stale") == 0
		ref := revocation.Ref{Account: m.account, ID: id, Attempt: r.attempts}
		if stale {
			ref.Attempt += rapid.SampledFrom([]int{-1, 1}).Draw(t, "by")
		}
		refs = append(refs, ref)
		live[id] = !stale && r.work
	}
	return refs, live
}

func (m *model) carryOut(t *rapid.T) {
	refs, live := m.drawRefs(t)
	outcomes := make(map[revocation.ID]string)
	for _, ref := range refs {
		outcomes[ref.ID] = rapid.SampledFrom([]string{"rule", "rule", "contended", "failed"}).Draw(t, "outcome")
	}
	m.carryOutAs(t, refs, live, outcomes)
}

// carryOutAs carries out refs with the given outcomes. A ref without one gets the outcome of the rule.
func (m *model) carryOutAs(t *rapid.T, refs []revocation.Ref, live map[revocation.ID]bool, outcomes map[revocation.ID]string) {
	done, err := m.store.CarryOut(m.f.Context(), refs, func(locked []revocation.LockedRevocation) []revocation.Decision {
		locked = slices.Clone(locked)
		for i := range locked {
			locked[i].Contended = outcomes[locked[i].ID] == "contended" || outcomes[locked[i].ID] == "failed"
		}
		decisions := revocation.Decide(locked)
		for i := range locked {
			switch {
			case outcomes[locked[i].ID] == "failed":
				decisions[i] = revocation.DecideFailed(locked[i:i+1], outage, revocation.RetryPolicy{MaxAttempts: modelAttempts})[0]
			case !decisions[i].HasStatus():
				decisions[i].Delay = 0
			}
		}
		return decisions
	})
	m.must(t, err)
	m.decided(t, live, done)
}

func (m *model) fail(t *rapid.T) {
	refs, live := m.drawRefs(t)
	cancels := len(m.jobs) > 0 && rapid.Bool().Draw(t, "cancels")
	done, err := m.store.RecordOutcomes(m.f.Context(), refs, func(locked []revocation.LockedRevocation) []revocation.Decision {
		if cancels {
			return cancelAll(locked)
		}
		return revocation.DecideFailed(locked, outage, revocation.RetryPolicy{MaxAttempts: modelAttempts})
	})
	m.must(t, err)
	m.decided(t, live, done)
}

// claimDue claims all due attempts. Those are the revocations that had a decision and are not final.
func (m *model) claimDue(t *rapid.T) {
	due, err := m.store.ClaimDue(m.f.Context(), 1000, []time.Duration{time.Hour})
	m.must(t, err)
	for _, d := range due {
		if d.Account != m.account {
			continue // from an earlier run
		}
		r := m.all[d.ID]
		if r == nil || r.job != nil || !r.due || d.Attempt != r.attempts {
			t.Fatalf("due: %+v, about %+v", d, r)
		}
		r.due = false
	}
	for _, r := range m.all {
		if r.due && r.job == nil {
			t.Fatalf("not claimed: %+v", r)
		}
	}
}
