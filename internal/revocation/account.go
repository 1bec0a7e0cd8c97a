package revocation

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// Account is a customer of the assessment platform. Everything else belongs to one.
type Account struct {
	ID string
	// Name is the company's, as its candidates know it.
	Name string
	// Contact is the address that candidates may write to; empty for none.
	Contact string
	// PlanChangedAt is the latest plan change; zero: never.
	PlanChangedAt time.Time
	// Upstream is nil for an account whose invites are in this service's database.
	Upstream *Upstream
}

// AccountChange creates an account or changes the fields that are not nil.
type AccountChange struct {
	ID      string
	Name    *string
	Contact *string
	// PlanChangedAt set to the zero time takes the plan change away.
	PlanChangedAt *time.Time
	// Upstream changes where the invites are.
	Upstream *UpstreamChange
}

// UpstreamChange gives an account an upstream or changes the fields that are not nil. Any change ends a hold.
type UpstreamChange struct {
	// URL is the base; empty takes the upstream away.
	URL *string
	// SealedKey is needed with the first URL.
	SealedKey   []byte
	Rate        *float64
	Concurrency *int
}

// MaxAccountID bounds an account's id, in bytes.
const MaxAccountID = 64

// ValidAccountID tells whether id has 1 to MaxAccountID letters, digits, dots, dashes and underscores of
// ASCII, a letter or a digit first, so that it can stand in a file name, a label and a log line as it is.
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

// Scope is something that an API key allows.
type Scope string

const (
	// ScopeRevoke allows to submit revocations and jobs.
	ScopeRevoke Scope = "revoke"
	// ScopeRead allows to poll, to list and to fetch results.
	ScopeRead Scope = "read"
)

// Scopes are all there are.
var Scopes = []Scope{ScopeRevoke, ScopeRead}

// SecretHash is all that is kept of an API key's secret: SHA-256. The secret has 256 random bits, so there
// is nothing to guess that a slow hash could protect.
type SecretHash [sha256.Size]byte

// HashSecret hashes a secret.
func HashSecret(secret string) SecretHash { return sha256.Sum256([]byte(secret)) }

// NewSecret makes the secret of an API key from 256 random bits. Its prefix lets scanners for leaked
// secrets know it.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:]) // it never fails, as its documentation says
	return "rescind_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// APIKey is a key of an account, without its secret.
type APIKey struct {
	ID        ID
	Account   string
	Hash      SecretHash
	Scopes    []Scope
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
}

// Valid tells whether the key opens anything at the time now.
func (k *APIKey) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Allows tells whether the key has the scope.
func (k *APIKey) Allows(scope Scope) bool { return slices.Contains(k.Scopes, scope) }

// Invite is one candidate's invitation to one assessment.
type Invite struct {
	// ReportID names it within its account, from 1.
	ReportID       int64
	CandidateName  string
	CandidateEmail string
	AssessmentName string
	SentAt         time.Time
}
