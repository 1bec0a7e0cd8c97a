package revocation

import (
	"cmp"
	"crypto/sha256"
	"slices"
)

// Fingerprint is a hash of what an idempotency key is bound to.
type Fingerprint [sha256.Size]byte

// InviteKey names an invite among all accounts.
type InviteKey struct {
	Account  string
	ReportID int64
}

// IdempotencyKey names an idempotency key among all accounts.
type IdempotencyKey struct {
	Account string
	Key     string
}

// Binding ties an idempotency key to the revocation that its first request gave.
type Binding struct {
	IdempotencyKey
	Fingerprint Fingerprint
	Target      ID
}

// UnderWay is a revocation that was submitted singly and is not final.
type UnderWay struct {
	ID     ID
	Notify bool
	// Locked reports that another transaction holds it, so that its wish for an email cannot be changed now. A store may
	// leave it false where no submission of the flush would change that.
	Locked bool
}

// FlushFacts is what a store reads before it writes a flush.
type FlushFacts struct {
	// Bound are the idempotency keys of the flush that are in use.
	Bound map[IdempotencyKey]Binding
	// Invites are those of the flush's invites that exist; nil takes it that all do.
	Invites map[InviteKey]bool
	// UnderWay are the revocations of the flush's invites that can be joined.
	UnderWay map[InviteKey]UnderWay
}

// FlushPlan is what a store has to write for a flush.
type FlushPlan struct {
	// Accepted answers for each submission, in their order.
	Accepted []Accepted
	// Insert are the new revocations, in the order of their invites' keys, with the email wish of all that
	// joined them.
	Insert []Submission
	// EnableNotify are the revocations under way that must send the email from now on, in the order of their
	// invites' keys. One that has become final since it was read makes the plan void.
	EnableNotify []EnableNotify
	// Bind are the idempotency keys to bind, in their order. One that has been bound since makes the plan
	// void.
	Bind []Binding
}

// EnableNotify names a revocation under way that a submission joined, asking for the email.
type EnableNotify struct {
	InviteKey
	ID ID
}

// Compare orders invites the way every transaction locks them.
func (k InviteKey) Compare(other InviteKey) int {
	return cmp.Or(cmp.Compare(k.Account, other.Account), cmp.Compare(k.ReportID, other.ReportID))
}

// PlanFlush decides what becomes of each submission of a flush, as if they had come one after the other.
func PlanFlush(flush []Submission, facts FlushFacts) FlushPlan {
	plan := FlushPlan{Accepted: make([]Accepted, len(flush))}
	fresh := make(map[InviteKey]int, len(flush)) // index into plan.Insert
	wished := make(map[InviteKey]bool)
	bound := make(map[IdempotencyKey]Binding)
	for i := range flush {
		s := &flush[i]
		invite := InviteKey{s.Account, s.ReportID}
		key := IdempotencyKey{s.Account, s.IdempotencyKey}
		if s.IdempotencyKey != "" {
			binding, known := facts.Bound[key]
			if !known {
				binding, known = bound[key]
			}
			if known {
				plan.Accepted[i] = replay(s, binding)
				continue
			}
		}
		if facts.Invites != nil && !facts.Invites[invite] {
			plan.Accepted[i].Err = &Error{Code: CodeNotFound, Detail: "There is no such invite in this account."}
			continue
		}
		under, joined := facts.UnderWay[invite]
		at, again := fresh[invite]
		switch {
		case joined && under.Locked && s.Notify && !under.Notify:
			plan.Accepted[i].Err = errLocked
			continue
		case joined:
			plan.Accepted[i].ID = under.ID
			if s.Notify && !under.Notify && !wished[invite] {
				wished[invite] = true
				plan.EnableNotify = append(plan.EnableNotify, EnableNotify{invite, under.ID})
			}
		case again:
			plan.Accepted[i].ID = plan.Insert[at].ID
			plan.Insert[at].Notify = plan.Insert[at].Notify || s.Notify
		default:
			plan.Accepted[i] = Accepted{ID: s.ID, Created: true}
			fresh[invite] = len(plan.Insert)
			plan.Insert = append(plan.Insert, *s)
		}
		if s.IdempotencyKey != "" {
			b := Binding{key, s.Fingerprint(), plan.Accepted[i].ID}
			bound[key] = b
			plan.Bind = append(plan.Bind, b)
		}
	}
	slices.SortFunc(plan.Insert, func(a, b Submission) int {
		return InviteKey{a.Account, a.ReportID}.Compare(InviteKey{b.Account, b.ReportID})
	})
	slices.SortFunc(plan.EnableNotify, func(a, b EnableNotify) int { return a.Compare(b.InviteKey) })
	slices.SortFunc(plan.Bind, func(a, b Binding) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Key, b.Key))
	})
	return plan
}

// ErrIdempotencyMismatch answers a request whose idempotency key is bound to other values.
var ErrIdempotencyMismatch = &Error{
	Code: CodeIdempotencyMismatch, Detail: "The Idempotency-Key was used for a request with other values.",
}

var errLocked = &Error{Code: CodeLockTimeout}

func replay(s *Submission, binding Binding) Accepted {
	if binding.Fingerprint != s.Fingerprint() {
		return Accepted{Err: ErrIdempotencyMismatch}
	}
	return Accepted{ID: binding.Target}
}
