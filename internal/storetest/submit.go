package storetest

import (
	"context"
	"math"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

var submitTests = []test{
	{"a new one is pending and durable", func(f *fixture) {
		s := request(1, withNotify, withReference("case 7"))
		ref := f.fresh(s)[0]
		reference := "case 7"
		f.same("revocation", revocation.Revocation{
			ID: s.ID, Account: acme, ReportID: 1, Notify: true, ClientReference: &reference, RequestedBy: apiKey,
			Status:       revocation.StatusPending,
			Notification: revocation.Notification{Status: revocation.NotificationPending},
			UpdatedAt:    s.ID.Time(),
		}, f.read(ref))
	}},
	{"without a wish for email or a reference", func(f *fixture) {
		r := f.read(f.fresh(request(1))[0])
		f.same("notify", false, r.Notify)
		f.same("reference", (*string)(nil), r.ClientReference)
		f.same("notification", revocation.Notification{Status: revocation.NotificationNotRequested}, r.Notification)
	}},
	{"values come back as they were", func(f *fixture) {
		for _, reference := range []string{"", " ", `"quoted" \u0041`, "é 漢字 🙂", "<&>\u2028\n\t\x7f", "'); DROP TABLE revocations; --", "null"} {
			ref := f.fresh(request(1, withReference(reference)))[0]
			f.same("reference", &reference, f.read(ref).ClientReference)
			f.carryOut(ref)
		}
	}},
	{"the highest report_id", func(f *fixture) {
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{{ReportID: math.MaxInt64, SentAt: sentAt}}))
		ref := f.fresh(request(math.MaxInt64))[0]
		f.carryOut(ref)
		f.same("report_id", int64(math.MaxInt64), f.read(ref).ReportID)
		f.status(ref, revocation.StatusRevoked, true)
	}},
	{"an unknown invite is not found and leaves nothing", func(f *fixture) {
		s := request(invites + 1)
		accepted := f.submit(s)[0]
		f.code(revocation.CodeNotFound, accepted.Err)
		_, err := f.Revocation(f.Context(), acme, s.ID)
		f.code(revocation.CodeNotFound, err)
	}},
	{"one that is under way is joined", func(f *fixture) {
		first := f.fresh(request(1))[0]
		f.same("joined", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1)))
	}},
	{"one that waits for another attempt is joined", func(f *fixture) {
		first := f.fresh(request(1))[0]
		f.attemptFails(0, first)
		f.same("joined", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1)))
	}},
	{"after a final one a new one starts", func(f *fixture) {
		first := f.fresh(request(1))[0]
		f.carryOut(first)
		second := f.fresh(request(1))[0]
		f.carryOut(second)
		f.status(first, revocation.StatusRevoked, true)
		f.status(second, revocation.StatusAlreadyRevoked, true)
	}},
	{"a key gives its revocation again", func(f *fixture) {
		same := []func(*revocation.Submission){withKey("k"), withNotify, withReference("r")}
		first := f.fresh(request(1, same...))[0]
		f.same("under way", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, same...)))
		f.carryOut(first)
		f.same("final", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, same...)))
	}},
	{"a key with other values is a mismatch", func(f *fixture) {
		first := f.fresh(request(1, withKey("k")))[0]
		for _, other := range []revocation.Submission{
			request(2, withKey("k")), request(1, withKey("k"), withNotify), request(1, withKey("k"), withReference("")),
			request(invites+1, withKey("k")),
		} {
			f.code(revocation.CodeIdempotencyMismatch, f.submit(other)[0].Err)
		}
		f.same("the email was not wished for", false, f.read(first).Notify)
		f.same("the key's own", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, withKey("k"))))
	}},
	{"a key is compared as it is", func(f *fixture) {
		f.fresh(request(1, withKey("K")), request(2, withKey("k")), request(3, withKey("k ")), request(4, withKey("ключ")))
	}},
	{"a refused submission binds no key", func(f *fixture) {
		f.code(revocation.CodeNotFound, f.submit(request(invites+1, withKey("k")))[0].Err)
		f.fresh(request(1, withKey("k")))
	}},
	{"a joined submission binds its key to what it joined", func(f *fixture) {
		first := f.fresh(request(1))[0]
		f.submit(request(1, withKey("k")))
		f.carryOut(first)
		f.same("replayed", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, withKey("k"))))
	}},
	{"a context that has ended writes nothing", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		s := request(1)
		_, err := f.Submit(ctx, []revocation.Submission{s})
		f.code(revocation.CodeUnavailable, err)
		f.fresh(request(1))
	}},
}

