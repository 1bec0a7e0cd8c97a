package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// takenChunk is a chunk that this transaction has locked, with the facts on which the outcomes of its items depend.
type takenChunk struct {
	revocation.Chunk
	upstream      bool
	planChangedAt *time.Time
	spareStarted  bool
	// previewed reports whether the chunk has predictions. predictedPlan is the plan change that they used.
	previewed     bool
	predictedPlan *time.Time
}

// CarryOutChunk implements revocation.BulkStore.
func (s *Store) CarryOutChunk(ctx context.Context, account string) (revocation.Chunk, error) {
	return s.takeChunk(ctx, "carry out a chunk", account, false, func(batch *pgx.Batch, c *takenChunk) {
		switch {
		case c.previewed:
			queueConfirmedChunk(batch, c, c.upstream)
		case c.upstream:
			queueSpillChunk(batch, &c.Chunk)
		default:
			queueDecideChunk(batch, c)
		}
	})
}

// CancelChunk implements revocation.BulkStore.
func (s *Store) CancelChunk(ctx context.Context, account string) (revocation.Chunk, error) {
	return s.takeChunk(ctx, "cancel a chunk", account, true, func(batch *pgx.Batch, c *takenChunk) {
		queueCancelChunk(batch, c)
	})
}

// takeChunk locks a chunk of a job whose state is CANCELLING if cancelling is true, or QUEUED or RUNNING if it is false. It
// runs the statements that queue adds, and updates the job's counters in the same transaction.
func (s *Store) takeChunk(ctx context.Context, name, account string, cancelling bool, queue func(*pgx.Batch, *takenChunk)) (revocation.Chunk, error) {
	c := takenChunk{Chunk: revocation.Chunk{Account: account}}
	err := s.tx(ctx, name, func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		queueTakeChunk(batch, &c, cancelling)
		if err := tx.send(ctx, batch); err != nil || c.Job.IsZero() {
			return err
		}
		batch = &pgx.Batch{}
		queue(batch, &c)
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		var ended []revocation.ID
		queueCounts(batch, []revocation.JobCount{c.Done}, &ended)
		err := tx.commit(ctx, batch)
		c.Ended = len(ended) > 0
		return err
	})
	if c.Job.IsZero() {
		return revocation.Chunk{}, err
	}
	return c.Chunk, err
}

// queueTakeChunk locks the first chunk that no other transaction has locked, of the job that was served longest ago. It also
// finds out whether the account has other work, so that an account task with nothing but chunks needs no round trips for it.
func queueTakeChunk(batch *pgx.Batch, c *takenChunk, cancelling bool) {
	batch.Queue(`
		SELECT c.job_id, c.first_row, c.end_row, c.previewed, c.predicted_plan,
			a.plan_changed_at, a.spare_started, a.upstream_url IS NOT NULL,
			coalesce((SELECT 1 FROM jobs
					WHERE account_id = $1 AND state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND state = 'CANCELLING' LIMIT 1),
				(SELECT 1 FROM jobs WHERE account_id = $1 AND state = 'PREVIEWING' LIMIT 1),
				(SELECT 1 FROM work_items o WHERE o.account_id = $1 AND o.single
					AND o.next_check_at <= now() AND o.account_scheduled AND o.dispatch_count >= 0 LIMIT 1),
				(SELECT 1 FROM work_items o WHERE o.account_id = $1 AND NOT o.single
					AND o.next_check_at <= now() AND o.account_scheduled AND o.dispatch_count >= 0 LIMIT 1)) IS NOT NULL
		FROM (
			SELECT id FROM jobs
			WHERE account_id = $1 AND state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND (state = 'CANCELLING') = $2
			ORDER BY served_at NULLS FIRST, id OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT job_id, first_row, end_row, predictions IS NOT NULL AS previewed, predicted_plan
			FROM chunks c WHERE c.account_id = $1 AND c.job_id = j.id
			ORDER BY c.first_row LIMIT 1 FOR UPDATE SKIP LOCKED) AS c
		CROSS JOIN LATERAL (SELECT * FROM accounts WHERE account_id = $1 OFFSET 0) AS a
		LIMIT 1`, c.Account, cancelling).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan((*uuid)(&c.Job), &c.First, &c.Last, &c.previewed, &c.predictedPlan,
				&c.planChangedAt, &c.spareStarted, &c.upstream, &c.MoreWork); err != nil {
				return err
			}
			c.Done = revocation.JobCount{Account: c.Account, Job: c.Job}
		}
		return rows.Err()
	})
}

