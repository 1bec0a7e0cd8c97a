package revocation

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Account is a customer of the assessment platform: the tenant to which all other data belongs.
type Account struct {
	ID string
	// Name is the company's name, as its candidates know it.
	Name string
	// Contact is the address that candidates may write to; empty for none.
	Contact string
	// PlanChangedAt is the time of the latest plan change; zero if there was none.
	PlanChangedAt time.Time
	// Upstream is nil for an account whose invites are in this service's database.
	Upstream *Upstream
	AccountSettings
}

// AccountSettings determine what an account's requests do.
type AccountSettings struct {
	// Hold is the shortest time between a submission, confirmation or approval and the beginning of the work: 0 to MaxHold,
	// in whole seconds.
	Hold time.Duration
	// ConfirmAbove is the number of items above which a job is previewed, and ApproveAbove the number above which it needs
	// another key's approval; nil for no limit.
	ConfirmAbove *int
	ApproveAbove *int
	// SpareStarted reports whether the invites of candidates who have started are not revoked.
	SpareStarted bool
	// MessageLinks reports whether messages for candidates may contain web addresses.
	MessageLinks bool
	// SingleEvents reports whether single revocations have events.
	SingleEvents bool
}

// MaxHold is the longest hold of an account.
const MaxHold = 24 * time.Hour

// FormatHold returns a hold as people write it, such as 10m or 1h30m; 0s for none.
func FormatHold(hold time.Duration) string {
	s := hold.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// AccountChange creates an account or changes the fields that are not nil.
type AccountChange struct {
	ID      string
	Name    *string
	Contact *string
	// PlanChangedAt set to the zero time removes the plan change.
	PlanChangedAt *time.Time
	// Upstream changes where the invites are.
	Upstream *UpstreamChange

	Hold *time.Duration
	// ConfirmAbove and ApproveAbove remove the limit if they are negative.
	ConfirmAbove *int
	ApproveAbove *int
	SpareStarted *bool
	MessageLinks *bool
	SingleEvents *bool
}

// UpstreamChange gives an account an upstream or changes the fields that are not nil. Any change ends a hold.
type UpstreamChange struct {
	// URL is the base URL; empty removes the upstream.
	URL *string
	// SealedKey is required with the first URL.
	SealedKey   []byte
	Rate        *float64
	Concurrency *int
}

// MaxAccountID bounds an account's id, in bytes.
const MaxAccountID = 64

// ValidAccountID reports whether id consists of 1 to MaxAccountID ASCII letters, digits, dots, dashes and underscores and
// begins with a letter or a digit. Such an id needs no escaping in a file name, a label or a log line.
func ValidAccountID(id string) bool {
	if id == "" || len(id) > MaxAccountID || strings.ContainsRune(".-_", rune(id[0])) {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// Scope is a permission of an API key.
type Scope string

const (
	// ScopeRevoke permits submitting revocations and jobs, and controlling and retrying them.
	ScopeRevoke Scope = "revoke"
	// ScopeRead permits polling, listing and fetching results and events.
	ScopeRead Scope = "read"
	// ScopeApprove permits reading jobs with their results and events, and approving or cancelling a job that waits for an
	// approval.
	ScopeApprove Scope = "approve"
	// ScopeInvites permits everything that shows or selects candidates.
	ScopeInvites Scope = "invites"
	// ScopeWebhooks is reserved for managing webhooks.
	ScopeWebhooks Scope = "webhooks"
	// ScopeMail is reserved for reporting bounces.
	ScopeMail Scope = "mail"
)

// Scopes lists every Scope.
var Scopes = []Scope{ScopeRevoke, ScopeRead, ScopeApprove, ScopeInvites, ScopeWebhooks, ScopeMail}

// SecretHash is the SHA-256 hash of an API key's secret, which is not stored itself. The secret has 256 random bits, so it
// cannot be guessed and needs no slow hash.
type SecretHash [sha256.Size]byte

// HashSecret returns the hash of a secret.
func HashSecret(secret string) SecretHash { return sha256.Sum256([]byte(secret)) }

// NewSecret returns a new secret for an API key, made of 256 random bits. Scanners for leaked secrets recognise its
// prefix.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:]) // it never returns an error
	return "rescind_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// APIKey is a key of an account, without its secret.
type APIKey struct {
	ID      ID
	Account string
	// Name is for people to tell keys apart. It may be empty; see ShownName.
	Name      string
	Hash      SecretHash
	Scopes    []Scope
	ExpiresAt time.Time // zero if it never expires
	RevokedAt time.Time // zero if it is not revoked
	// Caller is set only if the key was found by its hash.
	Caller Caller
}

// MaxKeyName bounds the name of a key, in characters.
const MaxKeyName = 255

// ValidKeyName reports whether a key may have the name: valid UTF-8 of at most MaxKeyName characters, none of which is a
// control character. It may be empty.
func ValidKeyName(name string) bool {
	return utf8.ValidString(name) && utf8.RuneCountInString(name) <= MaxKeyName && !strings.ContainsFunc(name, unicode.IsControl)
}

// defaultKeyName is how many characters of a key's id are its name if it has no other. They hold the millisecond of the key's
// creation: the first 8 are the same for all keys of a minute, and two people would have the same name.
const defaultKeyName = 13

// ShownName returns the name that people see: Name, or the first characters of the id if that is empty.
func (k *APIKey) ShownName() string { return cmp.Or(k.Name, k.ID.String()[:defaultKeyName]) }

// Caller is what a request with a key depends on, as its account was when the key was found.
type Caller struct {
	// Hold and MessageLinks are those of AccountSettings.
	Hold         time.Duration
	MessageLinks bool
	// Upstream reports whether the account's invites are at an upstream.
	Upstream bool
}

// Valid reports whether the key is neither expired nor revoked at the time now.
func (k *APIKey) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Allows reports whether the key has the scope.
func (k *APIKey) Allows(scope Scope) bool { return slices.Contains(k.Scopes, scope) }
