package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// confirmedChunk carries out a chunk whose preview was confirmed. It applies the rule to items predicted REVOKED, as
// queueDecideChunk does; if $9 is true, it gives them work items instead. A duplicate gets the outcome of its original. All
// others get their prediction.
//
// The original is the item that is predicted REVOKED among the items of the job with the same report. It is in this chunk, or
// has a row in revocations once it was carried out. Until it is final, its duplicates have work items.
var confirmedChunk = takenPredicted + predictionNames.Replace(`, fact AS MATERIALIZED (
		SELECT item.*, i.place AS invite, i.revoked, i.spared, i.allowed,
			bool_or(item.predicted = {revoked}) OVER (PARTITION BY item.report_id) AS first_here
		FROM item
		LEFT JOIN LATERAL (
			SELECT ctid AS place, revoked_at IS NOT NULL AS revoked, $7 AND state <> 'PENDING' AS spared,
				$5::timestamptz IS NULL OR sent_at >= $5 AS allowed
			FROM invites i
			WHERE i.account_id = $1 AND i.report_id = item.report_id AND item.predicted = {revoked} AND NOT $9 OFFSET 0) AS i ON true
	), marked AS (
		UPDATE invites i SET revoked_at = now(), revoked_by = f.id
		FROM (
			SELECT invite, id FROM fact WHERE allowed AND NOT spared AND NOT revoked ORDER BY report_id OFFSET 0) AS f
		WHERE i.ctid = f.invite AND i.revoked_at IS NULL AND ($5::timestamptz IS NULL OR i.sent_at >= $5)
			AND NOT ($7 AND i.state <> 'PENDING')
		RETURNING i.report_id
	), ended AS MATERIALIZED (
		SELECT id, report_id, notify, client_reference, reason, requested_by, predicted, first_here, CASE
			WHEN predicted = {duplicate} THEN NULL
			WHEN predicted = {already revoked} THEN 'ALREADY_REVOKED'
			WHEN predicted = {already started} THEN 'ALREADY_STARTED'
			WHEN predicted = {not allowed} THEN 'NOT_ALLOWED'
			WHEN predicted = {not found} THEN 'NOT_FOUND'
			WHEN $9 THEN NULL
			WHEN invite IS NULL THEN 'NOT_FOUND'
			WHEN revoked THEN 'ALREADY_REVOKED'
			WHEN spared THEN 'ALREADY_STARTED'
			WHEN NOT allowed THEN 'NOT_ALLOWED'
			WHEN report_id NOT IN (SELECT report_id FROM marked) THEN NULL
			ELSE 'REVOKED' END AS status
		FROM fact
	), first AS MATERIALIZED (
		SELECT e.*, CASE WHEN e.first_here THEN max(e.status) FILTER (WHERE e.predicted = {revoked}) OVER (PARTITION BY e.report_id)
				ELSE f.status END AS first_status,
			CASE WHEN e.first_here THEN $6::text ELSE f.timestamp END AS first_timestamp, f.error_code, f.error_detail
		FROM ended e
		LEFT JOIN LATERAL (
			SELECT r.status, r.timestamp, r.error_code, r.error_detail FROM revocations r
			WHERE r.account_id = $1 AND r.report_id > 0 AND r.report_id = e.report_id AND r.id > $2 AND r.id <= $10
				AND e.predicted = {duplicate} AND NOT e.first_here AND r.predicted::integer = {revoked} AND r.completed_at IS NOT NULL
			OFFSET 0) AS f ON true
	), outcome AS MATERIALIZED (
		SELECT id, report_id, notify, client_reference, reason, requested_by, predicted, error_code, error_detail,
			CASE WHEN predicted <> {duplicate} THEN status WHEN first_status = 'REVOKED' THEN 'ALREADY_REVOKED' ELSE first_status END AS status,
			CASE predicted WHEN {not allowed} THEN $8::text WHEN {duplicate} THEN first_timestamp ELSE $6 END AS timestamp
		FROM first
	), written AS (
		INSERT INTO revocations (account_id, id, report_id, notify, client_reference, reason, requested_by, job_id, predicted,
			status, attempts, timestamp, error_code, error_detail, completed_at)
		SELECT $1, id, report_id, notify, client_reference, reason, requested_by, $2, predicted::"char", coalesce(status, 'PENDING'),
			CASE WHEN status IS NOT NULL AND predicted = {revoked} THEN 1 ELSE 0 END,
			CASE status WHEN 'NOT_ALLOWED' THEN timestamp END, error_code, error_detail, CASE WHEN status IS NOT NULL THEN now() END
		FROM outcome
	), mailed AS (
		INSERT INTO notifications (account_id, revocation_id, report_id, job_id, next_check_at)
		SELECT $1, id, report_id, $2, now() FROM outcome WHERE status = 'REVOKED' AND notify
	), spilled AS (
		INSERT INTO work_items (account_id, revocation_id, report_id, job_id, single, account_scheduled, notify, duplicate, next_check_at)
		SELECT $1, id, report_id, $2, false, true, notify, predicted = {duplicate}, now() FROM outcome WHERE status IS NULL
	)
	SELECT coalesce(status, ''), count(*), count(*) FILTER (WHERE notify) FROM outcome GROUP BY status`)

