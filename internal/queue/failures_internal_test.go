package queue

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

func TestFailures(t *testing.T) {
	f := newFailures(slog.New(slog.DiscardHandler))
	now := time.Unix(1_800_000_000, 0)
	allow := func(account string) (leftOut int, ok bool) {
		return f.allow(accountTaskKey{"account-jobs:v1", account}, now)
	}
	wantLogged := func(account string, want int) {
		t.Helper()
		if leftOut, ok := allow(account); !ok || leftOut != want {
			t.Errorf("%s: logged %t, with %d left out, want %d", account, ok, leftOut, want)
		}
	}
	wantLogged("acme", 0)
	for range 16 {
		if _, ok := allow("acme"); ok {
			t.Fatal("logged again at once")
		}
	}
	wantLogged("globex", 0)
	now = now.Add(logInterval)
	wantLogged("acme", 16)
	now = now.Add(logInterval)
	wantLogged("acme", 0)

	for i := range 1000 {
		allow(fmt.Sprint("account-", i))
	}
	now = now.Add(2 * logInterval)
	wantLogged("acme", 0)
	if n := len(f.last); n != 1 {
		t.Errorf("%d entries are left, want 1", n)
	}
}