// itemsOf returns the parameters $1 to $4 of takenItems.
func itemsOf(c *revocation.Chunk) []any {
	ids := make([]uuid, c.Last-c.First+1)
	for i := range ids {
		ids[i] = uuid(c.Job.Item(c.First + i))
	}
	return []any{c.Account, uuid(c.Job), c.First, ids}
}

// takenItems and takenPredicted begin a statement that writes the items of a chunk; takenPredicted is for a chunk with
// predictions. They delete the chunk and return its items. They return nothing of a job that is being received. The ids are a
// parameter, because the program makes them faster. The concatenation copies the predictions to memory; otherwise each byte
// would be read from the table's storage for large values (TOAST).
var (
	takenItems     = takenColumns("", "", "")
	takenPredicted = takenColumns(`c.predictions || '' AS predictions, `, `get_byte(c.predictions, u.n::integer - 1) AS predicted, `, `, n`)
)

func takenColumns(ofChunk, ofItem, ordinality string) string {
	with := ""
	if ordinality != "" {
		with = "WITH ORDINALITY "
	}
	return `
	WITH chunk AS (
		DELETE FROM chunks c
		USING (SELECT notify AS by_default, requested_by FROM jobs
			WHERE account_id = $1 AND id = $2 AND state IN ('QUEUED', 'RUNNING', 'CANCELLING') OFFSET 0) AS j
		WHERE c.account_id = $1 AND c.job_id = $2 AND c.first_row = $3
		RETURNING ` + ofChunk + `c.report_ids, c.notify, c.client_references, c.reasons, j.by_default, j.requested_by
	), item AS MATERIALIZED (
		SELECT ` + ofItem + `u.id, u.report_id, coalesce(u.notify, c.by_default) AS notify, u.client_reference, u.reason, c.requested_by
		FROM chunk c
		CROSS JOIN LATERAL unnest($4::uuid[], c.report_ids, c.notify, c.client_references, c.reasons) ` + with + `
			AS u(id, report_id, notify, client_reference, reason` + ordinality + `)
		WHERE u.report_id IS NOT NULL
	)`
}

