package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

func TestTx_Prepare(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	url := migrated(t)
	s, other := open(t, url), connect(t, url)
	insert := func() error {
		batch := &pgx.Batch{}
		batch.Queue(`INSERT INTO accounts (account_id) VALUES ($1) ON CONFLICT DO NOTHING`, "acme")
		return s.run(t.Context(), "test", batch)
	}
	locked := func(what string) {
		t.Helper()
		tx, err := other.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), `LOCK TABLE accounts`)
		must(t, err)
		if err := insert(); revocation.ErrorCode(err) != revocation.CodeLockTimeout {
			t.Errorf("%s: %v", what, err)
		}
		must(t, tx.Rollback(t.Context()))
		must(t, insert())
	}
	locked("a statement that is not prepared yet")
	locked("one that is")
}

// A parameter that cannot be encoded is a bug. Nothing of its transaction was written, and the error is not CodeOutcomeUnknown.
func TestTx_Misfit(t *testing.T) {
	url := migrated(t)
	s := open(t, url)
	for _, known := range []bool{false, true} { // on a connection that has prepared the statement before
		batch := &pgx.Batch{}
		batch.Queue(`INSERT INTO accounts (account_id) VALUES ($1)`, "first")
		batch.Queue(`INSERT INTO accounts (account_id) SELECT 'second' WHERE $1::bigint > 0`, struct{ Email string }{"ada@example.com"})
		err := s.run(t.Context(), "test", batch)
		if revocation.ErrorCode(err) != revocation.CodeInternal || err.Error() != "internal: test: a parameter of a statement does not fit its type" {
			t.Errorf("known %v: error %v", known, err)
		}
		var accounts int
		must(t, connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM accounts`).Scan(&accounts))
		if accounts != 0 {
			t.Errorf("known %v: %d accounts are written", known, accounts)
		}
	}
	good := &pgx.Batch{}
	good.Queue(`INSERT INTO accounts (account_id) VALUES ($1)`, "first")
	must(t, s.run(t.Context(), "test", good))
}
