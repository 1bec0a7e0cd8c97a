package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// takenChunk is a chunk that this transaction holds, with what its items' outcome depends on.
type takenChunk struct {
	revocation.Chunk
	cancelled     bool
	upstream      bool
	notify        bool
	planChangedAt *time.Time
}

// CarryOutChunk implements revocation.BulkStore.
func (s *Store) CarryOutChunk(ctx context.Context, account string, cancelled bool) (revocation.Chunk, error) {
	c := takenChunk{Chunk: revocation.Chunk{Account: account}, cancelled: cancelled}
	err := s.tx(ctx, "carry out a chunk", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		queueTakeChunk(batch, &c)
		if err := tx.send(ctx, batch); err != nil || c.Job.IsZero() {
			return err
		}
		batch = &pgx.Batch{}
		switch {
		case c.cancelled:
			queueCancelChunk(batch, &c)
		case c.upstream:
			queueSpillChunk(batch, c.Chunk).Exec(func(tag pgconn.CommandTag) error {
				c.Spilled = int(tag.RowsAffected())
				return nil
			})
		default:
			queueDecideChunk(batch, &c)
		}
		batch.Queue(`DELETE FROM chunks WHERE account_id = $1 AND job_id = $2 AND first_row = $3`,
			account, uuid(c.Job), c.First)
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

// queueTakeChunk locks the first chunk that nobody else holds, of the job that was served longest ago.
func queueTakeChunk(batch *pgx.Batch, c *takenChunk) {
	batch.Queue(`
		SELECT c.job_id, c.first_row, c.last_row, j.notify, a.plan_changed_at, a.upstream_url IS NOT NULL
		FROM (
			SELECT id, notify FROM jobs
			WHERE account_id = $1 AND state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND (state = 'CANCELLING') = $2
			ORDER BY served_at NULLS FIRST, id OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT * FROM chunks c WHERE c.account_id = $1 AND c.job_id = j.id
			ORDER BY c.first_row LIMIT 1 FOR UPDATE SKIP LOCKED) AS c
		CROSS JOIN LATERAL (SELECT * FROM accounts WHERE account_id = $1 OFFSET 0) AS a
		LIMIT 1`, c.Account, c.cancelled).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan((*uuid)(&c.Job), &c.First, &c.Last, &c.notify, &c.planChangedAt, &c.upstream); err != nil {
				return err
			}
			c.Done = revocation.JobCount{Account: c.Account, Job: c.Job}
		}
		return rows.Err()
	})
}

