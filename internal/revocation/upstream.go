package revocation

import (
	"context"
	"log/slog"
	"time"
)

// Upstream is the platform of an account whose invites live at somebody else's HTTP API. An account without one
// has its invites in this service's database.
type Upstream struct {
	Account string
	// URL is the base, to which the documented endpoint's path is added.
	URL string
	// SealedKey is the account's key there, encrypted.
	SealedKey []byte
	// Rate is in calls a second; 0: no limit. Concurrency is how many calls may be under way at once; 0:
	// DefaultConcurrency.
	Rate        float64
	Concurrency int
	// Hold is why no calls are made until HeldUntil; empty for none. It stays until a call has succeeded.
	Hold      Hold
	HeldUntil time.Time
	// Held reports whether HeldUntil was yet to come when this was read. The database's clock decides: this process's
	// may differ from it.
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
	// HoldUnauthorized: the upstream refused the account's key. One call a minute looks whether it still does.
	HoldUnauthorized Hold = "upstream_unauthorized"
	// HoldUnavailable: the upstream failed too often.
	HoldUnavailable Hold = "upstream_unavailable"
	// HoldSecret: the key cannot be decrypted: SECRETS_KEY is missing, or another.
	HoldSecret Hold = "secret_unreadable"
)

// The codes of attempts that an upstream made fail.
const (
	// CodeUpstreamUnavailable: it cannot be reached, does not answer in time, or fails.
	CodeUpstreamUnavailable Code = "upstream_unavailable"
	// CodeUpstreamRateLimited: it takes no more calls for now.
	CodeUpstreamRateLimited Code = "upstream_rate_limited"
	// CodeUpstreamTryLater: it answered ERROR_REVOKING.
	CodeUpstreamTryLater Code = "upstream_try_later"
	// CodeUpstreamInvalidAnswer: its answer is not the documented one.
	CodeUpstreamInvalidAnswer Code = "upstream_invalid_answer"
	// CodeUpstreamRejected: it refused the request as such. Final.
	CodeUpstreamRejected Code = "upstream_rejected"
	// CodeUpstreamUnauthorized: it refused the account's key. Final.
	CodeUpstreamUnauthorized Code = "upstream_unauthorized"
)

// Target is an upstream that can be called.
type Target struct {
	Account     string
	URL         string
	Key         Secret
	Rate        float64
	Concurrency int
}

// Secret is a string that does not show itself.
type Secret string

// String hides the secret, and so do the other ways to print it.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reply is what came of a call.
type Reply struct {
	// Status is REVOKED, NOT_ALLOWED, ALREADY_REVOKED, NOT_FOUND or ERROR_REVOKING; empty when no call was made.
	Status Status
	// Timestamp is NOT_ALLOWED's, as it came.
	Timestamp string
	// Failure says why with ERROR_REVOKING; Rejected that trying again is of no use.
	Failure  *Failure
	Rejected bool
	// RetryAfter is how long the upstream asked to wait; 0 when it did not.
	RetryAfter time.Duration
	// InDoubt tells that the request was sent and no whole answer came: it may have been carried out.
	InDoubt bool
	// Hold is how long the account's calls are better held back, because too many have failed.
	Hold time.Duration
}

// UpstreamClient calls upstreams.
type UpstreamClient interface {
	// Admit waits until the account's rate allows a call. An error means that ctx ended first.
	Admit(ctx context.Context, target Target) error
	// Revoke makes at most one call, within a time of its own; ending ctx breaks it off. With no call made, because the account's breaker is
	// open, Status is empty and Hold says for how long.
	Revoke(ctx context.Context, target Target, reportID int64, notify bool) Reply
}

// Call is a call to an upstream that has begun.
type Call struct {
	Ref
	// DispatchCount fences it: what its worker writes does not count after another worker has begun a call for the same row.
	DispatchCount int
	Job           ID
	ReportID      int64
	// Notify is the wish for an email, as it stood when the call began.
	Notify bool
	// InDoubt tells that an earlier attempt may have been carried out without our knowing.
	InDoubt bool
	// Cancelled tells that the job is being cancelled, and no call of this item is in doubt.
	Cancelled bool
}
