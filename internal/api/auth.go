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
	// keyFreshness is how old a cached key may be. The revocation of a key takes effect within 5 s, even if the look-up is
	// slow.
	keyFreshness = 3 * time.Second
	// keyLookup bounds a look-up and the wait for it. A look-up does not use a request's context, because several requests
	// may wait for it.
	keyLookup = 2 * time.Second
	// maxUnknown bounds how many keys that are not in the cache wait for a look-up. Each takes some 500 bytes.
	maxUnknown = 4096
	// maxCachedKeys bounds the cache. Each key takes some 300 bytes.
	maxCachedKeys = 10_000
	// maxSecret is the length of the longest secret that is hashed. Real secrets have 51 characters.
	maxSecret = 256
)

// lookupOptions let one statement look up the keys of all requests that wait, also if many of them are guesses. The next
// statement finds every key that exists, and the database runs at most two of them at once.
var lookupOptions = batch.Options{MaxSize: 1024, MaxRunning: 2, MaxWait: 100 * time.Millisecond}

// keyring caches the API keys that were used lately. It does not cache unknown keys, so guesses cannot fill it.
type keyring struct {
	keys    Keys
	calls   singleflight.Group
	batches *batch.Batcher[*lookup]
	unknown atomic.Int64 // keys that are not cached and wait for a look-up

	mu    sync.RWMutex
	known map[revocation.SecretHash]knownKey
}

type knownKey struct {
	key *revocation.APIKey
	// asOf is when the look-up began. The database may have changed since then.
	asOf time.Time
}

// lookup is one look-up of a key. key and err may be read once done is closed.
type lookup struct {
	hash revocation.SecretHash
	key  *revocation.APIKey
	err  error
	done chan struct{}
}

func newKeyring(keys Keys) *keyring {
	k := &keyring{keys: keys, known: make(map[revocation.SecretHash]knownKey)}
	k.batches = batch.New(lookupOptions, k.lookUpBatch)
	return k
}

// knows reports whether the key is cached. It may have been revoked since.
func (k *keyring) knows(hash revocation.SecretHash) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.known[hash]
	return ok
}

// find returns the valid key with the hash. It returns nil if the key is unknown, revoked or expired. It returns an error
// if the database did not answer.
//
// The time of a look-up does not help an attacker: it depends on the hash, and a guesser of secrets cannot choose their
// hashes.
func (k *keyring) find(hash revocation.SecretHash) (*revocation.APIKey, error) {
	now := time.Now()
	k.mu.RLock()
	entry, ok := k.known[hash]
	k.mu.RUnlock()
	if !ok || now.Sub(entry.asOf) > keyFreshness {
		key, err := k.lookUp(hash)
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

// lookUp returns the key from the database, or nil if it is unknown. Concurrent calls for one hash share a look-up.
func (k *keyring) lookUp(hash revocation.SecretHash) (*revocation.APIKey, error) {
	found, err, _ := k.calls.Do(string(hash[:]), func() (any, error) {
		if !k.knows(hash) {
			defer k.unknown.Add(-1)
			if k.unknown.Add(1) > maxUnknown {
				return nil, &revocation.Error{Code: revocation.CodeUnavailable, Detail: "Too many unknown keys wait for a look-up."}
			}
		}
		l := &lookup{hash: hash, done: make(chan struct{})}
		k.batches.Add(l)
		timeout := time.NewTimer(keyLookup)
		defer timeout.Stop()
		select {
		case <-l.done:
			return l.key, l.err
		case <-timeout.C:
			return nil, &revocation.Error{Code: revocation.CodeUnavailable, Detail: "A key could not be looked up in time."}
		}
	})
	if err != nil {
		return nil, err
	}
	return found.(*revocation.APIKey), nil
}

// lookUpBatch answers a batch of look-ups with one statement.
func (k *keyring) lookUpBatch(batch []*lookup) {
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
		delete(k.known, other) // any of them: the next request with that key adds it again
	}
	k.known[hash] = entry
}

func (k *keyring) forget(hash revocation.SecretHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, hash)
}
