package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"rescind/internal/revocation"
)

func TestFault(t *testing.T) {
	t.Run("nothing is no fault", func(t *testing.T) {
		if err := fault("test", nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("an error of the domain is passed through", func(t *testing.T) {
		want := notFound("It is not here.")
		if got := fault("test", want); got != want { //nolint:errorlint // the very same
			t.Errorf("got %v", got)
		}
	})
	for name, test := range map[string]struct {
		err  error
		want revocation.Code
	}{
		"a deadline":    {fmt.Errorf("query: %w", context.DeadlineExceeded), revocation.CodeUnavailable},
		"a cancel":      {context.Canceled, revocation.CodeUnavailable},
		"anything else": {errors.New("a bug"), revocation.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			err := fault("test", test.err)
			if got := revocation.ErrorCode(err); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStore_fullDisk(t *testing.T) {
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "rescind.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // not what is tested
	limit := func(pages int) {
		t.Helper()
		if _, err := store.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // as many as there are
	many := make([]revocation.Invite, 1000)
	for i := range many {
		many[i].ReportID = int64(i + 1)
	}
	if err := store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	if err := store.UpsertInvites(t.Context(), "acme", many); revocation.ErrorCode(err) != revocation.CodeUnavailable {
		t.Fatalf("got the error %v, want one of code %q", err, revocation.CodeUnavailable)
	}
	limit(1 << 20)
	if err := store.UpsertInvites(t.Context(), "acme", many); err != nil {
		t.Errorf("with space again: %v", err)
	}
}
