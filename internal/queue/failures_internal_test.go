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
	pass := func(account string) (leftOut int, ok bool) {
		return f.pass(accountTaskKey{"turn-jobs:v1", account}, now)
	}
	told := func(account string, want int) {
		t.Helper()
		if leftOut, ok := pass(account); !ok || leftOut != want {
			t.Errorf("%s: told %t, with %d left out, want %d", account, ok, leftOut, want)
		}
	}
	told("acme", 0)
	for range 16 {
		if _, ok := pass("acme"); ok {
			t.Fatal("told again at once")
		}
	}
	told("globex", 0)
	now = now.Add(logInterval)
	told("acme", 16)
	now = now.Add(logInterval)
	told("acme", 0)

	for i := range 1000 {
		pass(fmt.Sprint("account-", i))
	}
	now = now.Add(2 * logInterval)
	told("acme", 0)
	if n := len(f.told); n != 1 {
		t.Errorf("%d accounts are remembered that have not failed since", n)
	}
}
