package revocation

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Invite is one candidate's invitation to one assessment.
type Invite struct {
	// ReportID identifies the invite within its account. It is at least 1.
	ReportID       int64
	CandidateName  string
	CandidateEmail string
	AssessmentName string
	SentAt         time.Time
	// AssessmentID and Language are nil to leave them as they are, and empty for none. Language is a canonical BCP 47 tag.
	AssessmentID *string
	Language     *string
	// Progress is how far the candidate has come. Empty leaves it as it is, and means ProgressPending for a new invite.
	Progress Progress
}

// MergeInvites returns the invites in the order of their reports, each once. Of several with the same report the last
// counts, with each optional value of the last one that has it.
func MergeInvites(invites []Invite) []Invite {
	invites = slices.Clone(invites)
	slices.SortStableFunc(invites, func(a, b Invite) int { return cmp.Compare(a.ReportID, b.ReportID) })
	merged := invites[:0]
	for _, invite := range invites {
		if last := len(merged) - 1; last >= 0 && merged[last].ReportID == invite.ReportID {
			invite.Progress = cmp.Or(invite.Progress, merged[last].Progress)
			invite.AssessmentID = cmp.Or(invite.AssessmentID, merged[last].AssessmentID)
			invite.Language = cmp.Or(invite.Language, merged[last].Language)
			merged[last] = invite
		} else {
			merged = append(merged, invite)
		}
	}
	return merged
}

// Progress is how far a candidate has come with an assessment.
type Progress string

// Started reports whether the candidate has started or completed the assessment.
func (p Progress) Started() bool { return p == ProgressStarted || p == ProgressCompleted }

// The values of Progress, as imports name them.
const (
	ProgressPending   Progress = "PENDING"
	ProgressStarted   Progress = "STARTED"
	ProgressCompleted Progress = "COMPLETED"
)

// StoredInvite is an invite as it is now.
type StoredInvite struct {
	// Invite has the empty AssessmentID or Language nil.
	Invite
	// RevokedAt is zero unless the invite is revoked, and RevokedBy is the revocation that did it.
	RevokedAt time.Time
	RevokedBy ID
	// Predicted is the outcome that a revocation would have now.
	Predicted Status
}

// SetPredicted sets Predicted by Rule.
func (i *StoredInvite) SetPredicted(account AccountState) {
	i.Predicted = Rule(InviteState{SentAt: i.SentAt, Revoked: !i.RevokedAt.IsZero(), Started: i.Progress.Started()}, account)
}

// InviteFilter selects the invites of an account that match all of its fields. Texts are compared without case and without
// white space around them.
type InviteFilter struct {
	Account string
	// Query selects invites whose name, address or assessment name begins with it. It also determines the order: first
	// those whose name matches, then those whose address matches, then those whose assessment name matches, each in the
	// order of the text that matches and then newest first. Without Query, the newest invites come first.
	Query        string
	Email        string
	AssessmentID string // compared exactly
	Assessment   string
	// Revoked selects invites that are revoked or that are not; nil for both.
	Revoked *bool
	// Progress selects invites with one of these values; empty for all.
	Progress []Progress
	// SentAfter includes its moment, and SentBefore does not. The zero time is no limit.
	SentAfter  time.Time
	SentBefore time.Time
	Limit      int
	// After is the Next of the previous page; zero for the first page.
	After InvitePosition
	// Scan is about the largest number of rows that are read, in each part of the order; 0 means InviteScan.
	Scan int
}

// Selection selects the invites of an account that are not revoked and match all of its fields, for a job. At least one
// field must be set.
type Selection struct {
	// Emails selects invites with one of these addresses, compared as in an InviteFilter; empty for all. None is empty.
	Emails       []string
	AssessmentID string // compared exactly
	Assessment   string // compared as in an InviteFilter
	// Progress selects invites with one of these values; empty for all.
	Progress []Progress
	// SentAfter includes its moment, and SentBefore does not. The zero time is no limit.
	SentAfter  time.Time
	SentBefore time.Time
}

// ErrNothingSelected is the error of a selection that matches no invite.
var ErrNothingSelected = &Error{Code: CodeInvalid, Detail: "No invite that is not revoked matches the selection."}

// ErrNotFindable is the error of a selection by address or assessment name while the database has invites of a version
// without search whose texts are not copied yet. The selection could miss them, and the caller would not notice.
var ErrNotFindable = &Error{Code: CodeUnavailable, Detail: "Not all invites can be found by their texts yet."}

// MaxSelectionEmails is how many addresses a Selection can have.
const MaxSelectionEmails = 10_000

// IsEmpty reports whether no field is set.
func (s *Selection) IsEmpty() bool {
	return len(s.Emails) == 0 && s.AssessmentID == "" && s.Assessment == "" && len(s.Progress) == 0 &&
		s.SentAfter.IsZero() && s.SentBefore.IsZero()
}

// InviteScan is about the largest number of rows that a store reads for one page of a search, in each part of its order. It is
// smaller than PageScan, because the rows that an index finds are spread over the whole table: in a table of ten million
// invites, 5,000 took up to 47 ms.
const InviteScan = 1_500

// InvitePosition is a place in a list of invites, behind an invite. It contains no personal data.
type InvitePosition struct {
	// Part is the part of the order: 0 without a Query, else what matched.
	Part     InvitePart
	SentAt   time.Time
	ReportID int64 // zero for the beginning of the list
}

// InvitePart is a part of the order of a list with a Query.
type InvitePart byte

// The parts, in their order.
const (
	ByName InvitePart = iota + 1
	ByEmail
	ByAssessment
)

// InvitePage is a part of a list of invites. A page that is not the last may have fewer entries than requested, even none.
type InvitePage struct {
	Entries []StoredInvite
	// Next is where the next page begins; its ReportID is zero on the last page.
	Next InvitePosition
}

// InviteStore contains the invites of accounts on the platform database.
type InviteStore interface {
	// UpsertInvites adds invites to an account or changes them, in one transaction. A revoked invite stays revoked. Of two
	// with the same report the last counts. The error's code is CodeNotFound without the account, and CodeNotSupported if
	// its invites are at an upstream.
	UpsertInvites(ctx context.Context, account string, invites []Invite) error
	// Forget erases the name and the address of an invite's candidate, and makes its emails that are not sent yet SKIPPED.
	// The invite and its revocations stay, and an import leaves the erased values empty from then on. It does nothing if the
	// candidate is forgotten already. The error's code is CodeNotFound if the account has no such invite, and
	// CodeNotSupported if its invites are at an upstream.
	Forget(ctx context.Context, account string, reportID int64, by Actor) error
	// ForgetAddress does so for at most limit invites with the address, compared as in an InviteFilter, and returns how many; 0
	// means that no invite is left.
	ForgetAddress(ctx context.Context, account, address string, limit int, by Actor) (forgotten int, err error)
	// FinishImport is UpsertInvites for the last invites of an import, whose event it writes in the same transaction.
	FinishImport(ctx context.Context, account string, invites []Invite, counts Import) error
	// Invites returns a page of the invites that f selects. The error's code is CodeNotSupported if they are at an upstream.
	Invites(ctx context.Context, f InviteFilter) (InvitePage, error)
	// Invite returns one. The error's code is CodeNotFound if the account has no such invite, and CodeNotSupported if its
	// invites are at an upstream.
	Invite(ctx context.Context, account string, reportID int64) (StoredInvite, error)
}
