package api

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"rescind/internal/revocation"
)

// Keys finds API keys.
type Keys interface {
	// KeyByHash gives the key, revoked and expired ones too; CodeNotFound when there is none.
	KeyByHash(ctx context.Context, hash revocation.SecretHash) (revocation.APIKey, error)
}

const (
	// keyFreshness is how old a cached key may be: a revocation counts within 5 s, a slow lookup included.
	keyFreshness = 3 * time.Second
	// keyLookup bounds a lookup. It has no caller's context, since several callers may wait for it.
	keyLookup = 2 * time.Second
	// maxCachedKeys bounds the cache; some 300 bytes each.
	maxCachedKeys = 10_000
	// maxSecret bounds what is worth hashing; our secrets have 51 characters.
	maxSecret = 256
)

// keyring knows the API keys that were used lately. Unknown ones are not kept, so that nobody can fill it.
type keyring struct {
	keys    Keys
	lookups singleflight.Group

	mu    sync.RWMutex
	known map[revocation.SecretHash]knownKey
}

type knownKey struct {
	key *revocation.APIKey
	// asOf is when the lookup began: the database may have changed ever since.
	asOf time.Time
}

func newKeyring(keys Keys) *keyring {
	return &keyring{keys: keys, known: make(map[revocation.SecretHash]knownKey)}
}

// find gives the key of the secret, or nil when it opens nothing now: unknown, revoked and expired keys look
// the same. An error means that this cannot be told.
func (k *keyring) find(ctx context.Context, secret string) (*revocation.APIKey, error) {
	if secret == "" || len(secret) > maxSecret {
		return nil, nil
	}
	now := time.Now()
	hash := revocation.HashSecret(secret)
	k.mu.RLock()
	entry, ok := k.known[hash]
	k.mu.RUnlock()
	if !ok || now.Sub(entry.asOf) > keyFreshness {
		key, err := k.look(ctx, hash)
		if err != nil || key == nil {
			return nil, err
		}
		entry.key = key
	}
	if subtle.ConstantTimeCompare(entry.key.Hash[:], hash[:]) != 1 || !entry.key.Valid(now) {
		return nil, nil
	}
	return entry.key, nil
}

// look asks the database, once for all who ask at the moment. It gives nil for an unknown key.
func (k *keyring) look(ctx context.Context, hash revocation.SecretHash) (*revocation.APIKey, error) {
	found, err, _ := k.lookups.Do(string(hash[:]), func() (any, error) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyLookup)
		defer cancel()
		asOf := time.Now()
		key, err := k.keys.KeyByHash(bounded, hash)
		switch {
		case err == nil:
			k.keep(hash, knownKey{key: &key, asOf: asOf})
			return &key, nil
		case revocation.ErrorCode(err) == revocation.CodeNotFound:
			k.forget(hash)
			return (*revocation.APIKey)(nil), nil
		case bounded.Err() != nil:
			return nil, &revocation.Error{Code: revocation.CodeUnavailable, Err: err}
		default:
			return nil, err
		}
	})
	if err != nil {
		return nil, err
	}
	return found.(*revocation.APIKey), nil
}

func (k *keyring) keep(hash revocation.SecretHash, entry knownKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for other := range k.known {
		if len(k.known) < maxCachedKeys {
			break
		}
		delete(k.known, other) // whichever comes first: a key in use is back with its next request
	}
	k.known[hash] = entry
}

func (k *keyring) forget(hash revocation.SecretHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, hash)
}

// secretOf takes the API key from the header apiKey, or else from Authorization. A key in the query string
// would end up in logs, and is not looked for.
func secretOf(h http.Header) string {
	switch sent := h["Apikey"]; len(sent) {
	case 0:
	case 1:
		return sent[0]
	default:
		return ""
	}
	sent := h["Authorization"]
	if len(sent) != 1 {
		return ""
	}
	scheme, secret, _ := strings.Cut(sent[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// admit lets a request in whose key is valid, has the scope and is within its limit. It notes the key.
func (a *API) admit(x *exchange, scope revocation.Scope) error {
	r := x.Request()
	key, err := a.keyring.find(r.Context(), secretOf(r.Header))
	if err != nil {
		return err
	}
	if key == nil {
		x.Response().Header().Set("WWW-Authenticate", `ApiKey realm="rescind", Bearer realm="rescind"`)
		return newProblem(codeUnauthorized)
	}
	x.key = key
	if !key.Allows(scope) {
		return newProblem(codeMissingScope).says("This needs an API key with the scope " + string(scope) + ".")
	}
	return a.limits.take(x.Response().Header(), key.ID)
}
