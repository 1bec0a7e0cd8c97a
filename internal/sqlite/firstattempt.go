package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// decideChunk makes the first attempt on the items of a chunk, or gives them their predicted outcome. Items without an outcome
// get work items.
func decideChunk(ctx context.Context, tx *sql.Tx, now time.Time, chunk takenChunk) (done revocation.JobCount, spilled int, err error) {
	done = revocation.JobCount{Account: chunk.Account, Job: chunk.Job}
	work, err := readChunk(ctx, tx, chunk)
	if err != nil {
		return done, 0, err
	}
	if chunk.previewed {
		if err := readPredictions(ctx, tx, work); err != nil {
			return done, 0, err
		}
	}
	decisions := revocation.Decide(work)
	if counts := revocation.CountDecisions(decisions); len(counts) > 0 {
		done = counts[0] // all are of one job
	}
	spilled, err = writeFirstAttempts(ctx, tx, now, chunk.Chunk, decisions)
	return done, spilled, err
}

// readChunk reads the facts about the items of a chunk, in the order of the input.
func readChunk(ctx context.Context, tx *sql.Tx, chunk takenChunk) ([]revocation.LockedRevocation, error) {
	scan := func(rows *sql.Rows) (revocation.LockedRevocation, error) {
		h := revocation.LockedRevocation{
			Ref: revocation.Ref{Account: chunk.Account}, Job: chunk.Job, Upstream: chunk.upstream,
			PredictedTimestamp: chunk.predictedTimestamp, AccountState: chunk.facts,
		}
		var state scannedInvite
		err := rows.Scan(scannedID{&h.ID}, &h.ReportID, &h.Notify, &state.sentAt, &state.flags)
		h.Invite = state.invite()
		return h, err
	}
	return query(ctx, tx, scan, `
		SELECT r.id, r.report_id, r.notify, i.sent_at, `+inviteFlags+`
		FROM (SELECT r.account_id, r.id, r.report_id, coalesce(r.notify, j.notify) AS notify`+pendingOfChunk+`) AS r
		LEFT JOIN invites AS i ON i.account_id = r.account_id AND i.report_id = r.report_id
		ORDER BY r.id`, itemsOf(chunk.Chunk)...)
}

// firstOutcome is an outcome of items of a chunk. A chunk has few different ones.
type firstOutcome struct {
	status    revocation.Status
	attempts  int
	timestamp string
	failure   revocation.Failure
}

// writeFirstAttempts writes the decisions about a chunk's items, and gives work items to items that are not final. It updates
// the invites and inserts the emails of all REVOKED items in the chunk's range: before the first attempt there were none.
func writeFirstAttempts(ctx context.Context, tx *sql.Tx, now time.Time, chunk revocation.Chunk, decisions []revocation.Decision) (spilled int, err error) {
	outcomes := make(map[firstOutcome][]string)
	revoked, notified, final := 0, 0, 0
	for _, d := range decisions {
		if d.Kind != revocation.Final {
			continue
		}
		final++
		outcome := firstOutcome{d.Status, d.Attempts(), d.Timestamp, revocation.Failure{}}
		if d.Failure != nil {
			outcome.failure = *d.Failure
		}
		outcomes[outcome] = append(outcomes[outcome], d.ID.String())
		if d.MarksInvite() {
			revoked++
		}
		if d.EmailStatus() != "" {
			notified++
		}
	}
	for outcome, ids := range outcomes {
		args := []any{string(outcome.status), outcome.attempts, outcome.timestamp, micros(now), chunk.Account, parameter(ids)}
		failed := ""
		if outcome.failure.Code != "" {
			failed = `, error_code = ?7, error_detail = ?8`
			args = append(args, string(outcome.failure.Code), outcome.failure.Detail)
		}
		if err := changeAll(ctx, tx, len(ids), `
			UPDATE revocations SET status = ?1, attempts = ?2, timestamp = nullif(?3, ''), completed_at = ?4`+failed+`
			WHERE account_id = ?5 AND id IN (SELECT value FROM json_each(?6)) AND status = 'PENDING'`, args...); err != nil {
			return 0, err
		}
	}
	args := append(itemsOf(chunk), sql.Named("now", micros(now)))
	if revoked > 0 {
		if err := changeAll(ctx, tx, revoked, markChunk, args...); err != nil {
			return 0, err
		}
	}
	if notified > 0 {
		if err := changeAll(ctx, tx, notified, notifyChunk, args...); err != nil {
			return 0, err
		}
	}
	if final < len(decisions) {
		return spillChunk(ctx, tx, now, chunk)
	}
	return 0, nil
}

const (
	markChunk = `
		UPDATE invites AS i SET revoked_at = :now, revoked_by = r.id
		FROM (SELECT account_id, report_id, id FROM revocations
		      WHERE account_id = :account AND id BETWEEN :first AND :last AND status = 'REVOKED') AS r
		WHERE i.account_id = r.account_id AND i.report_id = r.report_id AND i.revoked_at IS NULL`

	notifyChunk = `
		INSERT INTO notifications (account_id, revocation_id, report_id, job_id, next_check_at, updated_at)
		SELECT r.account_id, r.id, r.report_id, j.id, :now, :now
		FROM jobs AS j
		CROSS JOIN revocations AS r
		  ON r.account_id = j.account_id AND r.id BETWEEN :first AND :last AND r.status = 'REVOKED'
		WHERE j.account_id = :account AND j.id = :job AND coalesce(r.notify, j.notify)`
)