// queueDecideChunk applies the rule to a chunk. It is revocation.Rule once more, in SQL, because a million rows
// that travel to the program and back cost twice the time; the stores' conformance suite holds both to the same
// outcomes.
//
// The invites are taken in the order of their keys, as every transaction does. An invite is named by its place
// and not looked up again: if somebody else has changed it since, it is not there any more, and the item goes on
// by itself. Of items with the same report, the first comes first.
func queueDecideChunk(batch *pgx.Batch, c *takenChunk) {
	var timestamp *string
	if c.planChangedAt != nil {
		t := c.planChangedAt.UTC().Format(revocation.TimestampLayout)
		timestamp = &t
	}
	batch.Queue(`
		WITH item AS MATERIALIZED (
			SELECT ctid AS place, id, report_id, coalesce(notify, $5) AS notify FROM revocations
			WHERE account_id = $1 AND id BETWEEN $3 AND $4 AND status = 'PENDING'
		), fact AS MATERIALIZED (
			SELECT item.*, i.place AS invite, i.revoked, i.allowed,
				row_number() OVER (PARTITION BY item.report_id ORDER BY item.id) AS nth
			FROM item
			LEFT JOIN LATERAL (
				SELECT ctid AS place, revoked_at IS NOT NULL AS revoked,
					$6::timestamptz IS NULL OR sent_at >= $6 AS allowed
				FROM invites i WHERE i.account_id = $1 AND i.report_id = item.report_id OFFSET 0) AS i ON true
		), taken AS (
			UPDATE invites i SET revoked_at = now(), revoked_by = f.id
			FROM (
				SELECT invite, id FROM fact WHERE nth = 1 AND allowed AND NOT revoked ORDER BY report_id OFFSET 0) AS f
			WHERE i.ctid = f.invite
			RETURNING i.report_id
		), outcome AS MATERIALIZED (
			SELECT place, id, report_id, notify, CASE
				WHEN invite IS NULL THEN 'NOT_FOUND'
				WHEN revoked THEN 'ALREADY_REVOKED'
				WHEN NOT allowed THEN 'NOT_ALLOWED'
				WHEN report_id NOT IN (SELECT report_id FROM taken) THEN NULL
				WHEN nth = 1 THEN 'REVOKED'
				ELSE 'ALREADY_REVOKED' END AS status
			FROM fact
		), written AS (
			UPDATE revocations r SET status = o.status, attempts = 1, notify = o.notify, completed_at = now(),
				timestamp = CASE o.status WHEN 'NOT_ALLOWED' THEN $7 END
			FROM outcome o WHERE r.ctid = o.place AND o.status IS NOT NULL
		), mailed AS (
			INSERT INTO notifications (account_id, revocation_id, report_id, job_id, look_at)
			SELECT $1, id, report_id, $2, now() FROM outcome WHERE status = 'REVOKED' AND notify
		), spilled AS (
			INSERT INTO outstanding (account_id, revocation_id, report_id, job_id, single, pulled, notify, look_at)
			SELECT $1, id, report_id, $2, false, true, notify, now() FROM outcome WHERE status IS NULL
		)
		SELECT coalesce(status, ''), count(*), count(*) FILTER (WHERE notify) FROM outcome GROUP BY status`,
		c.Account, uuid(c.Job), uuid(c.Job.Item(c.First)), uuid(c.Job.Item(c.Last)), c.notify, c.planChangedAt, timestamp,
	).Query(func(rows pgx.Rows) error {
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
	})
}

func queueCancelChunk(batch *pgx.Batch, c *takenChunk) {
	batch.Queue(`
		WITH cancelled AS (
			UPDATE revocations SET status = 'CANCELLED', notify = coalesce(notify, $4), completed_at = now()
			WHERE account_id = $1 AND id BETWEEN $2 AND $3 AND status = 'PENDING'
			RETURNING 1)
		SELECT count(*) FROM cancelled`,
		c.Account, uuid(c.Job.Item(c.First)), uuid(c.Job.Item(c.Last)), c.notify).QueryRow(func(row pgx.Row) error {
		return row.Scan(&c.Done.Counts.Cancelled)
	})
}

// SpillChunk implements revocation.BulkStore.
func (s *Store) SpillChunk(ctx context.Context, c revocation.Chunk) error {
	return s.tx(ctx, "spill a chunk", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		spilled := 0
		queueSpillChunk(batch, c).Exec(func(tag pgconn.CommandTag) error {
			spilled = int(tag.RowsAffected())
			return nil
		})
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		if spilled > 0 {
			// It counts nothing yet, but the job has been taken up, and others come before its next chunk.
			queueCounts(batch, []revocation.JobCount{{Account: c.Account, Job: c.Job}}, new([]revocation.ID))
		}
		return tx.commit(ctx, batch)
	})
}

