package api

import (
	"context"
	"crypto/subtle"
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

// knows tells whether the key was found lately. It may have been revoked since.
func (k *keyring) knows(hash revocation.SecretHash) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.known[hash]
	return ok
}

// find gives the key of the secret with the hash, or nil when it opens nothing now: unknown, revoked and expired
// keys look the same. An error means that this cannot be told.
//
// How long a look-up takes tells nothing of use: it depends on the hash, and whoever guesses secrets cannot choose
// their hashes.
func (k *keyring) find(ctx context.Context, hash revocation.SecretHash) (*revocation.APIKey, error) {
	now := time.Now()
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
