package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/batch"
	"rescind/internal/revocation"
)

// lookupBatches combines requests for one revocation each, so that many callers that poll at once cost the database only a
// few transactions.
var lookupBatches = batch.Options{MaxSize: 256, MaxRunning: maxLookups, MaxWait: 20 * time.Millisecond}

type lookup struct {
	ctx     context.Context //nolint:containedctx // the request's context, for its trace
	account string
	id      revocation.ID
	// found is buffered, because a request whose context has ended does not receive from it.
	found chan lookedUp
}

type lookedUp struct {
	revocation revocation.Revocation
	err        error
}

var errNoRevocation = &revocation.Error{
	Code: revocation.CodeNotFound, Detail: "There is no such revocation in this account.",
}

// Revocation implements revocation.ReadStore.
func (s *Store) Revocation(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	l := &lookup{ctx: ctx, account: account, id: id, found: make(chan lookedUp, 1)}
	s.lookups.Add(l)
	select {
	case found := <-l.found:
		return found.revocation, found.err
	case <-ctx.Done():
		return revocation.Revocation{}, fault("read a revocation", ctx.Err())
	}
}

// lookUp sends an answer to each of lookups.
func (s *Store) lookUp(lookups []*lookup) {
	// The first request may end while the others wait. The transaction has its own time limit.
	answers, err := s.findRevocations(context.WithoutCancel(lookups[0].ctx), lookups)
	for i, l := range lookups {
		if err != nil {
			l.found <- lookedUp{err: err}
			continue
		}
		l.found <- answers[i]
	}
}

// selectRevocation reads revocations, then work items, then chunks, and stops when it has found the id: most are found in this
// order. It finds an item in a chunk by its job and its row, which are parts of its id. A row after the end of the job also
// leads to the last chunk, which has no prediction for it.
var selectRevocation = strings.ReplaceAll(`
	SELECT t.n, r.*
	FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[]) WITH ORDINALITY AS t(account_id, id, job_id, row, n)
	CROSS JOIN LATERAL (`+selectStored+` AND r.id = t.id
		UNION ALL `+selectUnderWay+` AND revocation_id = t.id OFFSET 0) AS r
		UNION ALL SELECT t.id`+selectInChunk+`
		FROM (`+jobsWithChunks+` AND id = t.job_id OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT report_ids[t.row - first_row + 1] AS report_id, notify[t.row - first_row + 1] AS notify,
				client_references[t.row - first_row + 1] AS client_reference, reasons[t.row - first_row + 1] AS reason,
				CASE WHEN t.row - first_row < length(predictions) THEN get_byte(predictions, t.row - first_row) END AS predicted
			FROM chunks WHERE account_id `+ofAccount+` AND job_id = j.id AND first_row <= t.row
			ORDER BY first_row DESC LIMIT 1) AS u
		WHERE u.report_id IS NOT NULL
		LIMIT 1) AS r`,
	ofAccount, "= t.account_id")

// findRevocations returns an answer for each of lookups, in their order.
func (s *Store) findRevocations(ctx context.Context, lookups []*lookup) ([]lookedUp, error) {
	answers := make([]lookedUp, len(lookups))
	accounts, ids := make([]string, len(lookups)), make([]uuid, len(lookups))
	jobs, rows := make([]uuid, len(lookups)), make([]int32, len(lookups))
	for i, l := range lookups {
		accounts[i], ids[i], answers[i].err = l.account, uuid(l.id), errNoRevocation
		if row := l.id.Row(); row <= revocation.MaxJobItems {
			jobs[i], rows[i] = uuid(revocation.JobID(l.id)), int32(row) //nolint:gosec // within the bounds
		}
	}
	statements := &pgx.Batch{}
	statements.Queue(selectRevocation, accounts, ids, jobs, rows).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n int
			r, err := scanRevocation("", rows, &n)
			if err != nil {
				return err
			}
			r.Account = accounts[n-1]
			answers[n-1] = lookedUp{revocation: r}
		}
		return rows.Err()
	})
	return answers, s.readOnly(ctx, "read revocations", statements)
}
