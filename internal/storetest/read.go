package storetest

import (
	"encoding/binary"
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// idAt returns a new id with the time t.
func idAt(t time.Time) revocation.ID {
	id := uuidv7.New()
	at := revocation.FirstIDAt(t)
	copy(id[:6], at[:6])
	return id
}

func withID(id revocation.ID) func(*revocation.Submission) {
	return func(s *revocation.Submission) { s.ID = id }
}

// list returns the ids of one page.
func (f *fixture) list(filter revocation.Filter) []revocation.ID {
	f.Helper()
	if filter.Account == "" {
		filter.Account = acme
	}
	if filter.Limit == 0 {
		filter.Limit = 100
	}
	page, err := f.Revocations(f.Context(), filter)
	f.must(err)
	return idsOf(page)
}

func idsOf(page revocation.Page[revocation.Revocation]) []revocation.ID {
	ids := make([]revocation.ID, len(page.Entries))
	for i, r := range page.Entries {
		ids[i] = r.ID
	}
	return ids
}

// newestFirst returns the ids of refs in the order of a list.
func newestFirst(refs ...revocation.Ref) []revocation.ID {
	ids := make([]revocation.ID, len(refs))
	for i, ref := range refs {
		ids[i] = ref.ID
	}
	slices.SortFunc(ids, func(a, b revocation.ID) int { return b.Compare(a) })
	return ids
}

var readTests = []test{
	{"an unknown id is not found", func(f *fixture) {
		f.submitNew(request(1))
		_, err := f.Revocation(f.Context(), acme, uuidv7.New())
		f.code(revocation.CodeNotFound, err)
	}},
	{"a list is newest first and returns the same as reads by id", func(f *fixture) {
		refs := f.submitNew(request(3), request(1, withNotify), request(2, withReference("r")), request(4))
		f.carryOut(refs[:2]...)
		f.attemptFails(time.Hour, refs[2])
		page, err := f.Revocations(f.Context(), revocation.Filter{Account: acme, Limit: 10})
		f.must(err)
		var want []revocation.Revocation
		for _, id := range newestFirst(refs...) {
			want = append(want, f.read(revocation.Ref{Account: acme, ID: id}))
		}
		f.equal("page", want, page.Entries)
	}},
	{"an empty list", func(f *fixture) {
		page, err := f.Revocations(f.Context(), revocation.Filter{Account: acme, Limit: 100})
		f.must(err)
		f.equal("entries", 0, len(page.Entries))
		f.equal("next page", revocation.ID{}, page.Next)
	}},
	{"by report_id, each status, and both", func(f *fixture) {
		pending := f.submitNew(request(1))[0]
		waiting := f.submitNew(request(2))[0]
		f.attemptFails(time.Hour, waiting)
		failed := f.submitNew(request(3))[0]
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, failed)
		revoked := f.submitNew(request(4))[0]
		f.carryOut(revoked)
		already := f.submitNew(request(4))[0]
		f.carryOut(already)
		end := func(status revocation.Status, report int64) revocation.Ref {
			ref := f.submitNew(request(report))[0]
			f.carryOutBy(decideAll(func(revocation.LockedRevocation) revocation.Decision {
				return revocation.Decision{Status: status, Kind: revocation.Final}
			}), ref)
			return ref
		}
		notAllowed := end(revocation.StatusNotAllowed, 5)
		notFound := end(revocation.StatusNotFound, 6)
		cancelled := end(revocation.StatusCancelled, 7)

		for status, want := range map[revocation.Status][]revocation.ID{
			revocation.StatusPending:        newestFirst(pending),
			revocation.StatusErrorRevoking:  newestFirst(waiting, failed),
			revocation.StatusRevoked:        newestFirst(revoked),
			revocation.StatusAlreadyRevoked: newestFirst(already),
			revocation.StatusNotAllowed:     newestFirst(notAllowed),
			revocation.StatusNotFound:       newestFirst(notFound),
			revocation.StatusCancelled:      newestFirst(cancelled),
			revocation.StatusInvalid:        {},
		} {
			f.equal(string(status), want, f.list(revocation.Filter{Statuses: oneStatus(status)}))
		}
		f.equal("report_id", newestFirst(revoked, already), f.list(revocation.Filter{ReportID: 4}))
		f.equal("both", newestFirst(already), f.list(revocation.Filter{ReportID: 4, Statuses: revocation.StatusFilter{revocation.StatusAlreadyRevoked}}))
		f.equal("neither", []revocation.ID{}, f.list(revocation.Filter{ReportID: 4, Statuses: revocation.StatusFilter{revocation.StatusPending}}))
		f.equal("a job's", []revocation.ID{}, f.list(revocation.Filter{JobID: uuidv7.New()}))
	}},
	{"between times, of which the first is included", func(f *fixture) {
		noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var refs []revocation.Ref
		for i := range 5 {
			at := noon.Add(time.Duration(i) * time.Millisecond)
			id := idAt(at)
			if i == 2 {
				id = revocation.FirstIDAt(at) // the lowest id of its millisecond
			}
			refs = append(refs, f.submitNew(request(int64(i+1), withID(id)))...)
		}
		after, before := noon.Add(time.Millisecond), noon.Add(3*time.Millisecond)
		f.equal("after", newestFirst(refs[1:]...), f.list(revocation.Filter{CreatedAfter: after}))
		f.equal("before", newestFirst(refs[:3]...), f.list(revocation.Filter{CreatedBefore: before}))
		f.equal("both", newestFirst(refs[1], refs[2]), f.list(revocation.Filter{CreatedAfter: after, CreatedBefore: before}))
		f.equal("and report_id", newestFirst(refs[3]), f.list(revocation.Filter{CreatedAfter: after, ReportID: 4}))
		f.equal("none", []revocation.ID{}, f.list(revocation.Filter{CreatedAfter: before, CreatedBefore: after}))
	}},
	{"pages omit nothing and repeat nothing", func(f *fixture) {
		// All ids have the same millisecond and differ only in their random part.
		moment := idAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		var refs []revocation.Ref
		for i := range invites {
			id := moment
			binary.BigEndian.PutUint16(id[14:], uint16(i*37%invites))
			refs = append(refs, f.submitNew(request(int64(i+1), withID(id)))...)
		}
		f.carryOut(refs[:invites/2]...)
		var all []revocation.ID
		for filter := (revocation.Filter{Limit: 3}); ; filter.Before = all[len(all)-1] {
			page := f.list(filter)
			all = append(all, page...)
			if len(page) < filter.Limit {
				break
			}
		}
		f.equal("ids", newestFirst(refs...), all)
	}},
	{"a page within a time filter", func(f *fixture) {
		noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		early := f.submitNew(request(1, withID(idAt(noon))))[0]
		late := f.submitNew(request(2, withID(idAt(noon.Add(time.Hour)))))[0]
		bound := noon.Add(time.Minute)
		f.equal("before the earlier bound", newestFirst(early), f.list(revocation.Filter{CreatedBefore: bound, Before: late.ID}))
		f.equal("before the earlier id", []revocation.ID{}, f.list(revocation.Filter{CreatedBefore: bound, Before: early.ID}))
	}},
}
