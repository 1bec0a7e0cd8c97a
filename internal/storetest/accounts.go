package storetest

import (
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

func newKey(account string) revocation.APIKey {
	return revocation.APIKey{
		ID: uuidv7.New(), Account: account, Hash: revocation.HashSecret(revocation.NewSecret()), Scopes: revocation.Scopes,
	}
}

var accountTests = []test{
	{"an account is created and changed field by field", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: "b"}))
		name, contact, empty := "Böse & Co", "hr@b.example", ""
		for _, step := range []struct {
			change revocation.AccountChange
			want   revocation.Account
		}{
			{revocation.AccountChange{}, revocation.Account{}},
			{revocation.AccountChange{Name: &name, Contact: &contact}, revocation.Account{Name: name, Contact: contact}},
			{revocation.AccountChange{PlanChangedAt: &planChange}, revocation.Account{Name: name, Contact: contact, PlanChangedAt: planChange}},
			{revocation.AccountChange{Contact: &empty}, revocation.Account{Name: name, PlanChangedAt: planChange}},
			{revocation.AccountChange{PlanChangedAt: &time.Time{}}, revocation.Account{Name: name}},
			{revocation.AccountChange{}, revocation.Account{Name: name}},
			{
				revocation.AccountChange{Hold: new(revocation.MaxHold), ConfirmAbove: new(0), ApproveAbove: new(7)},
				revocation.Account{Name: name, AccountSettings: revocation.AccountSettings{
					Hold: revocation.MaxHold, ConfirmAbove: new(0), ApproveAbove: new(7),
				}},
			},
			{
				revocation.AccountChange{Hold: new(time.Second), ConfirmAbove: new(-1), SpareStarted: new(true)},
				revocation.Account{Name: name, AccountSettings: revocation.AccountSettings{
					Hold: time.Second, ApproveAbove: new(7), SpareStarted: true,
				}},
			},
			{
				revocation.AccountChange{ApproveAbove: new(-1), MessageLinks: new(true), SingleEvents: new(true)},
				revocation.Account{Name: name, AccountSettings: revocation.AccountSettings{
					Hold: time.Second, SpareStarted: true, MessageLinks: true, SingleEvents: true,
				}},
			},
			{
				revocation.AccountChange{SpareStarted: new(false), MessageLinks: new(false)},
				revocation.Account{Name: name, AccountSettings: revocation.AccountSettings{Hold: time.Second, SingleEvents: true}},
			},
			{
				revocation.AccountChange{Hold: new(time.Duration(0)), SingleEvents: new(false)},
				revocation.Account{Name: name},
			},
		} {
			step.want.ID = "b"
			for _, change := range []revocation.AccountChange{step.change, {}} { // the second changes nothing
				change.ID = "b"
				f.must(f.SetAccount(f.Context(), change))
				accounts, err := f.Accounts(f.Context())
				f.must(err)
				f.equal("accounts", 3, len(accounts))
				f.equal("account", step.want, accounts[1])
				one, err := f.Account(f.Context(), "b")
				f.must(err)
				f.equal("the account alone", step.want, one)
			}
		}
	}},
	{"an account is created with settings", func(f *fixture) {
		settings := revocation.AccountSettings{
			Hold: time.Minute, ConfirmAbove: new(5), ApproveAbove: new(6), SpareStarted: true, MessageLinks: true, SingleEvents: true,
		}
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{
			ID: "a", Hold: &settings.Hold, ConfirmAbove: settings.ConfirmAbove, ApproveAbove: settings.ApproveAbove,
			SpareStarted: new(true), MessageLinks: new(true), SingleEvents: new(true),
		}))
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: "b", ConfirmAbove: new(-1)}))
		accounts, err := f.Accounts(f.Context())
		f.must(err)
		f.equal("with settings", revocation.Account{ID: "a", AccountSettings: settings}, accounts[0])
		f.equal("without a limit", revocation.Account{ID: "b"}, accounts[2])
	}},
	{"settings of an upstream are refused while the account has none", func(f *fixture) {
		url, none := "https://platform.example", ""
		key, rate, concurrency := []byte("sealed"), 5.0, 3
		set := func(up revocation.UpstreamChange) error {
			return f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Contact: &none, Upstream: &up})
		}
		refused := func() {
			f.Helper()
			for _, up := range []revocation.UpstreamChange{{Rate: &rate}, {Concurrency: &concurrency}, {SealedKey: key}, {URL: &url}, {SealedKey: key, Rate: &rate}} {
				f.code(revocation.CodeInvalid, set(up))
			}
			accounts, err := f.Accounts(f.Context())
			f.must(err)
			f.equal("the rest of the change", revocation.Account{ID: acme, Name: "The acme company", Contact: "help@acme.example"}, accounts[0])
		}
		refused()
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: key}}))
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{Rate: &rate, Concurrency: &concurrency}}))
		found, err := f.Upstream(f.Context(), acme)
		f.must(err)
		f.equal("upstream", &revocation.Upstream{Account: acme, URL: url, SealedKey: key, Rate: rate, Concurrency: concurrency}, found)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{URL: &none}}))
		refused()
	}},
	{"an account is read by its id", func(f *fixture) {
		_, err := f.Account(f.Context(), "nobody")
		f.code(revocation.CodeNotFound, err)
		url := "https://platform.example"
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")}}))
		accounts, err := f.Accounts(f.Context())
		f.must(err)
		one, err := f.Account(f.Context(), acme)
		f.must(err)
		f.equal("account", accounts[0], one)
	}},
	{"accounts are listed by id", func(f *fixture) {
		accounts, err := f.Accounts(f.Context())
		f.must(err)
		f.equal("accounts", []revocation.Account{
			{ID: acme, Name: "The acme company", Contact: "help@acme.example"},
			{ID: zenith, Name: "The zenith company", Contact: "help@zenith.example"},
		}, accounts)
	}},
	{"a key is found by its secret's hash", func(f *fixture) {
		key := newKey(acme)
		key.Scopes = []revocation.Scope{revocation.ScopeRead}
		key.ExpiresAt = planChange
		key.Name = "Böse's import"
		f.must(f.AddKey(f.Context(), key))
		f.must(f.AddKey(f.Context(), newKey(acme)))
		got, err := f.KeysByHash(f.Context(), []revocation.SecretHash{revocation.HashSecret("another"), key.Hash, key.Hash})
		f.must(err)
		f.equal("key", []revocation.APIKey{key}, got)
		for _, hashes := range [][]revocation.SecretHash{nil, {revocation.HashSecret("another")}} {
			none, err := f.KeysByHash(f.Context(), hashes)
			f.must(err)
			f.equal("unknown keys", 0, len(none))
		}
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Hold: new(time.Minute), MessageLinks: new(true)}))
		f.equal("caller", revocation.Caller{Hold: time.Minute, MessageLinks: true}, f.keyOf(key).Caller)
		f.toUpstream(upstreamURL)
		f.equal("caller on an upstream", revocation.Caller{Hold: time.Minute, MessageLinks: true, Upstream: true}, f.keyOf(key).Caller)
	}},
	{"a key needs an account and a secret that no other key has", func(f *fixture) {
		f.code(revocation.CodeNotFound, f.AddKey(f.Context(), newKey("nobody")))
		first, second := newKey(acme), newKey(zenith)
		second.Hash = first.Hash
		f.must(f.AddKey(f.Context(), first))
		f.code(revocation.CodeInternal, f.AddKey(f.Context(), second))
	}},
	{"keys are listed by account and age", func(f *fixture) {
		keys := []revocation.APIKey{newKey(zenith), newKey(acme), newKey(zenith), newKey(acme)}
		for _, key := range keys {
			f.must(f.AddKey(f.Context(), key))
		}
		for account, want := range map[string][]revocation.APIKey{
			"":     {keys[1], keys[3], keys[0], keys[2]},
			acme:   {keys[1], keys[3]},
			zenith: {keys[0], keys[2]},
		} {
			got, err := f.Keys(f.Context(), account)
			f.must(err)
			f.equal("keys of "+account, want, got)
		}
		none, err := f.Keys(f.Context(), "nobody")
		f.must(err)
		f.equal("nobody's keys", 0, len(none))
	}},
	{"a revoked key keeps the time of its first revocation", func(f *fixture) {
		key, other := newKey(acme), newKey(acme)
		f.must(f.AddKey(f.Context(), key))
		f.must(f.AddKey(f.Context(), other))
		f.must(f.RevokeKey(f.Context(), acme, key.ID))
		first := f.keyOf(key)
		if first.RevokedAt.IsZero() || first.Valid(time.Now()) {
			f.Errorf("revoked at %v", first.RevokedAt)
		}
		f.must(f.RevokeKey(f.Context(), acme, key.ID))
		second := f.keyOf(key)
		f.equal("revoked at", first.RevokedAt, second.RevokedAt)
		got := f.keyOf(other)
		f.equal("the other key", other, got)
		f.code(revocation.CodeNotFound, f.RevokeKey(f.Context(), acme, uuidv7.New()))
	}},
	{"invites are added and replaced, and stay revoked", func(f *fixture) {
		f.carryOut(f.submitNew(request(1))...)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			{ReportID: 1, CandidateName: "Bea", SentAt: planChange},
			{ReportID: 2, SentAt: planChange},
			{ReportID: 99, SentAt: planChange},
		}))
		refs := f.submitNew(request(1), request(2), request(3), request(99))
		f.carryOut(refs...)
		f.status(refs[0], revocation.StatusAlreadyRevoked, true)
		f.status(refs[1], revocation.StatusRevoked, true)
		f.status(refs[2], revocation.StatusNotAllowed, true)
		f.status(refs[3], revocation.StatusRevoked, true)
	}},
	{"the state of an invite changes only where it is given", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, SpareStarted: new(true)}))
		state := func(report int64, p revocation.Progress) revocation.Invite {
			return revocation.Invite{ReportID: report, SentAt: sentAt, Progress: p}
		}
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			state(1, revocation.ProgressStarted), state(2, revocation.ProgressCompleted), state(3, revocation.ProgressStarted),
			state(4, ""), state(50, ""), state(51, revocation.ProgressCompleted),
		}))
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			state(2, ""), state(1, ""), state(3, revocation.ProgressPending), state(5, revocation.ProgressStarted), state(5, ""),
			state(6, revocation.ProgressStarted), state(6, revocation.ProgressPending), state(51, ""),
		}))
		for report, want := range map[int64]revocation.Status{
			1: revocation.StatusAlreadyStarted, 2: revocation.StatusAlreadyStarted, 3: revoked, 4: revoked,
			5: revocation.StatusAlreadyStarted, 6: revoked, 50: revoked, 51: revocation.StatusAlreadyStarted,
		} {
			ref := f.submitNew(request(report))[0]
			f.carryOut(ref)
			if got := f.read(ref).Status; got != want {
				f.Errorf("invite %d: %s, want %s", report, got, want)
			}
		}
	}},
	{"of two invites with the same report id, the last is kept", func(f *fixture) {
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			{ReportID: 50, CandidateName: "first", CandidateEmail: "1@acme.example", SentAt: sentAt},
			{ReportID: 51, SentAt: sentAt},
			{ReportID: 50, CandidateName: "last", CandidateEmail: "2@acme.example", SentAt: sentAt},
		}))
		f.equal("name", "last", f.claimEmail(f.revokedWithEmail(50), time.Hour).ToName)
	}},
	{"one invalid invite makes the whole batch fail", func(f *fixture) {
		many := make([]revocation.Invite, 5001)
		for i := range many {
			many[i] = revocation.Invite{ReportID: int64(i + 1000), SentAt: sentAt}
		}
		broken := append([]revocation.Invite{}, many...)
		broken[len(broken)-1].ReportID = 0
		f.code(revocation.CodeInternal, f.UpsertInvites(f.Context(), acme, broken))
		f.code(revocation.CodeNotFound, f.submit(request(1000))[0].Err)
		f.must(f.UpsertInvites(f.Context(), acme, many))
		f.submitNew(request(1000), request(6000))
	}},
	{"invites need an account", func(f *fixture) {
		f.code(revocation.CodeNotFound, f.UpsertInvites(f.Context(), "nobody", []revocation.Invite{{ReportID: 1, SentAt: sentAt}}))
		f.code(revocation.CodeNotFound, f.UpsertInvites(f.Context(), "nobody", nil))
	}},
	{"an open store answers a ping", func(f *fixture) {
		f.must(f.Ping(f.Context()))
	}},
}

// keyOf reads a key by its hash.
func (f *fixture) keyOf(key revocation.APIKey) revocation.APIKey {
	f.Helper()
	keys, err := f.KeysByHash(f.Context(), []revocation.SecretHash{key.Hash})
	f.must(err)
	if len(keys) != 1 {
		f.Fatalf("%d keys with one hash", len(keys))
	}
	return keys[0]
}
