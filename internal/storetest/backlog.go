package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// waiting fails the test unless want revocations of each class wait. It returns the backlog.
func (f *fixture) waiting(want map[revocation.Class]int) revocation.Backlog {
	f.Helper()
	b, err := f.Backlog(f.Context())
	f.must(err)
	got := make(map[revocation.Class]int)
	for class, w := range b.Waiting {
		if (w.Count > 0) == w.Since.IsZero() {
			f.Errorf("%d of class %s since %v", w.Count, class, w.Since)
		}
		if w.Count > 0 {
			got[class] = w.Count
		}
	}
	f.equal("waiting", want, got)
	return b
}

// since fails the test unless the oldest revocation of a class has this id.
func (f *fixture) since(b revocation.Backlog, class revocation.Class, id revocation.ID) {
	f.Helper()
	if got := b.Waiting[class].Since; !got.Equal(id.Time()) {
		f.Errorf("the oldest of class %s is of %v, want %v", class, got, id.Time())
	}
}

var backlogTests = []test{
	{"an idle store has no backlog", func(f *fixture) {
		b := f.waiting(map[revocation.Class]int{})
		f.equal("held", 0, len(b.Held))
	}},
	{"singles of all accounts wait until they are final", func(f *fixture) {
		old := request(1)
		old.ID = revocation.FirstIDAt(time.Now().Add(-time.Hour))
		old.ID[15] = 1
		refs := f.submitNew(request(2), old, request(1, ofZenith))
		f.since(f.waiting(map[revocation.Class]int{revocation.ClassSingle: 3}), revocation.ClassSingle, old.ID)
		f.attemptFails(time.Hour, refs[1])
		f.since(f.waiting(map[revocation.Class]int{revocation.ClassSingle: 3}), revocation.ClassSingle, old.ID)
		f.carryOut(next(refs[1]))
		f.carryOut(refs[2])
		f.since(f.waiting(map[revocation.Class]int{revocation.ClassSingle: 1}), revocation.ClassSingle, refs[0].ID)
	}},
	{"items of finalized jobs wait, in chunks and with work items", func(f *fixture) {
		f.upload(items(1, 2))
		first := f.bulk(append(items(1, 2, 3), invalid("it is nonsense")))
		f.bulk(items(1, 2), ofZenithJob)
		b := f.waiting(map[revocation.Class]int{revocation.ClassItems: 6})
		f.since(b, revocation.ClassItems, first.ID)
		f.spill(first)
		b = f.waiting(map[revocation.Class]int{revocation.ClassItems: 5})
		f.since(b, revocation.ClassItems, first.ID)
		f.work(acme)
		f.work(zenith)
		f.waiting(map[revocation.Class]int{})
	}},
	{"emails of singles and of jobs wait until they are settled", func(f *fixture) {
		sent, kept := f.revokedWithEmail(1), f.revokedWithEmail(2)
		f.settle(f.claimEmail(sent, time.Hour), revocation.Settlement{Status: revocation.NotificationSent})
		f.since(f.waiting(map[revocation.Class]int{revocation.ClassMail: 1}), revocation.ClassMail, kept.ID)
		f.mailed(3, 4)
		f.claimEmail(kept, time.Hour)
		f.since(f.waiting(map[revocation.Class]int{revocation.ClassMail: 3}), revocation.ClassMail, kept.ID)
	}},
	{"the work of an account on an upstream has its own class", func(f *fixture) {
		url := "https://platform.example"
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{
			ID: zenith, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte{1}},
		}))
		job := f.bulk(items(1, 2), ofZenithJob)
		f.bulk(items(1))
		want := map[revocation.Class]int{revocation.ClassItems: 1, revocation.ClassUpstream: 2}
		f.since(f.waiting(want), revocation.ClassUpstream, job.ID)
		f.spill(job)
		f.waiting(want)
		single := f.submitNew(request(3, ofZenith))
		f.carryOut(single...) // which routes it to the upstream
		want[revocation.ClassUpstream]++
		b := f.waiting(want)
		f.equal("held", 0, len(b.Held))
		f.must(f.HoldUpstream(f.Context(), f.upstream(zenith), revocation.HoldUnauthorized, time.Hour))
		f.must(f.HoldUpstream(f.Context(), f.upstream(acme), revocation.HoldUnavailable, time.Hour)) // the account has no upstream
		f.equal("held", map[revocation.Hold]int{revocation.HoldUnauthorized: 1}, f.waiting(want).Held)
		f.must(f.ReleaseUpstream(f.Context(), f.upstream(zenith)))
		f.equal("held after all", 0, len(f.waiting(want).Held))
	}},
}
