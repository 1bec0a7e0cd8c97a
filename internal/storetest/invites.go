package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// person is an invite of the world of the searches.
func person(report int64, name, email, assessment string) revocation.Invite {
	return revocation.Invite{
		ReportID: report, CandidateName: name, CandidateEmail: email, AssessmentName: assessment,
		SentAt: sentAt.Add(time.Duration(report) * time.Minute),
	}
}

// searchWorld adds invites to acme. Those of the fixture are older.
func (f *fixture) searchWorld() {
	f.Helper()
	backend, german := "be-1", "de"
	list := []revocation.Invite{
		person(101, "Ada Lovelace", "ada@one.example", "Backend"),
		person(102, "ADA BYRON", "Countess@Two.example", "Frontend"),
		person(103, "Grace Hopper", "adam@three.example", "Backend"),
		person(104, "Ångström", "anders@four.example", "ADAPTATION"),
		person(105, "A\u030angstro\u0308m", "knut@five.example", "backend"),
		person(106, "Straße", "weiss@six.example", "Go"),
		person(107, "ada lovelace", "ada@one.example", "Backend"),
	}
	list[0].AssessmentID, list[0].Language = &backend, &german
	list[2].AssessmentID = &backend
	list[2].Progress = revocation.ProgressStarted
	list[6].Progress = revocation.ProgressCompleted
	f.must(f.UpsertInvites(f.Context(), acme, list))
	f.must(f.UpsertInvites(f.Context(), zenith, []revocation.Invite{person(108, "Ada of zenith", "ada@one.example", "Backend")}))
	f.carryOut(f.submitNew(request(102))...)
}

// find returns the reports of all pages.
func (f *fixture) find(filter revocation.InviteFilter) (reports []int64) {
	f.Helper()
	if filter.Account = acme; filter.Limit == 0 {
		filter.Limit = 1000
	}
	for range 10_000 {
		page, err := f.Invites(f.Context(), filter)
		f.must(err)
		if len(page.Entries) > filter.Limit {
			f.Fatalf("%d entries, and the limit is %d", len(page.Entries), filter.Limit)
		}
		for _, i := range page.Entries {
			reports = append(reports, i.ReportID)
		}
		if filter.After = page.Next; page.Next.ReportID == 0 {
			return reports
		}
	}
	f.Fatal("the list does not end")
	return nil
}

func minutes(report int64) time.Time { return sentAt.Add(time.Duration(report) * time.Minute) }

// searches are filters with the reports that they find.
func searches() map[string]struct {
	filter revocation.InviteFilter
	want   []int64
} {
	yes, no := true, false
	type search = struct {
		filter revocation.InviteFilter
		want   []int64
	}
	return map[string]search{
		"newest first":                    {revocation.InviteFilter{SentAfter: minutes(101)}, []int64{107, 106, 105, 104, 103, 102, 101}},
		"from a moment on, until another": {revocation.InviteFilter{SentAfter: minutes(102), SentBefore: minutes(104)}, []int64{103, 102}},
		"address without case":            {revocation.InviteFilter{Email: "countess@TWO.example"}, []int64{102}},
		"address of several":              {revocation.InviteFilter{Email: "ADA@one.example"}, []int64{107, 101}},
		"address among white space":       {revocation.InviteFilter{Email: " ada@one.example\t"}, []int64{107, 101}},
		"address, not its beginning":      {revocation.InviteFilter{Email: "ada@one"}, nil},
		"assessment without case":         {revocation.InviteFilter{Assessment: "BACKEND"}, []int64{107, 105, 103, 101}},
		"assessment's id":                 {revocation.InviteFilter{AssessmentID: "be-1"}, []int64{103, 101}},
		"assessment's id with case":       {revocation.InviteFilter{AssessmentID: "BE-1"}, nil},
		"both, and the state": {
			revocation.InviteFilter{AssessmentID: "be-1", Assessment: "backend", Progress: []revocation.Progress{revocation.ProgressStarted}},
			[]int64{103},
		},
		"several states": {
			revocation.InviteFilter{Progress: []revocation.Progress{revocation.ProgressStarted, revocation.ProgressCompleted}}, []int64{107, 103},
		},
		"revoked":     {revocation.InviteFilter{Revoked: &yes}, []int64{102}},
		"not revoked": {revocation.InviteFilter{Revoked: &no, SentAfter: minutes(101)}, []int64{107, 106, 105, 104, 103, 101}},
		"all filters": {
			revocation.InviteFilter{
				Query: "ada", Email: "ada@one.example", AssessmentID: "be-1", Assessment: "backend", Revoked: &no,
				Progress: []revocation.Progress{revocation.ProgressPending}, SentAfter: minutes(101), SentBefore: minutes(102),
			},
			[]int64{101},
		},
		"a beginning, by what matched":   {revocation.InviteFilter{Query: "Ada", SentAfter: minutes(101)}, []int64{102, 107, 101, 103, 104}},
		"a beginning of an address":      {revocation.InviteFilter{Query: "ADAM@"}, []int64{103}},
		"a beginning, composed or not":   {revocation.InviteFilter{Query: "ÅNG"}, []int64{105, 104}},
		"a beginning, folded":            {revocation.InviteFilter{Query: "STRASSE"}, []int64{106}},
		"a beginning among assessments":  {revocation.InviteFilter{Query: "back"}, []int64{107, 105, 103, 101}},
		"what is no beginning":           {revocation.InviteFilter{Query: "lovelace"}, nil},
		"characters of a search pattern": {revocation.InviteFilter{Query: "a%"}, nil},
		"a beginning among white space":  {revocation.InviteFilter{Query: "\u00a0ADAM@ "}, []int64{103}},
		"the last character":             {revocation.InviteFilter{Query: "\U0010ffff\U0010ffff"}, nil},
	}
}

