package api

import (
	"context"
	"crypto/subtle"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"rescind/internal/batch"
	"rescind/internal/revocation"
)

// Keys finds API keys.
type Keys interface {
	// KeysByHash returns the keys that have one of the hashes, revoked and expired ones too, in any order.
	KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error)
}

const (
	// keyFreshness is how old a cached key may be: a revocation counts within 5 s, a slow lookup included.
	keyFreshness = 3 * time.Second
	// keyLookup bounds a look-up and the wait for it. It has no caller's context, since several callers may wait for it.
	keyLookup = 2 * time.Second
	// maxUnknown bounds how many keys that are not known here wait for a look-up; some 500 bytes each.
	maxUnknown = 4096
	// maxCachedKeys bounds the cache; some 300 bytes each.
	maxCachedKeys = 10_000
	// maxSecret bounds what is worth hashing; our secrets have 51 characters.
	maxSecret = 256
)

// lookups has one statement look up the keys of all requests that wait, however many of them are guesses: a key that
// exists is always found with the next statement, and the database has two of them to answer at most.
var lookups = batch.Options{MaxSize: 1024, MaxRunning: 2, MaxWait: 100 * time.Millisecond}

// keyring knows the API keys that were used lately. Unknown ones are not kept, so that nobody can fill it.
type keyring struct {
	keys    Keys
	calls   singleflight.Group
	batches *batch.Batcher[*lookup]
	unknown atomic.Int64 // that wait for a look-up

	mu    sync.RWMutex
	known map[revocation.SecretHash]knownKey
}

type knownKey struct {
	key *revocation.APIKey
	// asOf is when the lookup began: the database may have changed ever since.
	asOf time.Time
}

// lookup is a key that is looked up. key and err may be read once done is closed.
type lookup struct {
	hash revocation.SecretHash
	key  *revocation.APIKey
	err  error
	done chan struct{}
}

func newKeyring(keys Keys) *keyring {
	k := &keyring{keys: keys, known: make(map[revocation.SecretHash]knownKey)}
	k.batches = batch.New(lookups, k.lookUp)
	return k
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
func (k *keyring) find(hash revocation.SecretHash) (*revocation.APIKey, error) {
	now := time.Now()
	k.mu.RLock()
	entry, ok := k.known[hash]
	k.mu.RUnlock()
	if !ok || now.Sub(entry.asOf) > keyFreshness {
		key, err := k.look(hash)
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

// look asks the database, once for all who ask at the moment. It returns nil for an unknown key.
func (k *keyring) look(hash revocation.SecretHash) (*revocation.APIKey, error) {
	found, err, _ := k.calls.Do(string(hash[:]), func() (any, error) {
		if !k.knows(hash) {
			defer k.unknown.Add(-1)
			if k.unknown.Add(1) > maxUnknown {
				return nil, &revocation.Error{Code: revocation.CodeUnavailable, Detail: "Too many unknown keys wait for a look-up."}
			}
		}
		l := &lookup{hash: hash, done: make(chan struct{})}
		k.batches.Add(l)
		late := time.NewTimer(keyLookup)
		defer late.Stop()
		select {
		case <-l.done:
			return l.key, l.err
		case <-late.C:
			return nil, &revocation.Error{Code: revocation.CodeUnavailable, Detail: "A key could not be looked up in time."}
		}
	})
	if err != nil {
		return nil, err
	}
	return found.(*revocation.APIKey), nil
}

// lookUp answers a batch of look-ups by one statement.
func (k *keyring) lookUp(batch []*lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), keyLookup)
	defer cancel()
	hashes := make([]revocation.SecretHash, len(batch))
	for i, l := range batch {
		hashes[i] = l.hash
	}
	asOf := time.Now()
	keys, err := k.keys.KeysByHash(ctx, hashes)
	if err != nil && ctx.Err() != nil {
		err = &revocation.Error{Code: revocation.CodeUnavailable, Err: err}
	}
	found := make(map[revocation.SecretHash]*revocation.APIKey, len(keys))
	for i := range keys {
		found[keys[i].Hash] = &keys[i]
	}
	for _, l := range batch {
		l.key, l.err = found[l.hash], err
		switch {
		case err != nil:
		case l.key != nil:
			k.keep(l.hash, knownKey{key: l.key, asOf: asOf})
		default:
			k.forget(l.hash)
		}
		close(l.done)
	}
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
