package storetest

import (
	"context"
	"math"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

var submitTests = []test{
	{"a new revocation is pending and durable", func(f *fixture) {
		s := request(1, withNotify, withReference("case 7"))
		ref := f.submitNew(s)[0]
		reference := "case 7"
		f.equal("revocation", revocation.Revocation{
			ID: s.ID, Account: acme, ReportID: 1, Notify: true, ClientReference: &reference, RequestedBy: apiKey,
			Status:       revocation.StatusPending,
			Notification: revocation.Notification{Status: revocation.NotificationPending},
			UpdatedAt:    s.ID.Time(),
		}, f.read(ref))
	}},
	{"without notify and reference", func(f *fixture) {
		r := f.read(f.submitNew(request(1))[0])
		f.equal("notify", false, r.Notify)
		f.equal("reference", (*string)(nil), r.ClientReference)
		f.equal("notification", revocation.Notification{Status: revocation.NotificationNotRequested}, r.Notification)
	}},
	{"values are read as they were written", func(f *fixture) {
		for _, reference := range []string{"", " ", `"quoted" \u0041`, "é 漢字 🙂", "<&>\u2028\n\t\x7f", "'); DROP TABLE revocations; --", "null"} {
			ref := f.submitNew(request(1, withReference(reference)))[0]
			f.equal("reference", &reference, f.read(ref).ClientReference)
			f.carryOut(ref)
		}
	}},
	{"the highest report_id", func(f *fixture) {
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{{ReportID: math.MaxInt64, SentAt: sentAt}}))
		ref := f.submitNew(request(math.MaxInt64))[0]
		f.carryOut(ref)
		f.equal("report_id", int64(math.MaxInt64), f.read(ref).ReportID)
		f.status(ref, revocation.StatusRevoked, true)
	}},
	{"an unknown invite is not found and nothing is stored", func(f *fixture) {
		s := request(invites + 1)
		accepted := f.submit(s)[0]
		f.code(revocation.CodeNotFound, accepted.Err)
		_, err := f.Revocation(f.Context(), acme, s.ID)
		f.code(revocation.CodeNotFound, err)
	}},
	{"a pending revocation is joined", func(f *fixture) {
		first := f.submitNew(request(1))[0]
		f.equal("joined", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1)))
	}},
	{"a revocation that waits for another attempt is joined", func(f *fixture) {
		first := f.submitNew(request(1))[0]
		f.attemptFails(0, first)
		f.equal("joined", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1)))
	}},
	{"after a final revocation a new one starts", func(f *fixture) {
		first := f.submitNew(request(1))[0]
		f.carryOut(first)
		second := f.submitNew(request(1))[0]
		f.carryOut(second)
		f.status(first, revocation.StatusRevoked, true)
		f.status(second, revocation.StatusAlreadyRevoked, true)
	}},
	{"a key returns its revocation", func(f *fixture) {
		same := []func(*revocation.Submission){withKey("k"), withNotify, withReference("r")}
		first := f.submitNew(request(1, same...))[0]
		f.equal("under way", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, same...)))
		f.carryOut(first)
		f.equal("final", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, same...)))
	}},
	{"a key with other values is a mismatch", func(f *fixture) {
		first := f.submitNew(request(1, withKey("k")))[0]
		for _, other := range []revocation.Submission{
			request(2, withKey("k")), request(1, withKey("k"), withNotify), request(1, withKey("k"), withReference("")),
			request(invites+1, withKey("k")),
		} {
			f.code(revocation.CodeIdempotencyMismatch, f.submit(other)[0].Err)
		}
		f.equal("notify of the first", false, f.read(first).Notify)
		f.equal("the key's own", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, withKey("k"))))
	}},
	{"keys are compared byte by byte", func(f *fixture) {
		for i, key := range []string{"K", "k", "k ", "ключ", "Ключ"} { // each is looked for while the others are stored
			f.submitNew(request(int64(i+1), withKey(key)))
		}
	}},
	{"a refused submission does not bind its key", func(f *fixture) {
		f.code(revocation.CodeNotFound, f.submit(request(invites+1, withKey("k")))[0].Err)
		f.submitNew(request(1, withKey("k")))
	}},
	{"a joined submission binds its key to the revocation it joined", func(f *fixture) {
		first := f.submitNew(request(1))[0]
		f.submit(request(1, withKey("k")))
		f.carryOut(first)
		f.equal("replayed", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, withKey("k"))))
	}},
	{"nothing is written after the context is cancelled", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		s := request(1)
		_, err := f.Submit(ctx, []revocation.Submission{s})
		f.code(revocation.CodeUnavailable, err)
		f.submitNew(request(1))
	}},
}