func queueSpillChunk(batch *pgx.Batch, c revocation.Chunk) *pgx.QueuedQuery {
	return batch.Queue(`
		WITH taken AS (
			DELETE FROM chunks WHERE account_id = $1 AND job_id = $2 AND first_row = $3 RETURNING last_row)
		INSERT INTO outstanding (account_id, revocation_id, report_id, job_id, single, pulled, notify, look_at)
		SELECT $1, r.id, r.report_id, $2, false, true, coalesce(r.notify, j.notify), now()
		FROM taken
		CROSS JOIN LATERAL (SELECT notify FROM jobs WHERE account_id = $1 AND id = $2 OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT id, report_id, notify FROM revocations
			WHERE account_id = $1 AND id BETWEEN $4 AND $5 AND status = 'PENDING' OFFSET 0) AS r
		ON CONFLICT DO NOTHING`,
		c.Account, uuid(c.Job), c.First, uuid(c.Job.Item(c.First)), uuid(c.Job.Item(c.Last)))
}

// ClaimItems implements revocation.BulkStore. Single submissions come first: an account has such ones from the
// time when it was on an upstream.
func (s *Store) ClaimItems(ctx context.Context, account string, cancelled bool, limit int, graces []time.Duration) ([]revocation.Due, error) {
	var due []revocation.Due
	collect := func(rows pgx.Rows) error {
		d := revocation.Due{Ref: revocation.Ref{Account: account}}
		_, err := pgx.ForEachRow(rows, []any{(*uuid)(&d.ID), &d.Attempt, &d.Epoch}, func() error {
			due = append(due, d)
			return nil
		})
		return err
	}
	const claim = `
		UPDATE outstanding o SET epoch = o.epoch + 1, claimed = true, look_at = now() +
			make_interval(secs => ($3::float8[])[least(o.epoch + 2, cardinality($3::float8[]))])
		FROM due WHERE o.ctid = due.place
		RETURNING o.revocation_id, o.attempt, o.epoch`
	err := s.tx(ctx, "claim items", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		if cancelled {
			batch.Queue(`
				WITH due AS (
					SELECT o.place
					FROM (
						SELECT id FROM jobs WHERE account_id = $1
							AND state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND state = 'CANCELLING' OFFSET 0) AS j
					CROSS JOIN LATERAL (
						SELECT ctid AS place FROM outstanding
						WHERE account_id = $1 AND revocation_id BETWEEN j.id AND `+lastItem+` AND NOT claimed AND NOT in_doubt
						ORDER BY revocation_id LIMIT $2 FOR UPDATE SKIP LOCKED) AS o
					LIMIT $2)`+claim, account, limit, seconds(graces)).Query(collect)
			return tx.commit(ctx, batch)
		}
		const dueOf = `
			WITH due AS (
				SELECT ctid AS place FROM outstanding
				WHERE account_id = $1 AND single = $4 AND look_at <= now() AND pulled AND epoch >= 0
				ORDER BY look_at LIMIT $2 FOR UPDATE SKIP LOCKED)` + claim
		batch.Queue(dueOf, account, limit, seconds(graces), true).Query(collect)
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		if rest := limit - len(due); rest > 0 {
			batch.Queue(dueOf, account, rest, seconds(graces), false).Query(collect)
		}
		return tx.commit(ctx, batch)
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// lastItem is the last id that an item of job j can have.
const lastItem = `overlay(j.id::text PLACING '7fffffff' FROM 29)::uuid`

// Work implements revocation.DispatchStore.
func (s *Store) Work(ctx context.Context) (work []revocation.Work, err error) {
	collect := func(turn revocation.Turn) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			w := revocation.Work{Turn: turn}
			_, err := pgx.ForEachRow(rows, []any{&w.Account}, func() error {
				work = append(work, w)
				return nil
			})
			return err
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT DISTINCT j.account_id FROM jobs j
		CROSS JOIN LATERAL (SELECT * FROM accounts a WHERE a.account_id = j.account_id OFFSET 0) AS a
		WHERE j.state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND a.upstream_url IS NULL AND (` + chunkLeft + `
			OR (SELECT 1 FROM outstanding o WHERE o.account_id = j.account_id AND NOT o.single
				AND o.look_at <= now() AND o.pulled AND o.epoch >= 0 LIMIT 1) = 1
			OR ` + cancelledLeft + `)`).Query(collect(revocation.TurnJobs))
	batch.Queue(`
		SELECT a.account_id FROM accounts a
		WHERE a.upstream_url IS NOT NULL AND (
			(a.upstream_held_until IS NULL OR a.upstream_held_until <= now()) AND (
				(SELECT 1 FROM outstanding o WHERE o.account_id = a.account_id AND o.single
					AND o.look_at <= now() AND o.pulled AND o.epoch >= 0 LIMIT 1) = 1
				OR (SELECT 1 FROM outstanding o WHERE o.account_id = a.account_id AND NOT o.single
					AND o.look_at <= now() AND o.pulled AND o.epoch >= 0 LIMIT 1) = 1
				OR (SELECT 1 FROM jobs j WHERE j.account_id = a.account_id
					AND j.state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND ` + chunkLeft + ` LIMIT 1) = 1)
			OR (SELECT 1 FROM jobs j WHERE j.account_id = a.account_id AND j.state IN ('QUEUED', 'RUNNING', 'CANCELLING')
				AND (` + cancelledLeft + ` OR j.state = 'CANCELLING' AND ` + chunkLeft + `) LIMIT 1) = 1)`).
		Query(collect(revocation.TurnUpstream))
	// What was diverted for an upstream that the account has no more.
	batch.Queue(`
		WITH RECURSIVE a AS (
			(SELECT o.account_id FROM outstanding o WHERE o.pulled AND o.epoch >= 0
				ORDER BY o.account_id, o.single, o.look_at LIMIT 1)
			UNION ALL
			SELECT (SELECT o.account_id FROM outstanding o WHERE o.pulled AND o.epoch >= 0 AND o.account_id > a.account_id
				ORDER BY o.account_id, o.single, o.look_at LIMIT 1)
			FROM a WHERE a.account_id IS NOT NULL)
		SELECT a.account_id FROM a
		WHERE (SELECT 1 FROM accounts WHERE account_id = a.account_id AND upstream_url IS NULL) = 1
			AND (SELECT 1 FROM outstanding o WHERE o.account_id = a.account_id AND o.single
				AND o.look_at <= now() AND o.pulled AND o.epoch >= 0 LIMIT 1) = 1`).Query(collect(revocation.TurnJobs))
	batch.Queue(`
		WITH RECURSIVE a AS (
			(SELECT n.account_id FROM notifications n WHERE ` + pulledMail + ` ORDER BY n.account_id, n.look_at LIMIT 1)
			UNION ALL
			SELECT (SELECT n.account_id FROM notifications n WHERE ` + pulledMail + ` AND n.account_id > a.account_id
				ORDER BY n.account_id, n.look_at LIMIT 1)
			FROM a WHERE a.account_id IS NOT NULL)
		SELECT a.account_id FROM a
		WHERE (SELECT 1 FROM notifications n
			WHERE n.account_id = a.account_id AND n.look_at <= now() AND ` + pulledMail + ` LIMIT 1) = 1`).
		Query(collect(revocation.TurnMails))
	return work, s.readOnly(ctx, "look for work", batch)
}

// Each of these sub-selects ends at the first row that it finds. EXISTS could be turned into reading all rows.
const (
	// chunkLeft tells that job j has a chunk that was not carried out.
	chunkLeft = `(SELECT 1 FROM chunks c WHERE c.account_id = j.account_id AND c.job_id = j.id LIMIT 1) = 1`
	// cancelledLeft tells that job j is being cancelled and has items that wait.
	cancelledLeft = `j.state = 'CANCELLING' AND (SELECT 1 FROM outstanding o
		WHERE o.account_id = j.account_id AND o.revocation_id BETWEEN j.id AND ` + lastItem + `
			AND NOT o.claimed AND NOT o.in_doubt LIMIT 1) = 1`
)

// pulledMail is the condition of the index notifications_pulled.
const pulledMail = `n.status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND n.epoch >= 0 AND n.job_id IS NOT NULL`
