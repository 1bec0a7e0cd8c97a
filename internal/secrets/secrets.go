// Package secrets encrypts the accounts' secrets for storage, so that a copy of the database does not reveal them.
package secrets

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// The errors of Seal and Open.
var (
	// ErrNoKey means that the Box has no key: none to seal with, or not the one that the secret was sealed with.
	ErrNoKey = errors.New("secrets: no key fits: see SECRETS_KEY and SECRETS_KEY_OLD")
	// ErrDamaged means that the sealed secret was changed, or was sealed for another context.
	ErrDamaged = errors.New("secrets: the sealed secret is damaged or belongs elsewhere")
)

// A sealed secret consists of a version, the id of the key, a nonce, and the ciphertext with its tag.
const (
	version   = 1
	idSize    = 8
	headSize  = 1 + idSize
	nonceSize = 12
	tagSize   = 16
	keySize   = 32
)

// Box seals and opens secrets with AES-256-GCM. It is safe for concurrent use.
type Box struct {
	current, old *key // nil if not set
}

type key struct {
	// head is the prefix of every secret that is sealed with the key.
	head [headSize]byte
	aead cipher.AEAD // generates the nonces
}

// New returns a Box with the keys in SECRETS_KEY and SECRETS_KEY_OLD. The current key seals and opens; the old key only
// opens secrets that were sealed before the key was changed. If both are empty, the Box opens nothing. An old key without a
// current one is an error. The error lists the faults of both keys and contains no part of their values.
func New(current, old string) (*Box, error) {
	var b Box
	var faults []error
	for _, setting := range []struct {
		name, value string
		key         **key
	}{{"SECRETS_KEY", current, &b.current}, {"SECRETS_KEY_OLD", old, &b.old}} {
		if setting.value == "" {
			continue
		}
		k, err := newKey(setting.value)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", setting.name, err))
		}
		*setting.key = k
	}
	if current == "" && old != "" {
		faults = append(faults, errors.New("SECRETS_KEY: missing beside SECRETS_KEY_OLD"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return &b, nil
}

var errNotAKey = errors.New("not base64 of 32 bytes; make one with: openssl rand -base64 32")

func newKey(value string) (*key, error) {
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(raw) != keySize {
		return nil, errNotAKey
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	k := &key{aead: aead}
	// A few bytes of its hash do not reveal a random key.
	sum := sha256.Sum256(raw)
	k.head[0] = version
	copy(k.head[1:], sum[:])
	return k, nil
}

// String returns a constant text, so that printing a Box does not reveal its keys.
func (b *Box) String() string { return "secrets.Box" }

// GoString does the same for %#v.
func (b *Box) GoString() string { return b.String() }

// Seal encrypts a secret for a context that names its owner, such as the account's id. Open needs the same context. Sealing
// the same secret twice returns different bytes. The only error is ErrNoKey.
func (b *Box) Seal(plaintext []byte, context string) ([]byte, error) {
	if b.current == nil {
		return nil, ErrNoKey
	}
	sealed := make([]byte, headSize, headSize+nonceSize+len(plaintext)+tagSize)
	copy(sealed, b.current.head[:])
	return b.current.aead.Seal(sealed, nil, plaintext, b.current.bind(context)), nil //nolint:gosec // the AEAD generates the nonce
}

// Open decrypts a secret that Seal returned for the same context. The error is ErrNoKey or ErrDamaged.
func (b *Box) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < headSize+nonceSize+tagSize || sealed[0] != version {
		return nil, ErrDamaged
	}
	for _, k := range []*key{b.current, b.old} {
		if !k.sealed(sealed) {
			continue
		}
		plaintext, err := k.aead.Open(nil, nil, sealed[headSize:], k.bind(context))
		if err != nil {
			return nil, ErrDamaged
		}
		return plaintext, nil
	}
	return nil, ErrNoKey
}

// Stale reports whether the secret was sealed with the old key. The caller should open it and seal it again: when no secret
// is stale, the old key is no longer needed.
func (b *Box) Stale(sealed []byte) bool { return b.old.sealed(sealed) && !b.current.sealed(sealed) }

// sealed reports whether the secret's head names the key. The key may be nil.
func (k *key) sealed(sealed []byte) bool { return k != nil && bytes.HasPrefix(sealed, k.head[:]) }

// bind returns the additional data that authenticates a sealed secret. The head has a fixed size, so the data of different
// keys and contexts differs.
func (k *key) bind(context string) []byte { return append(k.head[:], context...) }