func queueConfirmedChunk(batch *pgx.Batch, c *takenChunk, spill bool) {
	batch.Queue(confirmedChunk, append(itemsOf(&c.Chunk), c.planChangedAt, timestampOf(c.planChangedAt), c.spareStarted,
		timestampOf(c.predictedPlan), spill, uuid(c.Job.Item(revocation.MaxJobItems)))...).Query(collectOutcomes(&c.Chunk))
}

// duplicates collects duplicates, to read the outcomes of their originals.
type duplicates struct {
	accounts    []string
	reports     []int64
	jobs, lasts []uuid
	set         []func(*revocation.ItemOutcome)
}

func (d *duplicates) add(account string, report int64, job revocation.ID, set func(*revocation.ItemOutcome)) {
	d.accounts, d.reports = append(d.accounts, account), append(d.reports, report)
	d.jobs, d.lasts = append(d.jobs, uuid(job)), append(d.lasts, uuid(job.Item(revocation.MaxJobItems)))
	d.set = append(d.set, set)
}

// queue reads the outcomes of the originals that are final.
func (d *duplicates) queue(batch *pgx.Batch) {
	batch.Queue(selectFirsts, d.accounts, d.reports, d.jobs, d.lasts).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n int
			var first revocation.ItemOutcome
			var failure revocation.Failure
			if err := rows.Scan(&n, &first.Status, &first.Timestamp, &failure.Code, &failure.Detail); err != nil {
				return err
			}
			if failure.Code != "" {
				first.Failure = &failure
			}
			d.set[n-1](&first)
		}
		return rows.Err()
	})
}

// fillInFirsts sets First of the duplicates in work.
func fillInFirsts(ctx context.Context, tx *tx, work []revocation.LockedRevocation) error {
	var d duplicates
	for i := range work {
		if h := &work[i]; h.Predicted == revocation.PredictedDuplicate {
			d.add(h.Account, h.ReportID, h.Job, func(first *revocation.ItemOutcome) { h.First = first })
		}
	}
	if len(d.set) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	d.queue(batch)
	return tx.send(ctx, batch)
}

// fillInFirsts sets First of the duplicates in calls.
func (s *Store) fillInFirsts(ctx context.Context, calls []revocation.Call) error {
	var d duplicates
	for i := range calls {
		if c := &calls[i]; c.Duplicate {
			d.add(c.Account, c.ReportID, c.Job, func(first *revocation.ItemOutcome) { c.First = first })
		}
	}
	if len(d.set) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	d.queue(batch)
	return s.readOnly(ctx, "read duplicates", batch)
}

var selectFirsts = predictionNames.Replace(`
	SELECT t.n, r.status, coalesce(r.timestamp, ''), coalesce(r.error_code, ''), coalesce(r.error_detail, '')
	FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::uuid[]) WITH ORDINALITY AS t(account_id, report_id, job_id, last, n)
	CROSS JOIN LATERAL (
		SELECT * FROM revocations r
		WHERE r.account_id = t.account_id AND r.report_id > 0 AND r.report_id = t.report_id AND r.id > t.job_id AND r.id <= t.last
			AND r.predicted::integer = {revoked} AND r.completed_at IS NOT NULL OFFSET 0) AS r`)
