package revocation

import (
	"context"
	"log/slog"
	"time"
)

// Upstream is the platform of an account whose invites are revoked through the HTTP API of another service. The invites of
// an account without an upstream are in this service's database.
type Upstream struct {
	Account string
	// URL is the base URL, to which the documented endpoint's path is appended.
	URL string
	// SealedKey is the account's API key at the upstream, encrypted.
	SealedKey []byte
	// Rate is in calls per second; 0 means no limit. Concurrency is how many calls may be under way at once; 0 means
	// DefaultConcurrency.
	Rate        float64
	Concurrency int
	// Hold is why no calls are made until HeldUntil; empty if there is no hold. It stays set until a call has succeeded.
	Hold      Hold
	HeldUntil time.Time
	// Held reports whether HeldUntil was in the future when this was read, by the database's clock. The clock of this
	// process may differ from it.
	Held bool
}

// DefaultConcurrency is the concurrency of an upstream for which none was set; MaxConcurrency bounds it.
const (
	DefaultConcurrency = 8
	MaxConcurrency     = 1024
)

// Hold is a reason not to call an account's upstream for a while.
type Hold string

const (
	// HoldUnauthorized: the upstream refused the account's key. One call a minute checks whether it still does.
	HoldUnauthorized Hold = "upstream_unauthorized"
	// HoldUnavailable: the upstream failed too often.
	HoldUnavailable Hold = "upstream_unavailable"
	// HoldSecret: the key cannot be decrypted, because SECRETS_KEY is missing or has changed.
	HoldSecret Hold = "secret_unreadable"
)

// The codes of attempts that failed because of an upstream.
const (
	// CodeUpstreamUnavailable: the upstream cannot be reached, does not answer in time, or fails.
	CodeUpstreamUnavailable Code = "upstream_unavailable"
	// CodeUpstreamRateLimited: the upstream temporarily accepts no more calls.
	CodeUpstreamRateLimited Code = "upstream_rate_limited"
	// CodeUpstreamTryLater: the upstream answered ERROR_REVOKING.
	CodeUpstreamTryLater Code = "upstream_try_later"
	// CodeUpstreamInvalidAnswer: the upstream's answer is not a documented one.
	CodeUpstreamInvalidAnswer Code = "upstream_invalid_answer"
	// CodeUpstreamRejected: the upstream refused the request itself. Final.
	CodeUpstreamRejected Code = "upstream_rejected"
	// CodeUpstreamUnauthorized: the upstream refused the account's key. Final.
	CodeUpstreamUnauthorized Code = "upstream_unauthorized"
)

// Target is an upstream with all that is needed to call it. Key is decrypted.
type Target struct {
	Account     string
	URL         string
	Key         Secret
	Rate        float64
	Concurrency int
}

// Secret is a string that must not be printed. Its formatting methods return a placeholder.
type Secret string

// String returns a placeholder.
func (Secret) String() string { return "[secret]" }

// GoString returns a placeholder.
func (s Secret) GoString() string { return s.String() }

// MarshalText returns a placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reply is the result of a call.
type Reply struct {
	// Status is REVOKED, NOT_ALLOWED, ALREADY_REVOKED, NOT_FOUND or ERROR_REVOKING; empty if no call was made.
	Status Status
	// Timestamp is the timestamp with NOT_ALLOWED, as the upstream sent it.
	Timestamp string
	// Failure is why Status is ERROR_REVOKING; nil for any other status. Rejected reports that a retry would fail too.
	Failure  *Failure
	Rejected bool
	// RetryAfter is how long the upstream asked to wait; 0 if it did not.
	RetryAfter time.Duration
	// InDoubt reports that the request was sent and no complete answer came: it may have been carried out.
	InDoubt bool
	// Hold is how long no calls of the account should be made, because too many have failed; 0 for no hold.
	Hold time.Duration
}

// UpstreamClient calls upstreams.
type UpstreamClient interface {
	// Admit waits until the account's rate allows a call. An error means that ctx ended first.
	Admit(ctx context.Context, target Target) error
	// Revoke makes at most one call. The call has a timeout of its own, and the end of ctx aborts it. If the account's
	// circuit breaker is open, Revoke makes no call: Status is empty, and Hold is how long the breaker stays open.
	Revoke(ctx context.Context, target Target, reportID int64, notify bool) Reply
}

// Call is a call to an upstream that has begun.
type Call struct {
	Ref
	// DispatchCount fences the call: after another worker has begun a call for the same row, the store ignores what this
	// worker writes.
	DispatchCount int
	Job           ID
	ReportID      int64
	// Notify reports whether the email was requested when the call began.
	Notify bool
	// InDoubt reports that the upstream may have carried out an earlier attempt whose outcome is not known.
	InDoubt bool
	// Cancelled reports that the job is being cancelled and no call for this item is in doubt. No call must be made.
	Cancelled bool
	// Duplicate reports that a preview of the job predicted that this item ends as another one of the job. No call must be
	// made. First is how that item ended; nil if it is not final.
	Duplicate bool
	First     *ItemOutcome
}
