package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

// A page that takes too long ends with an error.
func TestReadTimeout(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	s, err := Open(t.Context(), testservers.Postgres(t))
	must(t, err)
	defer s.Close() //nolint:errcheck // nothing was written
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_sleep(60)`)
	began := time.Now()
	err = s.readTx(context.WithoutCancel(t.Context()), "test", committing(batch))
	if revocation.ErrorCode(err) != revocation.CodeUnavailable || time.Since(began) < readTimeout || time.Since(began) > 30*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