var flushTests = []test{
	{"duplicates are folded as if they had come in turn", func(f *fixture) {
		first, other, zeniths := request(1, withKey("k")), request(2, withKey("m")), request(1, ofZenith, withKey("k"))
		accepted := f.submit(
			first,                            // fresh
			request(1, withNotify),           // joined, and wants the email
			request(1, withKey("k")),         // replayed
			request(3, withKey("k")),         // mismatch
			request(invites+1, withKey("m")), // not found: binds nothing
			other,                            // fresh, under the key that is still free
			zeniths,                          // another account's
			request(1, withKey("j")),         // joined, and binds its key
			request(2, withKey("j")),         // mismatch
		)
		f.code(revocation.CodeIdempotencyMismatch, accepted[3].Err)
		f.code(revocation.CodeNotFound, accepted[4].Err)
		f.code(revocation.CodeIdempotencyMismatch, accepted[8].Err)
		for _, i := range []int{3, 4, 8} {
			accepted[i] = revocation.Accepted{}
		}
		f.same("answers", []revocation.Accepted{
			{ID: first.ID, Created: true},
			{ID: first.ID},
			{ID: first.ID},
			{},
			{},
			{ID: other.ID, Created: true},
			{ID: zeniths.ID, Created: true},
			{ID: first.ID},
			{},
		}, accepted)
		f.same("the email is wished for", true, f.read(revocation.Ref{Account: acme, ID: first.ID}).Notify)
		f.same("zenith's is not", false, f.read(revocation.Ref{Account: zenith, ID: zeniths.ID}).Notify)
		f.same("the joined key", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, withKey("j"))))
		f.fresh(request(3))
	}},
	{"a replay of a final one stands beside a new one", func(f *fixture) {
		old := f.fresh(request(1, withKey("k")))[0]
		f.carryOut(old)
		newer := request(1)
		f.same("answers", []revocation.Accepted{{ID: old.ID}, {ID: newer.ID, Created: true}, {ID: old.ID}, {ID: newer.ID}},
			f.submit(request(1, withKey("k")), newer, request(1, withKey("k")), request(1, withKey("l"))))
	}},
	{"some are joined to what was there, with their wishes", func(f *fixture) {
		first := f.fresh(request(1), request(2), request(3))
		f.submit(request(1), request(1, withNotify), request(2), request(3, withNotify), request(3, withNotify), request(4, withNotify))
		for i, want := range []bool{true, false, true} {
			f.same("notify", want, f.read(first[i]).Notify)
		}
	}},
	{"a large one of several accounts", func(f *fixture) {
		const n = 129
		more := make([]revocation.Invite, n)
		for i := range more {
			more[i] = revocation.Invite{ReportID: int64(i + 1), SentAt: sentAt}
		}
		f.must(f.UpsertInvites(f.Context(), acme, more))
		f.must(f.UpsertInvites(f.Context(), zenith, more))
		var flush []revocation.Submission
		for i := range n {
			flush = append(flush,
				request(int64(n-i), withKey("a"+uuidv7.New().String())), request(int64(i+1), ofZenith, withNotify))
		}
		refs := f.fresh(flush...)
		for _, ref := range refs {
			f.status(ref, revocation.StatusPending, false)
		}
		f.same("decided", len(refs), len(f.carryOut(refs...)))
		for i, ref := range refs {
			r := f.read(ref)
			f.same("final status", revocation.StatusRevoked, r.Status)
			f.same("report_id", flush[i].ReportID, r.ReportID)
			f.same("notify", flush[i].Notify, r.Notify)
		}
	}},
}
