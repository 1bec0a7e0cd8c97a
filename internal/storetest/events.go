package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

var eventTests = []test{
	{"each change of an account and its keys has one event, and nothing else has any", func(f *fixture) {
		seen := f.newest(acme)
		key := revocation.APIKey{ID: uuidv7.New(), Account: acme, Name: "recruiting", Scopes: []revocation.Scope{revocation.ScopeRead}}
		f.must(f.AddKey(f.Context(), key))
		for range 2 {
			f.must(f.RevokeKey(f.Context(), acme, key.ID))
			f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Name: new("Another name"), Hold: new(time.Minute)}))
		}
		f.must(f.FinishImport(f.Context(), acme, nil, revocation.Import{Written: 3, Bad: 1}))
		for _, e := range f.eventPage(revocation.EventFilter{Account: acme, After: &seen, Limit: 10}).Events {
			if age := time.Since(e.OccurredAt); age.Abs() > time.Minute || e.OccurredAt.Location() != time.UTC {
				f.Errorf("%s occurred at %v, %v ago", e.Type, e.OccurredAt, age)
			}
		}
		f.code(revocation.CodeNotFound, f.RevokeKey(f.Context(), zenith, key.ID))
		f.code(revocation.CodeNotFound, f.AddKey(f.Context(), revocation.APIKey{ID: uuidv7.New(), Account: "nobody"}))
		f.code(revocation.CodeInvalid, f.SetAccount(f.Context(), revocation.AccountChange{
			ID: acme, Contact: new("rolled@back.example"), Upstream: &revocation.UpstreamChange{Rate: new(1.0)},
		}))
		f.events(revocation.EventFilter{Account: acme, After: &seen},
			`key.created operator cli key `+key.ID.String()+` {"expires_at":null,"scopes":["read"]}`,
			`key.revoked operator cli key `+key.ID.String()+` {}`,
			`account.changed operator cli account acme {"changed":["name","hold_seconds"],"created":false,"values":{"hold_seconds":60}}`,
			`invites.imported operator cli account acme {"bad":1,"written":3}`)
	}},
	{"a hold of an upstream has an event when it begins and when it ends, and none for a probe", func(f *fixture) {
		set := func() *revocation.Upstream {
			f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{
				URL: new("https://up.example"), SealedKey: []byte("sealed"),
			}}))
			up, err := f.Upstream(f.Context(), acme)
			f.must(err)
			return up
		}
		up := set()
		seen := f.newest(acme)
		f.must(f.ReleaseUpstream(f.Context(), *up))
		for range 2 {
			f.must(f.HoldUpstream(f.Context(), *up, revocation.HoldUnauthorized, time.Minute))
		}
		for range 2 {
			f.must(f.ReleaseUpstream(f.Context(), *up))
		}
		f.must(f.HoldUpstream(f.Context(), *up, revocation.HoldSecret, time.Minute))
		set()
		paused := func(why revocation.Hold) string {
			return `upstream.paused service  account acme {"reason":"` + string(why) + `"}`
		}
		f.events(revocation.EventFilter{Account: acme, After: &seen},
			paused(revocation.HoldUnauthorized), `upstream.resumed service  account acme {}`,
			paused(revocation.HoldSecret), `upstream.resumed operator cli account acme {}`)
	}},
	{"the end of a job has one event, with the job's own numbers", func(f *fixture) {
		seen := f.newest(acme)
		job := f.bulk(append(items(1, 2, 2, 999), invalid("no number")))
		for range 2 { // the second finds nothing to do
			_, err := f.CarryOutChunk(f.Context(), acme)
			f.must(err)
		}
		f.state(job, revocation.JobCompleted)
		ended := f.job(job)
		var want, got any
		f.must(json.Unmarshal(revocation.JobEvents(ended, revocation.Actor{}, revocation.EventJobFinished)[0].Data, &want))
		page := f.eventPage(revocation.EventFilter{Account: acme, After: &seen, Types: []revocation.EventType{revocation.EventJobFinished}, Limit: 10})
		if len(page.Events) != 1 || page.Events[0].Subject != (revocation.Subject{Type: revocation.SubjectJob, ID: job.ID.String()}) {
			f.Fatalf("events: %v", page.Events)
		}
		f.must(json.Unmarshal(page.Events[0].Data, &got))
		f.equal("data", want, got)
	}},
	{"single revocations have events only in accounts with such events", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, SingleEvents: new(true)}))
		seen, other := f.newest(acme), f.newest(zenith)
		refs := f.submitNew(request(1), request(2), request(1, ofZenith))
		f.carryOut(refs[0], refs[2])
		f.attemptFails(0, refs[1])
		refs[1].Attempt = 1
		f.failBy(revocation.RetryPolicy{MaxAttempts: 2}, refs[1])
		f.status(refs[1], revocation.StatusErrorRevoking, true)
		f.events(revocation.EventFilter{Account: zenith, After: &other})
		job := f.bulk(items(3))
		f.spill(job)
		f.end(job) // an item is no single revocation
		f.events(revocation.EventFilter{Account: acme, After: &seen, Types: []revocation.EventType{revocation.EventRevocationFinished}},
			`revocation.finished service  revocation `+refs[0].ID.String()+` {"attempts":1,"report_id":1,"status":"REVOKED"}`,
			`revocation.finished service  revocation `+refs[1].ID.String()+` {"attempts":2,"report_id":2,"status":"ERROR_REVOKING"}`)
	}},
	{"a single revocation that is cancelled is finished too", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, SingleEvents: new(true)}))
		seen, other := f.newest(acme), f.newest(zenith)
		refs := f.submitNew(request(1), request(2), request(1, ofZenith))
		f.attemptFails(0, refs[1])
		cancelled := func(ref revocation.Ref, report string) string {
			for range 2 { // the second finds it cancelled
				_, err := f.CancelSingle(f.Context(), ref.Account, ref.ID, revocation.ByKey(apiKey))
				f.must(err)
			}
			return `revocation.cancelled key ` + (&revocation.APIKey{ID: apiKey}).ShownName() + ` revocation ` + ref.ID.String() + ` {"report_id":` + report + `}`
		}
		finished := func(ref revocation.Ref, data string) string {
			return `revocation.finished service  revocation ` + ref.ID.String() + ` {` + data + `,"status":"CANCELLED"}`
		}
		first, second := cancelled(refs[0], "1"), cancelled(refs[1], "2")
		f.events(revocation.EventFilter{Account: zenith, After: &other}, cancelled(refs[2], "1"))
		f.events(revocation.EventFilter{Account: acme, After: &seen},
			first, finished(refs[0], `"attempts":0,"report_id":1`), second, finished(refs[1], `"attempts":1,"report_id":2`))
	}},
	{"a page is short only at the end, and a cursor passes what its filter leaves out", func(f *fixture) {
		for range 3 {
			f.must(f.AddKey(f.Context(), newKey(acme)))
			f.must(f.FinishImport(f.Context(), acme, nil, revocation.Import{}))
		}
		key := []revocation.EventType{revocation.EventKeyCreated}
		page := f.eventPage(revocation.EventFilter{Account: acme, Types: key, Limit: 2})
		f.equal("events of a page", 2, len(page.Events))
		f.equal("cursor after a full page", page.Events[1].Number, page.Next.Number)
		page = f.eventPage(revocation.EventFilter{Account: acme, Types: key, Limit: 2, After: &page.Next})
		f.equal("events of the last page", 1, len(page.Events))
		f.equal("cursor at the end", f.newest(acme), page.Next)
		page = f.eventPage(revocation.EventFilter{Account: acme, Subject: uuidv7.New().String(), Limit: 2})
		f.equal("cursor without a match", f.newest(acme), page.Next)
		both := f.eventPage(revocation.EventFilter{Account: acme, Types: []revocation.EventType{
			revocation.EventKeyCreated, revocation.EventInvitesImported,
		}, Limit: 6})
		f.equal("events of two types", 6, len(both.Events))
		one := f.eventPage(revocation.EventFilter{Account: acme, Types: key, Subject: both.Events[0].Subject.ID, Limit: 6})
		f.equal("events about one key", both.Events[:1], one.Events)
		late := f.eventPage(revocation.EventFilter{Account: acme, From: both.Events[3].OccurredAt, Limit: 9})
		if !slices.ContainsFunc(late.Events, func(e revocation.Event) bool { return e.ID == both.Events[3].ID }) ||
			late.Events[0].OccurredAt.Before(both.Events[3].OccurredAt) {
			f.Errorf("from %v: %v", both.Events[3].OccurredAt, late.Events)
		}
		f.equal("events from tomorrow", 0, len(f.eventPage(revocation.EventFilter{Account: acme, From: time.Now().Add(24 * time.Hour), Limit: 9}).Events))
	}},
	{"a cursor whose event is not there is refused", func(f *fixture) {
		f.must(f.AddKey(f.Context(), newKey(acme)))
		newest := f.newest(acme)
		for _, wrong := range []revocation.EventCursor{
			{Number: newest.Number, ID: uuidv7.New()}, {Number: newest.Number + 1, ID: newest.ID}, f.newest(zenith),
		} {
			_, err := f.Events(f.Context(), revocation.EventFilter{Account: acme, After: &wrong, Limit: 1})
			f.code(revocation.CodeInvalid, err)
		}
		start := f.eventPage(revocation.EventFilter{Account: "nobody", Limit: 1}).Next
		f.equal("cursor of an account without events", revocation.EventCursor{}, start)
		f.equal("the same again", start, f.eventPage(revocation.EventFilter{Account: "nobody", Limit: 1, After: &start}).Next)
		f.equal("first event", int64(1), f.eventPage(revocation.EventFilter{Account: acme, Limit: 1, After: &start}).Events[0].Number)
	}},
	{"old events are deleted in steps, except the newest of each account", func(f *fixture) {
		for range 4 {
			f.must(f.AddKey(f.Context(), newKey(acme)))
		}
		newest, start := f.newest(acme), revocation.EventCursor{}
		deleted, err := f.ExpireEvents(f.Context(), time.Hour, 100)
		f.must(err)
		f.equal("deleted of what is new", 0, deleted)
		deleted, err = f.ExpireEvents(f.Context(), -time.Hour, 2)
		f.must(err)
		f.equal("deleted in a step", 2, deleted)
		for deleted > 0 {
			deleted, err = f.ExpireEvents(f.Context(), -time.Hour, 2)
			f.must(err)
		}
		page := f.eventPage(revocation.EventFilter{Account: acme, Limit: 10})
		if len(page.Events) != 1 || page.Events[0].Number != newest.Number {
			f.Errorf("left: %v", page.Events)
		}
		f.equal("events after the newest", 0, len(f.eventPage(revocation.EventFilter{Account: acme, After: &newest, Limit: 10}).Events))
		_, err = f.Events(f.Context(), revocation.EventFilter{Account: acme, After: &start, Limit: 1})
		f.code(revocation.CodeInvalid, err)
	}},
}

