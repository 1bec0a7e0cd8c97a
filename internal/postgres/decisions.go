package postgres

import (
	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// writeDecisions makes the statements that write what was decided. The rows are locked, so each changes
// exactly as many as it names; anything else is a fault that must not be committed.
func writeDecisions(decisions []revocation.Decision) *pgx.Batch {
	var revoked, final, retried, postponed, notified []revocation.Decision
	for _, d := range decisions {
		switch {
		case d.Final:
			final = append(final, d)
		case d.Status == "":
			postponed = append(postponed, d)
		default:
			retried = append(retried, d)
		}
		if d.Revokes {
			revoked = append(revoked, d)
		}
		if d.Notifies {
			notified = append(notified, d)
		}
	}
	batch := &pgx.Batch{}
	for _, part := range []struct {
		rows  []revocation.Decision
		queue func(*pgx.Batch, []revocation.Decision)
	}{
		{revoked, queueRevoked},
		{final, queueFinal},
		{final, queueDone},
		{retried, queueRetried},
		{postponed, queuePostponed},
		{notified, queueNotified},
	} {
		if len(part.rows) > 0 {
			part.queue(batch, part.rows)
		}
	}
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

func queueFinal(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	n := len(ds)
	status, attempts, notify := make([]string, n), make([]int, n), make([]bool, n)
	timestamps, codes, details := make([]*string, n), make([]*string, n), make([]*string, n)
	for i, d := range ds {
		status[i], attempts[i], notify[i] = string(d.Status), d.Attempt+1, d.Notify
		if d.Timestamp != "" {
			timestamps[i] = &ds[i].Timestamp
		}
		codes[i], details[i] = failureColumns(d)
	}
	exactly(batch, len(ds), `
		UPDATE revocations r SET status = t.status, attempts = t.attempts, notify = t.notify,
			timestamp = t.timestamp, error_code = t.code, error_detail = t.detail, completed_at = now()
		FROM unnest($1::text[], $2::uuid[], $3::text[], $4::int[], $5::boolean[], $6::text[], $7::text[], $8::text[])
			AS t(account_id, id, status, attempts, notify, timestamp, code, detail)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM revocations r
			WHERE r.account_id = t.account_id AND r.id = t.id AND r.status = 'PENDING' OFFSET 0) AS held
		WHERE r.ctid = held.place`,
		accounts, ids, status, attempts, notify, timestamps, codes, details)
}

func queueDone(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	exactly(batch, len(ds), `
		DELETE FROM outstanding o USING unnest($1::text[], $2::uuid[]) AS t(account_id, id)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM outstanding o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id OFFSET 0) AS held
		WHERE o.ctid = held.place`, accounts, ids)
}

func queueRetried(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	n := len(ds)
	delays, codes, details := make([]float64, n), make([]*string, n), make([]*string, n)
	for i, d := range ds {
		delays[i] = d.Delay.Seconds()
		codes[i], details[i] = failureColumns(d)
	}
	exactly(batch, len(ds), `
		UPDATE outstanding o SET attempt = o.attempt + 1, updated_at = now(),
			due_at = now() + make_interval(secs => t.delay), look_at = now() + make_interval(secs => t.delay),
			error_code = t.code, error_detail = t.detail
		FROM unnest($1::text[], $2::uuid[], $3::float8[], $4::text[], $5::text[])
			AS t(account_id, id, delay, code, detail)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM outstanding o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id OFFSET 0) AS held
		WHERE o.ctid = held.place`,
		accounts, ids, delays, codes, details)
}

func queuePostponed(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	delays := make([]float64, len(ds))
	for i, d := range ds {
		delays[i] = d.Delay.Seconds()
	}
	exactly(batch, len(ds), `
		UPDATE outstanding o SET look_at = now() + make_interval(secs => t.delay)
		FROM unnest($1::text[], $2::uuid[], $3::float8[]) AS t(account_id, id, delay)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM outstanding o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id OFFSET 0) AS held
		WHERE o.ctid = held.place`, accounts, ids, delays)
}

func queueNotified(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	reports := make([]int64, len(ds))
	for i, d := range ds {
		reports[i] = d.ReportID
	}
	exactly(batch, len(ds), `
		INSERT INTO notifications (account_id, revocation_id, report_id, look_at)
		SELECT account_id, id, report_id, now() + make_interval(secs => $4)
		FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS t(account_id, id, report_id)`,
		accounts, ids, reports, revocation.Grace(0).Seconds())
}

func failureColumns(d revocation.Decision) (code, detail *string) {
	if d.Failure == nil {
		return nil, nil
	}
	c := string(d.Failure.Code)
	return &c, &d.Failure.Detail
}
