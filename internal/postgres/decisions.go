package postgres

import (
	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// writeDecisions returns the statements that write decisions, and appends the jobs that end to ended. The rows are locked, so a
// statement that changes another number of rows is a bug and aborts the transaction.
func writeDecisions(decisions []revocation.Decision, ended *[]revocation.ID) *pgx.Batch {
	parts := revocation.PartsOf(decisions)
	batch := &pgx.Batch{}
	for _, part := range []struct {
		rows  []revocation.Decision
		queue func(*pgx.Batch, []revocation.Decision)
	}{
		{parts.Revoked, queueRevoked},
		{parts.Singles, queueFinishSingles},
		{parts.Items, queueFinishItems},
		{parts.Items, queueDeleteWork},
		{parts.Retried, queueRetried},
		{parts.Postponed, queuePostponed},
		{parts.Notified, queueNotified},
	} {
		if len(part.rows) > 0 {
			part.queue(batch, part.rows)
		}
	}
	queueCounts(batch, revocation.CountDecisions(decisions), ended, revocation.FinishedSingles(decisions)...)
	return batch
}

func decisionColumns(ds []revocation.Decision) (accounts []string, ids []uuid) {
	accounts, ids = make([]string, len(ds)), make([]uuid, len(ds))
	for i, d := range ds {
		accounts[i], ids[i] = d.Account, uuid(d.ID)
	}
	return accounts, ids
}

func queueRevoked(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	reports := make([]int64, len(ds))
	for i, d := range ds {
		reports[i] = d.ReportID
	}
	exactly(batch, len(ds), `
		UPDATE invites i SET revoked_at = now(), revoked_by = t.id
		FROM unnest($1::text[], $2::bigint[], $3::uuid[]) AS t(account_id, report_id, id)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM invites i
			WHERE i.account_id = t.account_id AND i.report_id = t.report_id AND i.revoked_at IS NULL OFFSET 0) AS held
		WHERE i.ctid = held.place`,
		accounts, reports, ids)
}

// outcomes returns the columns of final decisions, the parameters $1 to $9 of outcomesTable.
func outcomes(ds []revocation.Decision) []any {
	accounts, ids := decisionColumns(ds)
	n := len(ds)
	status, attempts, notify := make([]string, n), make([]int, n), make([]bool, n)
	timestamps, codes, details, inferred := make([]*string, n), make([]*string, n), make([]*string, n), make([]bool, n)
	for i, d := range ds {
		inferred[i] = d.Inferred
		status[i], attempts[i], notify[i] = string(d.Status), d.Attempts(), d.Notify
		if d.Timestamp != "" {
			timestamps[i] = &ds[i].Timestamp
		}
		codes[i], details[i] = failureColumns(d)
	}
	return []any{accounts, ids, status, attempts, notify, timestamps, codes, details, inferred}
}

const outcomesTable = `unnest($1::text[], $2::uuid[], $3::text[], $4::int[], $5::boolean[], $6::text[], $7::text[],
	$8::text[], $9::boolean[]) AS t(account_id, id, status, attempts, notify, timestamp, code, detail, inferred)`

// queueFinishSingles replaces the work items of single submissions by their final rows.
func queueFinishSingles(batch *pgx.Batch, ds []revocation.Decision) {
	exactlyWith(batch, len(ds), `ended AS (
			DELETE FROM work_items o USING `+outcomesTable+`
			CROSS JOIN LATERAL (
				SELECT ctid AS place FROM work_items o
				WHERE o.account_id = t.account_id AND o.revocation_id = t.id OFFSET 0) AS held
			WHERE o.ctid = held.place
			RETURNING t.*, o.report_id, o.client_reference, o.requested_by, o.reason, o.candidate_message, o.not_before),`, `
		INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by,
			reason, candidate_message, not_before, status, attempts, inferred, timestamp, error_code, error_detail, completed_at)
		SELECT account_id, id, report_id, notify, client_reference, requested_by,
			reason, candidate_message, not_before, status, attempts, inferred, timestamp, code, detail, now() FROM ended`, outcomes(ds)...)
}

// queueFinishItems makes the rows of items final.
func queueFinishItems(batch *pgx.Batch, ds []revocation.Decision) {
	exactly(batch, len(ds), `
		UPDATE revocations r SET status = t.status, attempts = t.attempts, notify = t.notify,
			inferred = t.inferred, timestamp = t.timestamp, error_code = t.code, error_detail = t.detail, completed_at = now()
		FROM `+outcomesTable+`
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM revocations r
			WHERE r.account_id = t.account_id AND r.id = t.id AND r.status = 'PENDING' OFFSET 0) AS held
		WHERE r.ctid = held.place`, outcomes(ds)...)
}

// queueDeleteWork deletes the work items of final items.
func queueDeleteWork(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	exactly(batch, len(ds), `
		DELETE FROM work_items o USING unnest($1::text[], $2::uuid[]) AS t(account_id, id)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id OFFSET 0) AS held
		WHERE o.ctid = held.place`, accounts, ids)
}

func queueRetried(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	n := len(ds)
	delays, codes, details, doubts := make([]float64, n), make([]*string, n), make([]*string, n), make([]bool, n)
	for i, d := range ds {
		delays[i], doubts[i] = d.Delay.Seconds(), d.InDoubt
		codes[i], details[i] = failureColumns(d)
	}
	exactly(batch, len(ds), `
		UPDATE work_items o SET attempt = o.attempt + 1, updated_at = now(),
			due_at = now() + make_interval(secs => t.delay), next_check_at = now() + make_interval(secs => t.delay),
			error_code = t.code, error_detail = t.detail, claimed = false, in_doubt = t.in_doubt
		FROM unnest($1::text[], $2::uuid[], $3::float8[], $4::text[], $5::text[], $6::boolean[])
			AS t(account_id, id, delay, code, detail, in_doubt)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id OFFSET 0) AS held
		WHERE o.ctid = held.place`,
		accounts, ids, delays, codes, details, doubts)
}

func queuePostponed(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	delays, inDoubt, routed := make([]float64, len(ds)), make([]bool, len(ds)), make([]bool, len(ds))
	for i, d := range ds {
		delays[i], inDoubt[i], routed[i] = d.Delay.Seconds(), d.InDoubt, d.Kind == revocation.RouteUpstream
	}
	exactly(batch, len(ds), `
		UPDATE work_items o SET next_check_at = now() + make_interval(secs => t.delay),
			claimed = false, in_doubt = t.in_doubt, account_scheduled = o.account_scheduled OR t.routed
		FROM unnest($1::text[], $2::uuid[], $3::float8[], $4::boolean[], $5::boolean[])
			AS t(account_id, id, delay, in_doubt, routed)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id OFFSET 0) AS held
		WHERE o.ctid = held.place`, accounts, ids, delays, inDoubt, routed)
}

func queueNotified(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	reports, jobs, emails := make([]int64, len(ds)), make([]*uuid, len(ds)), make([]string, len(ds))
	for i, d := range ds {
		reports[i], emails[i] = d.ReportID, string(d.EmailStatus())
		if !d.Job.IsZero() {
			jobs[i] = (*uuid)(&ds[i].Job)
		}
	}
	// Emails of jobs are not enqueued one by one: account tasks find them.
	exactly(batch, len(ds), `
		INSERT INTO notifications (account_id, revocation_id, report_id, job_id, status, next_check_at)
		SELECT account_id, id, report_id, job_id, status,
			CASE WHEN job_id IS NULL THEN now() + make_interval(secs => $6) ELSE now() END
		FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[]) AS t(account_id, id, report_id, job_id, status)`,
		accounts, ids, reports, jobs, emails, revocation.VisibilityTimeout(0).Seconds())
}

func failureColumns(d revocation.Decision) (code, detail *string) {
	if d.Failure == nil {
		return nil, nil
	}
	c := string(d.Failure.Code)
	return &c, &d.Failure.Detail
}
