package revocation

import (
	"cmp"
	"crypto/sha256"
	"slices"
)

// Fingerprint is a hash of the values that an idempotency key is bound to.
type Fingerprint [sha256.Size]byte

// InviteKey identifies an invite among all accounts.
type InviteKey struct {
	Account  string
	ReportID int64
}

// IdempotencyKey identifies an idempotency key among all accounts.
type IdempotencyKey struct {
	Account string
	Key     string
}

// Binding binds an idempotency key to the revocation or job of the first request that used it.
type Binding struct {
	IdempotencyKey
	Fingerprint Fingerprint
	Target      ID
}

// UnderWay is a single revocation that is not final.
type UnderWay struct {
	ID     ID
	Notify bool
	// Waits reports that the revocation waits for its NotBefore or a hold.
	Waits bool
	// Locked reports that another transaction has locked the revocation, so it cannot be changed now. A store may leave
	// it false if no submission of the flush changes the revocation.
	Locked bool
}

// FlushFacts is what a store reads before it writes a flush, which is a batch of submissions.
type FlushFacts struct {
	// Bound contains the idempotency keys of the flush that are bound already.
	Bound map[IdempotencyKey]Binding
	// Invites contains the invites of the flush that exist; nil means that all exist.
	Invites map[InviteKey]bool
	// UnderWay contains the revocations under way for the invites of the flush, which submissions join.
	UnderWay map[InviteKey]UnderWay
}

// FlushPlan is what a store has to write for a flush.
type FlushPlan struct {
	// Accepted contains the answer to each submission, in the order of the flush.
	Accepted []Accepted
	// Insert contains the new revocations, in the order of their invites' keys. Notify is set if any submission for the
	// invite requests the email.
	Insert []Submission
	// EnableNotify contains the revocations under way whose Notify must be set, in the order of their invites' keys. If
	// one of them has become final since it was read, the plan must not be carried out.
	EnableNotify []EnableNotify
	// MoveEarlier contains the submissions that joined a waiting revocation, with the ID of that revocation. After Insert was
	// written, the revocation becomes due at the earliest of its own time and the times of these submissions.
	MoveEarlier []Submission
	// Bind contains the idempotency keys to bind, in the order of the keys. If one of them has been bound since the facts
	// were read, the plan must not be carried out.
	Bind []Binding
}

// EnableNotify identifies a revocation under way that a submission with Notify joined.
type EnableNotify struct {
	InviteKey
	ID ID
}

// Compare compares invites by account and report. Every transaction locks invites in this order.
func (k InviteKey) Compare(other InviteKey) int {
	return cmp.Or(cmp.Compare(k.Account, other.Account), cmp.Compare(k.ReportID, other.ReportID))
}

// PlanFlush decides about each submission of a flush. The result is the same as if the submissions had come one after the
// other, in their order.
func PlanFlush(flush []Submission, facts FlushFacts) FlushPlan {
	plan := FlushPlan{Accepted: make([]Accepted, len(flush))}
	created := make(map[InviteKey]int, len(flush)) // index into plan.Insert
	notified := make(map[InviteKey]bool)
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
		at, again := created[invite]
		switch {
		case joined && under.Locked && (s.Notify && !under.Notify || under.Waits):
			plan.Accepted[i].Err = errLocked
			continue
		case joined:
			plan.Accepted[i].ID = under.ID
			if under.Waits {
				plan.moveEarlier(s, under.ID)
			}
			if s.Notify && !under.Notify && !notified[invite] {
				notified[invite] = true
				plan.EnableNotify = append(plan.EnableNotify, EnableNotify{invite, under.ID})
			}
		case again:
			first := &plan.Insert[at]
			plan.Accepted[i].ID = first.ID
			if !first.NotBefore.IsZero() || first.Hold > 0 {
				plan.moveEarlier(s, first.ID)
			}
			first.Notify = first.Notify || s.Notify
		default:
			plan.Accepted[i] = Accepted{ID: s.ID, Created: true}
			created[invite] = len(plan.Insert)
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
	slices.SortStableFunc(plan.MoveEarlier, func(a, b Submission) int {
		return InviteKey{a.Account, a.ReportID}.Compare(InviteKey{b.Account, b.ReportID})
	})
	slices.SortFunc(plan.EnableNotify, func(a, b EnableNotify) int { return a.Compare(b.InviteKey) })
	slices.SortFunc(plan.Bind, func(a, b Binding) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Key, b.Key))
	})
	return plan
}

func (p *FlushPlan) moveEarlier(s *Submission, id ID) {
	joining := *s
	joining.ID = id
	p.MoveEarlier = append(p.MoveEarlier, joining)
}

// MarkWaiting sets Waits in the answers to the submissions that created the revocations with these ids.
func (p *FlushPlan) MarkWaiting(waiting map[ID]bool) {
	for i := range p.Accepted {
		a := &p.Accepted[i]
		a.Waits = a.Created && waiting[a.ID]
	}
}

// ErrIdempotencyMismatch is the error for a request whose idempotency key is bound to other values.
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
