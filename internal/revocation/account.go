package revocation

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
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
	// ScopeRevoke permits submitting revocations and jobs.
	ScopeRevoke Scope = "revoke"
	// ScopeRead permits polling, listing and fetching results.
	ScopeRead Scope = "read"
)

// Scopes lists every Scope.
var Scopes = []Scope{ScopeRevoke, ScopeRead}

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
	ID        ID
	Account   string
	Hash      SecretHash
	Scopes    []Scope
	ExpiresAt time.Time // zero if it never expires
	RevokedAt time.Time // zero if it is not revoked
}

// Valid reports whether the key is neither expired nor revoked at the time now.
func (k *APIKey) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Allows reports whether the key has the scope.
func (k *APIKey) Allows(scope Scope) bool { return slices.Contains(k.Scopes, scope) }

// Invite is one candidate's invitation to one assessment.
type Invite struct {
	// ReportID identifies the invite within its account. It is at least 1.
	ReportID       int64
	CandidateName  string
	CandidateEmail string
	AssessmentName string
	SentAt         time.Time
}