var eventReaderTests = []test{
	{"readers that page while writers commit in any order miss nothing and get nothing twice", func(f *fixture) {
		rapid.Check(f.T, func(t *rapid.T) {
			writers := rapid.IntRange(1, 3).Draw(t, "writers")
			each := rapid.IntRange(1, 3).Draw(t, "events of a writer")
			limits := rapid.SliceOfN(rapid.IntRange(1, 5), 3, 3).Draw(t, "limits")
			f.pageWhileWriting(writers, each, limits)
		})
	}},
}

// pageWhileWriting has writers create keys and record imports in two accounts, and readers with different filters page through
// acme's events meanwhile.
func (f *fixture) pageWhileWriting(writers, each int, limits []int) {
	start := f.newest(acme)
	var writing, reading sync.WaitGroup
	written := make(chan struct{})
	ids := make([][]string, writers)
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				key := newKey([]string{acme, zenith}[(w+i)%2])
				if err := f.AddKey(f.Context(), key); err != nil {
					f.Error(err)
					return
				}
				if key.Account == acme {
					ids[w] = append(ids[w], key.ID.String())
				}
				if err := f.FinishImport(f.Context(), acme, nil, revocation.Import{Written: w, Bad: i}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	keys := []revocation.EventType{revocation.EventKeyCreated}
	filters := []revocation.EventFilter{{}, {Types: keys}, {Subject: acme, Types: []revocation.EventType{
		revocation.EventInvitesImported, revocation.EventAccountChanged,
	}}}
	read := make([][]revocation.Event, len(filters))
	for r, filter := range filters {
		filter.Account, filter.Limit, filter.After = acme, limits[r], &start
		reading.Go(func() {
			for last := false; ; {
				page, err := f.Events(f.Context(), filter)
				if err != nil {
					f.Error(err)
					return
				}
				read[r] = append(read[r], page.Events...)
				filter.After = &page.Next
				if len(page.Events) < filter.Limit {
					if last {
						return
					}
					select {
					case <-written:
						last = true
					default:
					}
				}
			}
		})
	}
	writing.Wait()
	close(written)
	reading.Wait()
	for i, e := range read[0] {
		if want := start.Number + int64(i) + 1; e.Number != want {
			f.Errorf("event %d has the number %d, want %d", i, e.Number, want)
		}
		if i > 0 && e.OccurredAt.Before(read[0][i-1].OccurredAt) {
			f.Errorf("event %d occurred before the one before it", e.Number)
		}
	}
	var created, found []string
	for _, some := range ids {
		created = append(created, some...)
	}
	for _, e := range read[1] {
		found = append(found, e.Subject.ID)
	}
	slices.Sort(created)
	slices.Sort(found)
	f.equal("keys", created, found)
	f.equal("imports", writers*each, len(read[2]))
	f.equal("all events", len(created)+writers*each, len(read[0]))
}

func (f *fixture) eventPage(filter revocation.EventFilter) revocation.EventPage {
	f.Helper()
	page, err := f.Events(f.Context(), filter)
	f.must(err)
	return page
}

func (f *fixture) newest(account string) revocation.EventCursor {
	f.Helper()
	return f.eventPage(revocation.EventFilter{Account: account, Latest: true, Limit: 1}).Next
}

// events fails the test unless these are the events that the filter selects. The members of their data are sorted.
func (f *fixture) events(filter revocation.EventFilter, want ...string) {
	f.Helper()
	filter.Limit = 100
	var got []string
	for _, e := range f.eventPage(filter).Events {
		var data map[string]any
		f.must(json.Unmarshal(e.Data, &data))
		sorted, err := json.Marshal(data)
		f.must(err)
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s", e.Type, e.Actor.Type, e.Actor.Name, e.Subject.Type, e.Subject.ID, sorted))
	}
	f.equal("events", want, got)
}