// queueDecideChunk applies the rule to a chunk. It is revocation.Rule in SQL, because sending a million rows to the program
// and back takes twice the time. The conformance suite of the stores checks that both lead to the same outcomes.
//
// The statement locks the invites in the order of their keys, as every transaction does. The update finds an invite by its
// ctid. If another transaction has changed the invite since it was read, the update does not find it, and the item gets a
// work item. Minor versions of PostgreSQL from before the end of 2025 follow the ctid to the new row, so the update checks the
// conditions again. Of several items with the same report, the first revokes the invite.
func queueDecideChunk(batch *pgx.Batch, c *takenChunk) {
	batch.Queue(takenItems+`, fact AS MATERIALIZED (
			SELECT item.*, i.place AS invite, i.revoked, i.spared, i.allowed,
				row_number() OVER (PARTITION BY item.report_id ORDER BY item.id) AS nth
			FROM item
			LEFT JOIN LATERAL (
				SELECT ctid AS place, revoked_at IS NOT NULL AS revoked, $7 AND state <> 'PENDING' AS spared,
					$5::timestamptz IS NULL OR sent_at >= $5 AS allowed
				FROM invites i WHERE i.account_id = $1 AND i.report_id = item.report_id OFFSET 0) AS i ON true
		), marked AS (
			UPDATE invites i SET revoked_at = now(), revoked_by = f.id
			FROM (
				SELECT invite, id FROM fact WHERE nth = 1 AND allowed AND NOT spared AND NOT revoked
				ORDER BY report_id OFFSET 0) AS f
			WHERE i.ctid = f.invite AND i.revoked_at IS NULL AND ($5::timestamptz IS NULL OR i.sent_at >= $5)
				AND NOT ($7 AND i.state <> 'PENDING')
			RETURNING i.report_id
		), outcome AS MATERIALIZED (
			SELECT id, report_id, notify, client_reference, reason, requested_by, CASE
				WHEN invite IS NULL THEN 'NOT_FOUND'
				WHEN revoked THEN 'ALREADY_REVOKED'
				WHEN spared THEN 'ALREADY_STARTED'
				WHEN NOT allowed THEN 'NOT_ALLOWED'
				WHEN report_id NOT IN (SELECT report_id FROM marked) THEN NULL
				WHEN nth = 1 THEN 'REVOKED'
				ELSE 'ALREADY_REVOKED' END AS status
			FROM fact
		), written AS (
			INSERT INTO revocations (account_id, id, report_id, notify, client_reference, reason, requested_by, job_id,
				status, attempts, timestamp, completed_at)
			SELECT $1, id, report_id, notify, client_reference, reason, requested_by, $2, coalesce(status, 'PENDING'),
				CASE WHEN status IS NULL THEN 0 ELSE 1 END, CASE status WHEN 'NOT_ALLOWED' THEN $6 END,
				CASE WHEN status IS NOT NULL THEN now() END
			FROM outcome
		), mailed AS (
			INSERT INTO notifications (account_id, revocation_id, report_id, job_id, next_check_at)
			SELECT $1, id, report_id, $2, now() FROM outcome WHERE status = 'REVOKED' AND notify
		), spilled AS (
			INSERT INTO work_items (account_id, revocation_id, report_id, job_id, single, account_scheduled, notify, next_check_at)
			SELECT $1, id, report_id, $2, false, true, notify, now() FROM outcome WHERE status IS NULL
		)
		SELECT coalesce(status, ''), count(*), count(*) FILTER (WHERE notify) FROM outcome GROUP BY status`,
		append(itemsOf(&c.Chunk), c.planChangedAt, timestampOf(c.planChangedAt), c.spareStarted)...,
	).Query(collectOutcomes(&c.Chunk))
}

// timestampOf returns the timestamp of an outcome NOT_ALLOWED.
func timestampOf(planChangedAt *time.Time) *string {
	if planChangedAt == nil {
		return nil
	}
	t := planChangedAt.UTC().Format(revocation.TimestampLayout)
	return &t
}

// collectOutcomes returns a callback that reads the number of items with each status, and how many of them request an email.
// Items without a status have got work items.
func collectOutcomes(c *revocation.Chunk) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var status revocation.Status
		var n, wished int
		_, err := pgx.ForEachRow(rows, []any{&status, &n, &wished}, func() error {
			switch status {
			case "":
				c.Spilled = n
			case revocation.StatusRevoked:
				c.Done.Mails = wished
				fallthrough
			default:
				*c.Done.Counts.Of(status) = n
			}
			return nil
		})
		return err
	}
}

func queueCancelChunk(batch *pgx.Batch, c *takenChunk) {
	items, predicted := takenItems, `NULL`
	if c.previewed {
		items, predicted = takenPredicted, `predicted::"char"`
	}
	batch.Queue(items+`, cancelled AS (
			INSERT INTO revocations (account_id, id, report_id, notify, client_reference, reason, requested_by, job_id,
				predicted, status, completed_at)
			SELECT $1, id, report_id, notify, client_reference, reason, requested_by, $2, `+predicted+`, 'CANCELLED', now() FROM item)
		SELECT count(*) FROM item`, itemsOf(&c.Chunk)...).QueryRow(func(row pgx.Row) error {
		return row.Scan(&c.Done.Counts.Cancelled)
	})
}
