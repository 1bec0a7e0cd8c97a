package sqlite

import (
	"context"
	"database/sql"
	"math"
	"time"

	"rescind/internal/revocation"
)

// DropSilentUploads implements revocation.JanitorStore.
func (s *Store) DropSilentUploads(ctx context.Context) (dropped int, err error) {
	err = s.write(ctx, "drop silent uploads", func(tx *sql.Tx, now time.Time) error {
		dropped, err = dropUploads(ctx, tx, micros(now))
		return err
	})
	if err != nil {
		return 0, err
	}
	return dropped, nil
}

// endOfTime is later than any lease, in microseconds.
const endOfTime = math.MaxInt64

// dropUploads drops the uploads whose lease ends at leaseUntil or before, and returns their number.
func dropUploads(ctx context.Context, tx *sql.Tx, leaseUntil int64) (int, error) {
	silent, err := query(ctx, tx, scanRowKey, `
		SELECT account_id, id FROM jobs INDEXED BY jobs_hidden
		WHERE state IN `+hiddenStates+` AND lease_until <= ?1`, leaseUntil)
	if err != nil {
		return 0, err
	}
	for _, job := range silent {
		if err := dropUpload(ctx, tx, job.Account, job.ID); err != nil {
			return 0, err
		}
	}
	return len(silent), nil
}

func scanRowKey(rows *sql.Rows) (k rowKey, err error) {
	err = rows.Scan(&k.Account, &k.ID)
	return k, err
}