var batchTests = []test{
	{"duplicates in a batch have the same answers as one after the other", func(f *fixture) {
		first, other, zeniths := request(1, withKey("k")), request(2, withKey("m")), request(1, ofZenith, withKey("k"))
		accepted := f.submit(
			first,                            // fresh
			request(1, withNotify),           // joined, and requests the email
			request(1, withKey("k")),         // replayed
			request(3, withKey("k")),         // mismatch
			request(invites+1, withKey("m")), // not found: binds no key
			other,                            // new, with a key that is still free
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
		f.equal("answers", []revocation.Accepted{
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
		f.equal("notify of acme's", true, f.read(revocation.Ref{Account: acme, ID: first.ID}).Notify)
		f.equal("notify of zenith's", false, f.read(revocation.Ref{Account: zenith, ID: zeniths.ID}).Notify)
		f.equal("the joined key", []revocation.Accepted{{ID: first.ID}}, f.submit(request(1, withKey("j"))))
		f.submitNew(request(3))
	}},
	{"a batch may replay a final revocation and start a new one", func(f *fixture) {
		old := f.submitNew(request(1, withKey("k")))[0]
		f.carryOut(old)
		newer := request(1)
		f.equal("answers", []revocation.Accepted{{ID: old.ID}, {ID: newer.ID, Created: true}, {ID: old.ID}, {ID: newer.ID}},
			f.submit(request(1, withKey("k")), newer, request(1, withKey("k")), request(1, withKey("l"))))
	}},
	{"joined submissions add their requests for emails", func(f *fixture) {
		first := f.submitNew(request(1), request(2), request(3))
		f.submit(request(1), request(1, withNotify), request(2), request(3, withNotify), request(3, withNotify), request(4, withNotify))
		for i, want := range []bool{true, false, true} {
			f.equal("notify", want, f.read(first[i]).Notify)
		}
		accepted := f.submit(request(5), request(5, withNotify), request(5))
		f.equal("notify of a new revocation", true, f.read(revocation.Ref{Account: acme, ID: accepted[0].ID}).Notify)
	}},
	{"a large batch of several accounts", func(f *fixture) {
		const n = 129
		more := make([]revocation.Invite, n)
		for i := range more {
			more[i] = revocation.Invite{ReportID: int64(i + 1), SentAt: sentAt}
		}
		f.must(f.UpsertInvites(f.Context(), acme, more))
		f.must(f.UpsertInvites(f.Context(), zenith, more))
		var batch []revocation.Submission
		for i := range n {
			batch = append(batch,
				request(int64(n-i), withKey("a"+uuidv7.New().String())), request(int64(i+1), ofZenith, withNotify))
		}
		refs := f.submitNew(batch...)
		for _, ref := range refs {
			f.status(ref, revocation.StatusPending, false)
		}
		f.equal("decided", len(refs), len(f.carryOut(refs...)))
		for i, ref := range refs {
			r := f.read(ref)
			f.equal("final status", revocation.StatusRevoked, r.Status)
			f.equal("report_id", batch[i].ReportID, r.ReportID)
			f.equal("notify", batch[i].Notify, r.Notify)
		}
	}},
}
