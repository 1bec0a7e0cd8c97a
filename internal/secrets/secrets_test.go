package secrets

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "canary-of-the-secret"

func newSetting() string {
	raw := make([]byte, keySize)
	rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

func newBox(t *testing.T, current, old string) *Box {
	t.Helper()
	b, err := New(current, old)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func seal(t *testing.T, b *Box, plaintext string) []byte {
	t.Helper()
	sealed, err := b.Seal([]byte(plaintext), "acme")
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func wantOpened(t *testing.T, b *Box, sealed []byte, context, want string) {
	t.Helper()
	got, err := b.Open(sealed, context)
	if err != nil || string(got) != want {
		t.Errorf("opened %q, %v, want %q", got, err, want)
	}
}

func wantClosed(t *testing.T, b *Box, sealed []byte, context string, want error) {
	t.Helper()
	got, err := b.Open(sealed, context)
	if !errors.Is(err, want) || got != nil {
		t.Errorf("opened %q, %v, want %v", got, err, want)
	}
}

func TestNew(t *testing.T) {
	good := newSetting()
	t.Run("accepts one key, two or none", func(t *testing.T) {
		for _, pair := range [][2]string{{good, ""}, {good, newSetting()}, {good, good}, {"", ""}} {
			newBox(t, pair[0], pair[1])
		}
	})
	for name, c := range map[string]struct {
		current, old string
		want         []string
	}{
		"what is not base64":      {"?" + good[1:], "", []string{"SECRETS_KEY: not base64 of 32 bytes"}},
		"too few bytes":           {base64.StdEncoding.EncodeToString(make([]byte, 31)), "", []string{"SECRETS_KEY: not base64 of 32 bytes"}},
		"too many bytes":          {base64.StdEncoding.EncodeToString(make([]byte, 33)), "", []string{"SECRETS_KEY: not base64 of 32 bytes"}},
		"a bad old key":           {good, "x" + good, []string{"SECRETS_KEY_OLD: not base64 of 32 bytes"}},
		"two bad keys":            {good[2:], good[1:], []string{"SECRETS_KEY: not", "SECRETS_KEY_OLD: not"}},
		"an old key alone":        {"", good, []string{"SECRETS_KEY: missing beside SECRETS_KEY_OLD"}},
		"a bad old key by itself": {"", good[1:], []string{"SECRETS_KEY: missing", "SECRETS_KEY_OLD: not"}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			b, err := New(c.current, c.old)
			if err == nil {
				t.Fatalf("New returned %v and no error", b)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
			if strings.Contains(err.Error(), good[3:]) {
				t.Errorf("the error contains a part of the key: %v", err)
			}
		})
	}
}

func TestBox_Seals(t *testing.T) {
	b := newBox(t, newSetting(), "")
	for _, plaintext := range []string{"", "a", secret, strings.Repeat("é", 5000)} {
		sealed := seal(t, b, plaintext)
		wantOpened(t, b, sealed, "acme", plaintext)
		if plaintext != "" && plaintext != "a" && bytes.Contains(sealed, []byte(plaintext)) {
			t.Error("the sealed bytes contain the secret")
		}
		if want := headSize + nonceSize + len(plaintext) + tagSize; len(sealed) != want || sealed[0] != version {
			t.Errorf("%d bytes of version %d, want %d of %d", len(sealed), sealed[0], want, version)
		}
		if bytes.Equal(sealed, seal(t, b, plaintext)) {
			t.Error("sealing twice returned the same bytes")
		}
	}
	t.Run("concurrently", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				context := fmt.Sprintf("account-%d", i)
				sealed, err := b.Seal([]byte(context), context)
				if err != nil {
					t.Error(err)
				}
				wantOpened(t, b, sealed, context, context)
			})
		}
		all.Wait()
	})
}

func TestBox_DoesNotOpen(t *testing.T) {
	setting := newSetting()
	b := newBox(t, setting, "")
	sealed := seal(t, b, secret)
	t.Run("in another context", func(t *testing.T) {
		for _, context := range []string{"", "acm", "acme2", "other", "acme\x00"} {
			wantClosed(t, b, sealed, context, ErrDamaged)
		}
	})
	t.Run("with any bit changed", func(t *testing.T) {
		for i := range sealed {
			for bit := range 8 {
				changed := slices.Clone(sealed)
				changed[i] ^= 1 << bit
				want := ErrDamaged
				if i > 0 && i < headSize {
					want = ErrNoKey // another key's id
				}
				wantClosed(t, b, changed, "acme", want)
			}
		}
	})
	t.Run("cut or extended", func(t *testing.T) {
		for n := range sealed {
			wantClosed(t, b, sealed[:n], "acme", ErrDamaged)
		}
		wantClosed(t, b, append(slices.Clone(sealed), 0), "acme", ErrDamaged)
		wantClosed(t, b, nil, "acme", ErrDamaged)
	})
	t.Run("under another key's id", func(t *testing.T) {
		other := newBox(t, setting, newSetting())
		forged := slices.Clone(sealed)
		copy(forged, other.old.head[:])
		wantClosed(t, other, forged, "acme", ErrDamaged)
	})
	t.Run("with another key", func(t *testing.T) {
		wantClosed(t, newBox(t, newSetting(), newSetting()), sealed, "acme", ErrNoKey)
	})
	t.Run("without a key", func(t *testing.T) {
		none := newBox(t, "", "")
		wantClosed(t, none, sealed, "acme", ErrNoKey)
		if sealed, err := none.Seal([]byte(secret), "acme"); !errors.Is(err, ErrNoKey) || sealed != nil {
			t.Errorf("sealed %q, %v", sealed, err)
		}
		if none.Stale(sealed) {
			t.Error("a secret is stale in a Box without a key")
		}
	})
}

func TestBox_Rotates(t *testing.T) {
	first, second := newSetting(), newSetting()
	before, during, after := newBox(t, first, ""), newBox(t, second, first), newBox(t, second, "")
	sealed := seal(t, before, secret)
	wantStale := func(b *Box, sealed []byte, want bool) {
		t.Helper()
		if got := b.Stale(sealed); got != want {
			t.Errorf("stale %v, want %v", got, want)
		}
	}
	wantStale(before, sealed, false)
	wantStale(during, sealed, true)
	wantStale(newBox(t, first, first), sealed, false)
	wantStale(during, nil, false)
	wantOpened(t, during, sealed, "acme", secret)

	again := seal(t, during, secret)
	wantStale(during, again, false)
	wantOpened(t, during, again, "acme", secret)
	wantOpened(t, after, again, "acme", secret)
	wantClosed(t, after, sealed, "acme", ErrNoKey)
	wantClosed(t, before, again, "acme", ErrNoKey)
}

func TestBox_HidesItsKeys(t *testing.T) {
	setting := newSetting()
	b := newBox(t, setting, newSetting())
	if got := fmt.Sprintf("%v %+v %#v %s", b, b, b, b); got != "secrets.Box secrets.Box secrets.Box secrets.Box" {
		t.Errorf("a Box prints as %s", got)
	}
}
