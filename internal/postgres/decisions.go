package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// writeDecisions writes what was decided in one round trip. The rows are locked, so each statement changes
// exactly as many as it names; anything else is a fault that must not be committed.
func writeDecisions(ctx context.Context, tx pgx.Tx, decisions []revocation.Decision) error {
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
	var expected []int
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
			expected = append(expected, len(part.rows))
		}
	}
	changed, err := send(ctx, tx, batch)
	if err != nil {
		return err
	}
	for i, n := range changed {
		if n != int64(expected[i]) {
			return &revocation.Error{
				Code: revocation.CodeInternal,
				Err:  fmt.Errorf("write outcomes: statement %d changed %d rows instead of %d", i, n, expected[i]),
			}
		}
	}
	return nil
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
	batch.Queue(`
		UPDATE invites i SET revoked_at = now(), revoked_by = t.id
		FROM unnest($1::text[], $2::bigint[], $3::uuid[]) AS t(account_id, report_id, id)
		WHERE i.account_id = t.account_id AND i.report_id = t.report_id AND i.revoked_at IS NULL`,
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
	batch.Queue(`
		UPDATE revocations r SET status = t.status, attempts = t.attempts, notify = t.notify,
			timestamp = t.timestamp, error_code = t.code, error_detail = t.detail, completed_at = now()
		FROM unnest($1::text[], $2::uuid[], $3::text[], $4::int[], $5::boolean[], $6::text[], $7::text[], $8::text[])
			AS t(account_id, id, status, attempts, notify, timestamp, code, detail)
		WHERE r.account_id = t.account_id AND r.id = t.id AND r.status = 'PENDING'`,
		accounts, ids, status, attempts, notify, timestamps, codes, details)
}

func queueDone(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	batch.Queue(`
		DELETE FROM outstanding o USING unnest($1::text[], $2::uuid[]) AS t(account_id, id)
		WHERE o.account_id = t.account_id AND o.revocation_id = t.id`, accounts, ids)
}

func queueRetried(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	n := len(ds)
	delays, codes, details := make([]float64, n), make([]*string, n), make([]*string, n)
	for i, d := range ds {
		delays[i] = d.Delay.Seconds()
		codes[i], details[i] = failureColumns(d)
	}
	batch.Queue(`
		UPDATE outstanding o SET attempt = o.attempt + 1, updated_at = now(),
			due_at = now() + make_interval(secs => t.delay), look_at = now() + make_interval(secs => t.delay),
			error_code = t.code, error_detail = t.detail
		FROM unnest($1::text[], $2::uuid[], $3::float8[], $4::text[], $5::text[])
			AS t(account_id, id, delay, code, detail)
		WHERE o.account_id = t.account_id AND o.revocation_id = t.id`,
		accounts, ids, delays, codes, details)
}

func queuePostponed(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	delays := make([]float64, len(ds))
	for i, d := range ds {
		delays[i] = d.Delay.Seconds()
	}
	batch.Queue(`
		UPDATE outstanding o SET look_at = now() + make_interval(secs => t.delay)
		FROM unnest($1::text[], $2::uuid[], $3::float8[]) AS t(account_id, id, delay)
		WHERE o.account_id = t.account_id AND o.revocation_id = t.id`, accounts, ids, delays)
}

func queueNotified(batch *pgx.Batch, ds []revocation.Decision) {
	accounts, ids := decisionColumns(ds)
	reports := make([]int64, len(ds))
	for i, d := range ds {
		reports[i] = d.ReportID
	}
	batch.Queue(`
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
