package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// TestStore_ConnectionsOfTheirOwn makes many more reads and changes of jobs wait for a lock than there are connections.
func TestStore_ConnectionsOfTheirOwn(t *testing.T) {
	w := newWorld(t, 1)
	key := revocation.APIKey{ID: uuidv7.New(), Account: "acme", Hash: revocation.HashSecret("secret"), Scopes: revocation.Scopes}
	w.must(w.store.AddKey(t.Context(), key))
	_, err := w.other.Exec(t.Context(), `
		INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(2, 40) n;
		BEGIN; LOCK TABLE jobs`)
	w.must(err)
	readersing, leave := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range 240 {
		readers.Go(func() {
			for readersing.Err() == nil {
				switch id := revocation.JobID(uuidv7.New()); i % 4 {
				case 0:
					_, _ = w.store.Revocations(readersing, revocation.Filter{Account: "acme", Limit: 10})
				case 1:
					_, _ = w.store.Results(readersing, revocation.ResultFilter{Account: "acme", Job: id, Limit: 10})
				case 2:
					_, _ = w.store.Job(readersing, "acme", id)
				default:
					_, _ = w.store.ChangeJob(readersing, "acme", id, revocation.JobChange{Kind: revocation.ChangeCancel, By: revocation.Actor{Type: revocation.ActorService}})
				}
			}
		})
	}
	for report := int64(2); report <= 40; report++ {
		// Behind them, it would take more than 10 s.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := w.store.Submit(ctx, []revocation.Submission{{ID: uuidv7.New(), Account: "acme", ReportID: report}})
		w.must(err)
		_, err = w.store.KeysByHash(ctx, []revocation.SecretHash{key.Hash})
		w.must(err)
		w.must(w.store.Ping(ctx))
		cancel()
	}
	leave()
	_, err = w.other.Exec(t.Context(), `ROLLBACK`)
	w.must(err)
	readers.Wait()
}