var inviteTests = []test{
	{"searches", func(f *fixture) {
		f.searchWorld()
		for name, s := range searches() {
			for _, s.filter.Scan = range []int{0, 1, 2, 7} {
				for _, s.filter.Limit = range []int{1, 2, 1000} {
					f.equal(fmt.Sprintf("%s, %d rows and %d entries a page", name, s.filter.Scan, s.filter.Limit), s.want, f.find(s.filter))
				}
			}
		}
	}},
	{"an invite is shown as it was imported, with what a revocation would do", func(f *fixture) {
		f.searchWorld()
		backend, german := "be-1", "de"
		got, err := f.Invite(f.Context(), acme, 101)
		f.must(err)
		want := revocation.StoredInvite{Invite: person(101, "Ada Lovelace", "ada@one.example", "Backend"), Predicted: revoked}
		want.AssessmentID, want.Language, want.Progress = &backend, &german, revocation.ProgressPending
		f.equal("invite", want, got)
		got, err = f.Invite(f.Context(), acme, 105)
		f.must(err)
		f.equal("name", "A\u030angstro\u0308m", got.CandidateName)

		one := f.submitNew(request(103))[0]
		got, err = f.Invite(f.Context(), acme, 103)
		f.must(err)
		f.equal("before", []any{revoked, revocation.ID{}, time.Time{}}, []any{got.Predicted, got.RevokedBy, got.RevokedAt})
		f.carryOut(one)
		got, err = f.Invite(f.Context(), acme, 103)
		f.must(err)
		f.equal("after", []any{revocation.StatusAlreadyRevoked, one.ID, false}, []any{got.Predicted, got.RevokedBy, got.RevokedAt.IsZero()})

		spare := true
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: new(minutes(105)), SpareStarted: &spare}))
		predicted := map[int64]revocation.Status{}
		page, err := f.Invites(f.Context(), revocation.InviteFilter{Account: acme, SentAfter: minutes(101), Limit: 10})
		f.must(err)
		for _, i := range page.Entries {
			predicted[i.ReportID] = i.Predicted
		}
		f.equal("predicted", map[int64]revocation.Status{
			101: revocation.StatusNotAllowed, 102: revocation.StatusAlreadyRevoked, 103: revocation.StatusAlreadyRevoked,
			104: revocation.StatusNotAllowed, 105: revoked, 106: revoked, 107: revocation.StatusAlreadyStarted,
		}, predicted)
	}},
	{"an invite that is not there, or another account's, is not found", func(f *fixture) {
		f.must(f.UpsertInvites(f.Context(), zenith, []revocation.Invite{person(500, "Zoe", "zoe@zenith.example", "Go")}))
		_, err := f.Invite(f.Context(), acme, 500)
		f.code(revocation.CodeNotFound, err)
		f.equal("found", []int64(nil), f.find(revocation.InviteFilter{Email: "zoe@zenith.example"}))
		f.equal("found", []int64(nil), f.find(revocation.InviteFilter{Query: "zoe"}))
		f.equal("after another account's", []int64(nil), f.find(revocation.InviteFilter{
			Query: "zoe", After: revocation.InvitePosition{Part: revocation.ByName, SentAt: minutes(500), ReportID: 500},
		}))
		_, err = f.Invite(f.Context(), "nobody", 1)
		f.code(revocation.CodeNotFound, err)
	}},
	{"an absent value leaves what is there, and an empty one removes it", func(f *fixture) {
		id, language, none := "be-1", "pt-BR", ""
		i := person(600, "Ada", "ada@acme.example", "Go")
		shown := func() []any {
			f.Helper()
			got, err := f.Invite(f.Context(), acme, 600)
			f.must(err)
			return []any{got.AssessmentID, got.Language, got.Progress}
		}
		i.AssessmentID, i.Language, i.Progress = &id, &language, revocation.ProgressStarted
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{i}))
		i.AssessmentID, i.Language, i.Progress = nil, nil, ""
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{i}))
		f.equal("left", []any{&id, &language, revocation.ProgressStarted}, shown())
		i.AssessmentID, i.Language = &none, &none
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{i}))
		f.equal("removed", []any{(*string)(nil), (*string)(nil), revocation.ProgressStarted}, shown())
		f.equal("found by none", []int64(nil), f.find(revocation.InviteFilter{AssessmentID: id}))

		first, last := i, i
		first.AssessmentID, last.AssessmentID, last.Language = &id, nil, nil
		first.CandidateName, last.CandidateName = "Before", "After"
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{first, last}))
		f.equal("of two", []any{&id, (*string)(nil), revocation.ProgressStarted}, shown())
		f.equal("found by what was", []int64(nil), f.find(revocation.InviteFilter{Query: "before"}))
		f.equal("found by what is", []int64{600}, f.find(revocation.InviteFilter{Query: "after"}))
	}},
	{"texts of the largest size are stored and found", func(f *fixture) {
		long := strings.Repeat("\U0001f600", 500)
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			person(700, long, "a@acme.example", long), person(701, strings.Repeat("ﬃ", 500), "b@acme.example", strings.Repeat("\u1fb7", 500)),
		}))
		f.equal("found", []int64{700}, f.find(revocation.InviteFilter{Query: long}))
		f.equal("found", []int64{701}, f.find(revocation.InviteFilter{Query: "FFI"}))
		f.equal("found", []int64{700}, f.find(revocation.InviteFilter{Assessment: long}))
		stored, err := f.Invite(f.Context(), acme, 700)
		f.must(err)
		f.equal("stored", []string{long, long}, []string{stored.CandidateName, stored.AssessmentName})
		f.equal("found", []int64{701}, f.find(revocation.InviteFilter{Assessment: strings.Repeat("\u1fb7", 500)}))
	}},
	{"a page of invites is limited in bytes", func(f *fixture) {
		long := strings.Repeat("\U0001f600", 500)
		var list []revocation.Invite
		for report := range int64(300) {
			list = append(list, person(1000+report, long, "a@acme.example", long))
		}
		f.must(f.UpsertInvites(f.Context(), acme, list))
		page, err := f.Invites(f.Context(), revocation.InviteFilter{Account: acme, Query: long[:8], Limit: 1000})
		f.must(err)
		if n := len(page.Entries); n == 0 || n > revocation.PageBytes/len(long) || page.Next.ReportID == 0 {
			f.Errorf("%d entries, then %v", n, page.Next.ReportID)
		}
		all := f.find(revocation.InviteFilter{Query: long[:8]})
		slices.Sort(all)
		f.equal("all", []any{300, 300}, []any{len(all), len(slices.Compact(all))})
	}},
	{"a list continues when the invite at its cursor has changed", func(f *fixture) {
		f.searchWorld()
		filter := revocation.InviteFilter{Account: acme, Query: "ada ", Limit: 2}
		page, err := f.Invites(f.Context(), filter)
		f.must(err)
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{person(page.Next.ReportID, "Zoe", "zoe@acme.example", "Go")}))
		filter.After, filter.Limit = page.Next, 100
		if rest := f.find(filter); !slices.Contains(rest, 101) && page.Next.ReportID != 101 {
			f.Errorf("the rest is %v", rest)
		}
	}},
	{"accounts with an upstream have no invites here", func(f *fixture) {
		url := "https://upstream.example"
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")}}))
		_, err := f.Invites(f.Context(), revocation.InviteFilter{Account: acme, Limit: 1})
		f.code(revocation.CodeNotSupported, err)
		_, err = f.Invite(f.Context(), acme, 1)
		f.code(revocation.CodeNotSupported, err)
		f.code(revocation.CodeNotSupported, f.UpsertInvites(f.Context(), acme, []revocation.Invite{person(1, "", "a@acme.example", "")}))
		f.code(revocation.CodeNotFound, f.UpsertInvites(f.Context(), "nobody", []revocation.Invite{person(1, "", "a@acme.example", "")}))
	}},
	{"nothing is left to fold after an import", func(f *fixture) {
		f.searchWorld()
		n, err := f.FoldInvites(f.Context(), 100)
		f.must(err)
		f.equal("folded", 0, n)
	}},
	{"a revocation during a search changes nothing of the list", func(f *fixture) {
		f.searchWorld()
		ref := revocation.Ref{Account: acme, ID: uuidv7.New()}
		s := request(101)
		s.ID = ref.ID
		f.submitNew(s)
		before := f.find(revocation.InviteFilter{Query: "ad"})
		f.carryOut(ref)
		f.equal("list", before, f.find(revocation.InviteFilter{Query: "ad"}))
	}},
}
