// Package secrets keeps secrets of accounts encrypted where they are stored, so that a copy of the database
// opens nothing.
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

// What went wrong with a sealed secret.
var (
	// ErrNoKey tells that there is no key to seal with, or that the secret was sealed with another than those
	// at hand.
	ErrNoKey = errors.New("secrets: no key fits: see SECRETS_KEY and SECRETS_KEY_OLD")
	// ErrDamaged tells that the secret is not as it was sealed, or was sealed in another context.
	ErrDamaged = errors.New("secrets: the sealed secret is damaged or belongs elsewhere")
)

// A sealed secret is a version, the id of the key, a nonce and the ciphertext with its tag.
const (
	version   = 1
	idSize    = 8
	headSize  = 1 + idSize
	nonceSize = 12
	tagSize   = 16
	keySize   = 32
)

// Box seals and opens secrets with AES-256-GCM. Any number of goroutines may use it at once.
type Box struct {
	current, old *key // nil: there is none
}

type key struct {
	// head begins what is sealed with the key.
	head [headSize]byte
	aead cipher.AEAD // draws its nonces
}

// New makes a Box from the values of SECRETS_KEY, which seals and opens, and SECRETS_KEY_OLD, which opens
// what was sealed before the key was changed. Either may be empty: a Box without keys opens nothing, and one
// with an old key alone is refused. The error tells the faults of both, and nothing of their values.
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
	// A few bytes of the hash of a random key tell nothing about it.
	sum := sha256.Sum256(raw)
	k.head[0] = version
	copy(k.head[1:], sum[:])
	return k, nil
}

// String keeps the keys out of what is printed.
func (b *Box) String() string { return "secrets.Box" }

// GoString is String, for %#v.
func (b *Box) GoString() string { return b.String() }

// Seal encrypts a secret. It opens in the same context only, which says whose it is, such as the account's
// id. Sealing the same again gives something else. The only error is ErrNoKey.
func (b *Box) Seal(plaintext []byte, context string) ([]byte, error) {
	if b.current == nil {
		return nil, ErrNoKey
	}
	sealed := make([]byte, headSize, headSize+nonceSize+len(plaintext)+tagSize)
	copy(sealed, b.current.head[:])
	return b.current.aead.Seal(sealed, nil, plaintext, b.current.bind(context)), nil //nolint:gosec // it draws the nonce itself
}

// Open decrypts what Seal gave for the context. The error is ErrNoKey or ErrDamaged.
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

// Stale tells whether sealed was sealed with the old key: to be opened and sealed again, until the old key
// can be forgotten.
func (b *Box) Stale(sealed []byte) bool { return b.old.sealed(sealed) && !b.current.sealed(sealed) }

// sealed tells whether the key, which may be nil, says that it has sealed this.
func (k *key) sealed(sealed []byte) bool { return k != nil && bytes.HasPrefix(sealed, k.head[:]) }

// bind is what a sealed secret is authenticated with. The head has one size, so no two pairs are the same.
func (k *key) bind(context string) []byte { return append(k.head[:], context...) }
