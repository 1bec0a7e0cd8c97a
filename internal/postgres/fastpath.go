package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// RevokeFast implements revocation.ExecutionStore with one statement in one round trip. Sending a row to the program and back
// costs the database more than writing its outcome. The statement is revocation.Rule in SQL; the conformance suite of the
// stores checks that both lead to the same outcomes.
//
// It skips rows that another transaction has locked, revocations that wait for their not_before or a hold, and every special
// case: an invite that does not exist, an account on an upstream or with events for single revocations, an item of a job, and
// a call in doubt. An invite has at most one single revocation under way, so no two rows have the same invite.
func (s *Store) RevokeFast(ctx context.Context, refs []revocation.Ref) (revocation.BatchResult, error) {
	accounts, ids, attempts := refColumns(slices.Compact(sortedRefs(refs))) // a task can name a row twice
	var done revocation.BatchResult
	batch := &pgx.Batch{}
	batch.Queue(revokeFast, accounts, ids, attempts, revocation.VisibilityTimeout(0).Seconds()).Query(func(rows pgx.Rows) error {
		d := revocation.Decision{Kind: revocation.Final}
		var one int
		_, err := pgx.ForEachRow(rows, []any{
			&d.Account, (*uuid)(&d.ID), &d.Attempt, &d.ReportID, &d.Notify, &d.Status, &d.Timestamp, &one,
		}, func() error {
			done.Decisions = append(done.Decisions, d)
			return nil
		})
		return err
	})
	err := s.run(ctx, "carry out", batch)
	if miscounted(err) {
		// A row was changed after it was read and before it was locked. CarryOut decides about all of them.
		return revocation.BatchResult{}, nil
	}
	if err != nil {
		return revocation.BatchResult{}, err
	}
	return done, nil
}

// revokeFast locks the rows as lockWork does. Only single submissions have requested_by; see selectUnderWay. If a statement
// changes fewer rows than were locked, the division by zero aborts the transaction, as in exactly.
const revokeFast = `
	WITH work AS MATERIALIZED (
		SELECT o.*
		FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, attempt)
		CROSS JOIN LATERAL (
			SELECT ctid AS place, account_id, revocation_id AS id, attempt, report_id, notify, client_reference, requested_by,
				reason, candidate_message, not_before
			FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.attempt = t.attempt
				AND o.requested_by IS NOT NULL AND NOT o.in_doubt AND ` + notWaiting + `
			FOR UPDATE SKIP LOCKED) AS o
	), outcome AS MATERIALIZED (
		SELECT w.*, i.place AS invite,
			CASE WHEN i.revoked THEN 'ALREADY_REVOKED' WHEN i.spared THEN 'ALREADY_STARTED' WHEN i.early THEN 'NOT_ALLOWED'
				ELSE 'REVOKED' END AS status,
			CASE WHEN i.early AND NOT i.revoked AND NOT i.spared
				THEN to_char(a.plan_changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') END AS timestamp
		FROM work w
		CROSS JOIN LATERAL (
			SELECT plan_changed_at, spare_started FROM accounts a
			WHERE a.account_id = w.account_id AND a.upstream_url IS NULL AND NOT a.single_events OFFSET 0) AS a
		CROSS JOIN LATERAL (
			SELECT ctid AS place, revoked_at IS NOT NULL AS revoked, coalesce(sent_at < a.plan_changed_at, false) AS early,
				a.spare_started AND state <> 'PENDING' AS spared
			FROM invites i WHERE i.account_id = w.account_id AND i.report_id = w.report_id
			FOR UPDATE SKIP LOCKED) AS i
	), marked AS (
		UPDATE invites i SET revoked_at = now(), revoked_by = o.id
		FROM (SELECT invite, id FROM outcome WHERE status = 'REVOKED' OFFSET 0) AS o
		WHERE i.ctid = o.invite RETURNING 1
	), ended AS (
		DELETE FROM work_items w USING (SELECT place FROM outcome OFFSET 0) AS o WHERE w.ctid = o.place RETURNING 1
	), written AS (
		INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by,
			reason, candidate_message, not_before, status, attempts, timestamp, completed_at)
		SELECT account_id, id, report_id, notify, client_reference, requested_by,
			reason, candidate_message, not_before, status, attempt + 1, timestamp, now() FROM outcome
	), mailed AS (
		INSERT INTO notifications (account_id, revocation_id, report_id, next_check_at)
		SELECT account_id, id, report_id, now() + make_interval(secs => $4) FROM outcome
		WHERE status = 'REVOKED' AND notify
	)
	SELECT account_id, id, attempt, report_id, notify, status, coalesce(timestamp, ''), 1 / (
		(SELECT count(*) FROM ended) = (SELECT count(*) FROM outcome)
		AND (SELECT count(*) FROM marked) = (SELECT count(*) FROM outcome WHERE status = 'REVOKED'))::int
	FROM outcome`