// ClearDropped implements revocation.JanitorStore. It clears one job after the other.
func (s *Store) ClearDropped(ctx context.Context, limit int) (deleted int, err error) {
	err = s.write(ctx, "clear dropped jobs", func(tx *sql.Tx, _ time.Time) error {
		for deleted < limit {
			found, err := query(ctx, tx, scanRowKey, `
				SELECT account_id, id FROM jobs INDEXED BY jobs_hidden
				WHERE state IN `+hiddenStates+` AND state = 'DROPPED' LIMIT 1`)
			if err != nil {
				return err
			}
			whole := len(found) > 0
			if !whole {
				found, err = query(ctx, tx, scanRowKey, `
					SELECT account_id, id FROM jobs INDEXED BY jobs_expired WHERE state = 'EXPIRED' AND NOT items_deleted LIMIT 1`)
			}
			if err != nil || len(found) == 0 {
				return err
			}
			n, err := clearJob(ctx, tx, found[0], whole, limit-deleted)
			if err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// clearJob deletes at most limit items of a job. With the last of them it deletes the whole job, or notes that its items are
// deleted.
func clearJob(ctx context.Context, tx *sql.Tx, job rowKey, whole bool, limit int) (deleted int, err error) {
	var last sql.Null[string]
	if err := tx.QueryRowContext(ctx, `
		SELECT max(id), count(*) FROM (
			SELECT id FROM revocations
			WHERE account_id = ?1 AND id > ?2 AND id < substr(?2, 1, 28) || '80000000' ORDER BY id LIMIT ?3)`,
		job.Account, job.ID, limit).Scan(&last, &deleted); err != nil {
		return 0, err
	}
	for _, statement := range []string{
		`DELETE FROM notifications WHERE account_id = ?1 AND revocation_id > ?2 AND revocation_id <= ?3`,
		`DELETE FROM work_items WHERE account_id = ?1 AND revocation_id > ?2 AND revocation_id <= ?3`,
		`DELETE FROM revocations WHERE account_id = ?1 AND id > ?2 AND id <= ?3`,
	} {
		if err := exec(ctx, tx, statement, job.Account, job.ID, last.V); err != nil {
			return 0, err
		}
	}
	if deleted == limit {
		return deleted, nil
	}
	rest := []string{
		`DELETE FROM chunks WHERE account_id = ?1 AND job_id = ?2`,
		`UPDATE jobs SET items_deleted = 1 WHERE account_id = ?1 AND id = ?2`,
	}
	if whole {
		if err := freeKey(ctx, tx, job.Account, job.ID); err != nil {
			return 0, err
		}
		rest = deleteJob
	}
	for _, statement := range rest {
		if err := exec(ctx, tx, statement, job.Account, job.ID); err != nil {
			return 0, err
		}
	}
	return deleted + 1, nil
}

var deleteJob = []string{
	`DELETE FROM job_mail_counts WHERE account_id = ?1 AND job_id = ?2`,
	`DELETE FROM chunks WHERE account_id = ?1 AND job_id = ?2`,
	`DELETE FROM jobs WHERE account_id = ?1 AND id = ?2`,
}

// Expire implements revocation.JanitorStore. It keeps a revocation or job while an email of it is not settled.
func (s *Store) Expire(ctx context.Context, retention time.Duration, limit int) (expired int, err error) {
	err = s.write(ctx, "expire", func(tx *sql.Tx, now time.Time) error {
		before := now.Add(-retention)
		keys, err := change(ctx, tx, expireKeys, micros(before), limit)
		if err != nil {
			return err
		}
		jobs, err := change(ctx, tx, expireJobs, micros(before), limit)
		if err != nil {
			return err
		}
		expired = int(keys + jobs)
		if keys == int64(limit) {
			return nil // there may be more keys, and a key must be deleted before its revocation
		}
		singles, err := expireSingles(ctx, tx, before, limit)
		expired += singles
		return err
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

const (
	expireKeys = `
		DELETE FROM idempotency_keys WHERE (account_id, route, key) IN (
			SELECT account_id, route, key FROM idempotency_keys AS k INDEXED BY idempotency_keys_age
			WHERE k.created_at < ?1 AND NOT EXISTS (
				SELECT 1 FROM jobs AS j
				WHERE j.account_id = k.account_id AND j.id = k.target_id AND j.state = 'RECEIVING')
			LIMIT ?2)`

	expireJobs = `
		UPDATE jobs SET state = 'DROPPED' WHERE (account_id, id) IN (
			SELECT j.account_id, j.id FROM jobs AS j
			LEFT JOIN job_mail_counts AS t ON t.account_id = j.account_id AND t.job_id = j.id AND t.slot = 0
			WHERE j.state IN ('COMPLETED', 'CANCELLED', 'EXPIRED') AND j.finished_at < ?1
			  AND j.mails = coalesce(t.sent + t.failed + t.unknown + t.skipped, 0)
			LIMIT ?2)`

	// expiredSingles skips the items of jobs, which can be many: a gap is the range of ids between the items of two jobs.
	expiredSingles = `
		WITH gap (account_id, low, high) AS (
			SELECT a.account_id, '', coalesce((SELECT min(id) FROM jobs WHERE account_id = a.account_id), :bound)
			FROM accounts AS a
			UNION ALL
			SELECT j.account_id, substr(j.id, 1, 28) || '80000000',
			       coalesce((SELECT min(id) FROM jobs WHERE account_id = j.account_id AND id > j.id), :bound)
			FROM jobs AS j WHERE j.id < :bound)
		SELECT r.account_id, r.id FROM gap
		CROSS JOIN revocations AS r
		  ON r.account_id = gap.account_id AND r.id > gap.low AND r.id < min(gap.high, :bound)
		WHERE r.completed_at < :before AND r.job_id IS NULL AND NOT EXISTS (
			SELECT 1 FROM notifications WHERE account_id = r.account_id AND revocation_id = r.id AND ` + unsettled + `)
		LIMIT :limit`
)

func expireSingles(ctx context.Context, tx *sql.Tx, before time.Time, limit int) (expired int, err error) {
	// A revocation that ended before that time was created before it, so the range of ids bounds what is read.
	ended, err := query(ctx, tx, scanRowKey, expiredSingles,
		sql.Named("bound", revocation.FirstIDAt(before.Add(revocation.IDSkew)).String()),
		sql.Named("before", micros(before)), sql.Named("limit", limit))
	if err != nil || len(ended) == 0 {
		return 0, err
	}
	for _, statement := range []string{
		`DELETE FROM notifications
		WHERE (account_id, revocation_id) IN (SELECT value ->> 'account', value ->> 'id' FROM json_each(?1))`,
		`DELETE FROM revocations
		WHERE (account_id, id) IN (SELECT value ->> 'account', value ->> 'id' FROM json_each(?1))`,
	} {
		if err := exec(ctx, tx, statement, parameter(ended)); err != nil {
			return 0, err
		}
	}
	return len(ended), nil
}
