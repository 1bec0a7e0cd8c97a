package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A process that is suspended in a transaction keeps its locks no longer than a transaction may take.
func TestTx_Silence(t *testing.T) {
	s := open(t, migrated(t))
	var limit time.Duration
	batch := &pgx.Batch{}
	batch.Queue(`SELECT current_setting('idle_in_transaction_session_timeout')::interval`).
		QueryRow(func(row pgx.Row) error { return row.Scan(&limit) })
	must(t, s.run(t.Context(), "test", batch))
	if limit <= txTimeout || limit > 2*txTimeout {
		t.Errorf("a session may be silent for %s in a transaction, which may take %s", limit, txTimeout)
	}
}
