package storetest

import (
	"errors"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// concurrently calls do in n goroutines. It returns the results by i, and the joined errors.
func concurrently[T any](n int, do func(i int) (T, error)) ([]T, error) {
	results, errs := make([]T, n), make([]error, n)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			results[i], errs[i] = do(i)
		})
	}
	close(start)
	running.Wait()
	return results, errors.Join(errs...)
}

// carryOutWholly carries out refs, also if concurrent transactions have locked them, until no ref is left.
func (f *fixture) carryOutWholly(refs []revocation.Ref) (revoked int, err error) {
	for len(refs) > 0 {
		done, err := f.applyRule(refs)
		if err != nil {
			return revoked, err
		}
		refs = done.Locked
		for _, d := range done.Decisions {
			switch d.Status {
			case revocation.StatusRevoked:
				revoked++
			case "":
				refs = append(refs, d.Ref)
			}
		}
	}
	return revoked, nil
}

var concurrencyTests = []test{
	{"a hundred submissions of one invite make one revocation", func(f *fixture) {
		accepted, err := concurrently(100, func(int) (revocation.Accepted, error) {
			answers, err := f.Submit(f.Context(), []revocation.Submission{request(1)})
			if err != nil {
				return revocation.Accepted{}, err
			}
			return answers[0], answers[0].Err
		})
		f.must(err)
		ids, fresh := make(map[revocation.ID]bool), 0
		for _, a := range accepted {
			ids[a.ID] = true
			if a.Created {
				fresh++
			}
		}
		f.equal("revocations", 1, len(ids))
		f.equal("fresh", 1, fresh)
		f.equal("listed", 1, len(f.list(revocation.Filter{})))
	}},
	{"a hundred submissions under one key make one revocation", func(f *fixture) {
		accepted, err := concurrently(100, func(int) (revocation.Accepted, error) {
			answers, err := f.Submit(f.Context(), []revocation.Submission{request(1, withKey("k"))})
			if err != nil {
				return revocation.Accepted{}, err
			}
			_, err = f.carryOutWholly([]revocation.Ref{{Account: acme, ID: answers[0].ID}})
			return answers[0], err
		})
		f.must(err)
		for _, a := range accepted {
			f.equal("id", accepted[0].ID, a.ID)
		}
		f.equal("listed", 1, len(f.list(revocation.Filter{})))
	}},
	{"batches that name the same invites in different orders", func(f *fixture) {
		_, err := concurrently(16, func(n int) (struct{}, error) {
			batch := make([]revocation.Submission, invites)
			for i := range batch {
				report := int64(i + 1)
				if n%2 == 1 {
					report = int64(invites - i)
				}
				batch[i] = request(report)
				batch[i].Notify = n%3 == 0
			}
			_, err := f.Submit(f.Context(), batch)
			return struct{}{}, err
		})
		f.must(err)
		f.equal("revocations", invites, len(f.list(revocation.Filter{})))
	}},
	{"workers that carry out the same refs revoke each invite once", func(f *fixture) {
		var batch []revocation.Submission
		for i := range invites {
			batch = append(batch, request(int64(i+1), withNotify))
		}
		refs := f.submitNew(batch...)
		revoked, err := concurrently(8, func(int) (int, error) { return f.carryOutWholly(refs) })
		f.must(err)
		total := 0
		for _, n := range revoked {
			total += n
		}
		f.equal("revoked", invites, total)
		emails := 0
		for _, ref := range refs {
			f.status(ref, revocation.StatusRevoked, true)
			emails += len(f.claimEmails(time.Hour, revocation.NotificationRef{Account: acme, Revocation: ref.ID}))
		}
		f.equal("emails", invites, emails)
	}},
	{"a request for an email that joins before the outcome is kept", func(f *fixture) {
		for report := range int64(invites) {
			ref := f.submitNew(request(report + 1))[0]
			joined, err := concurrently(2, func(i int) (revocation.ID, error) {
				if i == 1 {
					_, err := f.carryOutWholly([]revocation.Ref{ref})
					return revocation.ID{}, err
				}
				for {
					answers, err := f.Submit(f.Context(), []revocation.Submission{request(report+1, withNotify)})
					if err != nil {
						return revocation.ID{}, err
					}
					// The worker may hold the lock of the row for a short time.
					if answers[0].Err == nil || revocation.ErrorCode(answers[0].Err) != revocation.CodeLockTimeout {
						return answers[0].ID, answers[0].Err
					}
				}
			})
			f.must(err)
			f.status(ref, revocation.StatusRevoked, true)
			want := revocation.NotificationNotRequested
			if joined[0] == ref.ID {
				want = revocation.NotificationPending
			}
			f.equal("notification", want, f.read(ref).Notification.Status)
		}
	}},
	{"an email is claimed by one worker", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		claimed, err := concurrently(16, func(int) (int, error) {
			emails, err := f.ClaimNotifications(f.Context(), sender, []revocation.NotificationRef{{Account: acme, Revocation: ref.ID}}, time.Hour)
			return len(emails), err
		})
		f.must(err)
		total := 0
		for _, n := range claimed {
			total += n
		}
		f.equal("claims", 1, total)
	}},
	{"a due row is claimed by one dispatcher", func(f *fixture) {
		var batch []revocation.Submission
		for i := range invites {
			batch = append(batch, request(int64(i+1)))
		}
		refs := f.submitNew(batch...)
		f.carryOutBy(postponed(0), refs...)
		claimed, err := concurrently(8, func(int) (int, error) {
			due, err := f.ClaimDue(f.Context(), 7, []time.Duration{time.Hour})
			return len(due), err
		})
		f.must(err)
		total := len(f.claimDue(time.Hour))
		for _, n := range claimed {
			total += n
		}
		f.equal("claims", invites, total)
	}},
}
