package postgres

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

const (
	// maxCrowd bounds how many revocations are looked up together.
	maxCrowd = 256
	// maxLookups is how many such crowds may be looked up at once.
	maxLookups = 4
	// lookupPatience is how long a crowd waits for the one before it. Larger crowds cost less a request, but one whose
	// connection has fallen silent must not hold up the others.
	lookupPatience = 20 * time.Millisecond
)

// lookups are the requests for one revocation each. Those that come while others are looked up go together, so that a
// crowd that polls costs the database a few statements, and not a transaction for each.
type lookups struct {
	mu       sync.Mutex
	waiting  []*lookup
	underWay int
}

type lookup struct {
	ctx     context.Context //nolint:containedctx // of the request: it waits, and its trace is followed
	account string
	id      revocation.ID
	// found is of capacity 1: nobody waits for a request that was given up.
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
	if s.lookups.add(l) {
		go s.lookUp()
	}
	late := time.NewTimer(lookupPatience)
	defer late.Stop()
	for {
		select {
		case found := <-l.found:
			return found.revocation, found.err
		case <-late.C:
			if s.lookups.late() {
				go s.lookUp()
			}
		case <-ctx.Done():
			return revocation.Revocation{}, fault("read a revocation", ctx.Err())
		}
	}
}

// add tells whether one more has to look up.
func (ls *lookups) add(l *lookup) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.waiting = append(ls.waiting, l)
	if ls.underWay > 0 {
		return false
	}
	ls.underWay++
	return true
}

// late tells whether whoever has waited for long has to look up.
func (ls *lookups) late() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.waiting) == 0 || ls.underWay == maxLookups {
		return false
	}
	ls.underWay++
	return true
}

// next gives a crowd, or none when whoever asks can go.
func (ls *lookups) next() []*lookup {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	n := min(len(ls.waiting), maxCrowd)
	crowd := ls.waiting[:n:n]
	ls.waiting = ls.waiting[n:]
	if n == 0 {
		ls.waiting = nil
		ls.underWay--
	}
	return crowd
}

// lookUp answers crowds until nobody waits.
func (s *Store) lookUp() {
	for crowd := s.lookups.next(); len(crowd) > 0; crowd = s.lookups.next() {
		// Whoever came first may leave, and the others still wait; the transaction has a time limit of its own.
		answers, err := s.findRevocations(context.WithoutCancel(crowd[0].ctx), crowd)
		for i, l := range crowd {
			if err != nil {
				l.found <- lookedUp{err: err}
				continue
			}
			l.found <- answers[i]
		}
	}
}

// selectRevocation looks in one place after the other, in the order in which most are found. It finds an item in a
// chunk by its job and its row, which the program tells of its id.
var selectRevocation = strings.ReplaceAll(`
	SELECT t.n, r.*
	FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[]) WITH ORDINALITY AS t(account_id, id, job_id, row, n)
	CROSS JOIN LATERAL (`+selectStored+` AND r.id = t.id
		UNION ALL `+selectUnderWay+` AND revocation_id = t.id OFFSET 0) AS r
		UNION ALL SELECT t.id`+selectInChunk+`
		FROM (`+jobsUnderWay+` AND id = t.job_id OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT report_ids[t.row - first_row + 1] AS report_id, notify[t.row - first_row + 1] AS notify,
				client_references[t.row - first_row + 1] AS client_reference
			FROM chunks WHERE account_id `+ofAccount+` AND job_id = j.id AND first_row <= t.row
			ORDER BY first_row DESC LIMIT 1) AS u
		WHERE u.report_id IS NOT NULL
		LIMIT 1) AS r`,
	ofAccount, "= t.account_id")

// findRevocations answers for each of a crowd, in its order.
func (s *Store) findRevocations(ctx context.Context, crowd []*lookup) ([]lookedUp, error) {
	answers := make([]lookedUp, len(crowd))
	accounts, ids := make([]string, len(crowd)), make([]uuid, len(crowd))
	jobs, rows := make([]uuid, len(crowd)), make([]int32, len(crowd))
	for i, l := range crowd {
		accounts[i], ids[i], answers[i].err = l.account, uuid(l.id), errNoRevocation
		if row := l.id.Row(); row <= revocation.MaxJobItems {
			jobs[i], rows[i] = uuid(revocation.JobID(l.id)), int32(row) //nolint:gosec // within the bounds
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(selectRevocation, accounts, ids, jobs, rows).Query(func(rows pgx.Rows) error {
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
	return answers, s.readOnly(ctx, "read revocations", batch)
}
