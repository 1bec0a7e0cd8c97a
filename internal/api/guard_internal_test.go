package api

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

// keyTable is a database's table of keys, with a count of its look-ups.
type keyTable struct {
	lookups atomic.Int32
	mu      sync.Mutex
	away    error
	slow    time.Duration
	keys    map[revocation.SecretHash]revocation.APIKey
}

func (k *keyTable) KeyByHash(ctx context.Context, hash revocation.SecretHash) (revocation.APIKey, error) {
	k.lookups.Add(1)
	select {
	case <-time.After(k.slow):
	case <-ctx.Done():
		return revocation.APIKey{}, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away != nil {
		return revocation.APIKey{}, k.away
	}
	key, ok := k.keys[hash]
	if !ok {
		return revocation.APIKey{}, &revocation.Error{Code: revocation.CodeNotFound}
	}
	return key, nil
}

func (k *keyTable) change(do func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	do()
}

func TestKeyring(t *testing.T) {
	const secret = "rescind_secret"
	hash := revocation.HashSecret(secret)
	bubble := func(name string, do func(t *testing.T, table *keyTable, ring *keyring, found func() bool)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := &keyTable{keys: map[revocation.SecretHash]revocation.APIKey{hash: {Account: "acme", Hash: hash}}}
				ring := newKeyring(table)
				do(t, table, ring, func() bool {
					key, err := ring.find(t.Context(), hash)
					if err != nil {
						t.Fatal(err)
					}
					return key != nil
				})
			})
		})
	}
	bubble("asks once for 3 s, and for all at once", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.slow = 10 * time.Millisecond
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() {
				if !found() {
					t.Error("not found")
				}
			})
		}
		asking.Wait()
		time.Sleep(2900 * time.Millisecond)
		found()
		if n := table.lookups.Load(); n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
	bubble("a revocation counts within 5 s, even if the look-up is slow", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.slow = 1900 * time.Millisecond
		found()
		table.change(func() {
			table.keys[hash] = revocation.APIKey{Account: "acme", Hash: hash, RevokedAt: time.Now()}
		})
		time.Sleep(3 * time.Second)
		if found() {
			t.Error("it still opens")
		}
	})
	bubble("an expiry counts at once", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.keys[hash] = revocation.APIKey{Account: "acme", Hash: hash, ExpiresAt: time.Now().Add(time.Second)}
		if !found() {
			t.Error("it does not open")
		}
		time.Sleep(time.Second)
		if found() {
			t.Error("it still opens")
		}
	})
	bubble("a deleted key is forgotten", func(t *testing.T, table *keyTable, ring *keyring, found func() bool) {
		found()
		table.change(func() { delete(table.keys, hash) })
		time.Sleep(4 * time.Second)
		if found() || len(ring.known) != 0 {
			t.Errorf("%d known", len(ring.known))
		}
	})
	bubble("unknown keys are not kept", func(t *testing.T, table *keyTable, ring *keyring, _ func() bool) {
		for i := range 3 {
			if key, err := ring.find(t.Context(), revocation.HashSecret(fmt.Sprint("guess", i/2))); key != nil || err != nil {
				t.Error(key, err)
			}
		}
		if len(ring.known) != 0 || table.lookups.Load() != 3 {
			t.Errorf("%d known, %d look-ups", len(ring.known), table.lookups.Load())
		}
	})
	bubble("a key that the database gave for another hash does not open", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.keys[hash] = revocation.APIKey{Account: "acme", Hash: revocation.HashSecret("another")}
		if found() {
			t.Error("it opens")
		}
	})
	bubble("while the database is away, fresh keys open and others cannot be told", func(t *testing.T, table *keyTable, ring *keyring, found func() bool) {
		found()
		table.change(func() { table.away = &revocation.Error{Code: revocation.CodeConnectionLost} })
		time.Sleep(2 * time.Second)
		if !found() {
			t.Error("it does not open")
		}
		time.Sleep(2 * time.Second)
		if _, err := ring.find(t.Context(), hash); revocation.ErrorCode(err) != revocation.CodeConnectionLost {
			t.Error(err)
		}
	})
	bubble("a look-up that hangs is given up", func(t *testing.T, table *keyTable, ring *keyring, _ func() bool) {
		table.slow = time.Hour
		if _, err := ring.find(t.Context(), hash); revocation.ErrorCode(err) != revocation.CodeUnavailable {
			t.Error(err)
		}
	})
	bubble("a caller that leaves does not break the others", func(t *testing.T, table *keyTable, ring *keyring, found func() bool) {
		table.slow = time.Second
		leaving, leave := context.WithCancel(t.Context())
		go func() { _, _ = ring.find(leaving, hash) }()
		synctest.Wait()
		leave()
		if !found() || table.lookups.Load() != 1 {
			t.Error("not found")
		}
	})
	bubble("it is bounded", func(t *testing.T, _ *keyTable, ring *keyring, found func() bool) {
		for i := range maxCachedKeys + 10 {
			ring.keep(revocation.HashSecret(fmt.Sprint(i)), knownKey{})
		}
		if len(ring.known) != maxCachedKeys || !found() {
			t.Errorf("%d known", len(ring.known))
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits[revocation.ID]("default", 10)
		take := func(key revocation.ID) (state string, limited *problem) {
			h := map[string][]string{}
			left, ok := l.take(key)
			if l.tell(h, left); !ok {
				limited = l.refuse(h, left)
			}
			return h["RateLimit"][0], limited
		}
		a, b := revocation.ID{1}, revocation.ID{2}
		var states []string
		for range 10 {
			state, limited := take(a)
			if limited != nil {
				t.Fatal("limited within its burst")
			}
			states = append(states, state)
		}
		want := []string{}
		for left := 9; left >= 0; left-- {
			want = append(want, fmt.Sprintf(`"default";r=%d;t=1`, left))
		}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Error(diff)
		}
		if state, limited := take(a); limited == nil || limited.retryAfter != 1 || state != `"default";r=0;t=1` {
			t.Errorf("%s %+v", state, limited)
		}
		if _, limited := take(b); limited != nil {
			t.Error("one key uses up another's")
		}
		time.Sleep(time.Second / 10)
		if _, limited := take(a); limited != nil {
			t.Error("nothing came back")
		}
		if _, limited := take(a); limited == nil {
			t.Error("too much came back")
		}
		l.giveBack(a)
		l.giveBack(revocation.ID{9}) // nothing was taken
		if _, limited := take(a); limited != nil {
			t.Error("nothing was given back")
		}
		if _, limited := take(a); limited == nil {
			t.Error("too much was given back")
		}
		time.Sleep(time.Minute)
		l.giveBack(b)
		if left, _ := l.take(b); left != 9 {
			t.Errorf("%f are left: more was given back than there can be", left)
		}
		time.Sleep(time.Second)
		_, _ = take(revocation.ID{3})
		if len(l.buckets) != 2 {
			t.Errorf("%d buckets: the idle one was not swept", len(l.buckets))
		}
		for i := range maxBuckets + 10 {
			l.take(revocation.ID{4, byte(i), byte(i >> 8), byte(i >> 16)})
		}
		if len(l.buckets) > maxBuckets {
			t.Errorf("%d buckets", len(l.buckets))
		}
	})
}

func TestGuesserAt(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":                 "192.0.2.7/32",
		"::ffff:192.0.2.7":          "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6":      "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff:ffff::1": "2001:db8:1:2::/64",
		"fe80::1%eth0":              "fe80::/64",
		"":                          netip.Prefix{}.String(),
		"@":                         netip.Prefix{}.String(),
	} {
		if got := guesserAt(address).String(); got != want {
			t.Errorf("%q: %s, want %s", address, got, want)
		}
	}
}
