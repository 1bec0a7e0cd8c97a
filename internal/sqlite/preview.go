package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"rescind/internal/revocation"
)

// PredictChunk implements revocation.BulkStore. The chunks of a job are predicted in the order of their rows, so duplicates of
// items in earlier chunks are found at once, without further steps.
func (s *Store) PredictChunk(ctx context.Context, account string) (revocation.PreviewStep, error) {
	var step revocation.PreviewStep
	err := s.write(ctx, "predict chunk", func(tx *sql.Tx, now time.Time) error {
		found, err := query(ctx, tx, scanPreviewChunk, nextUnpredicted, account)
		if err != nil || len(found) == 0 {
			return err
		}
		chunk := found[0]
		step.Job = chunk.Job
		if chunk.First == 0 {
			step.Complete = true
			return nil
		}
		work, again, err := readForPreview(ctx, tx, chunk)
		if err != nil {
			return err
		}
		step.Items = len(work)
		predictions := revocation.PredictItems(work, func(i int) bool { return again[i] })
		if err := writePredictions(ctx, tx, chunk, work, predictions); err != nil {
			return err
		}
		step.Complete, err = addPredicted(ctx, tx, now, chunk.Chunk, work, predictions)
		return err
	})
	if err != nil {
		return revocation.PreviewStep{}, err
	}
	return step, nil
}

// nextUnpredicted reads the first chunk without predictions of the job that was served longest ago. Its first_row is 0 if all
// chunks of the job have predictions.
const nextUnpredicted = `
	SELECT j.account_id, j.id, coalesce(c.first_row, 0), coalesce(c.end_row, 0), a.plan_changed_at, a.spare_started
	FROM jobs AS j INDEXED BY jobs_previewing
	CROSS JOIN accounts AS a ON a.account_id = j.account_id
	LEFT JOIN chunks AS c ON c.account_id = j.account_id AND c.job_id = j.id AND c.first_row = (
		SELECT first_row FROM chunks INDEXED BY chunks_unpredicted
		WHERE account_id = j.account_id AND job_id = j.id AND NOT predicted ORDER BY first_row LIMIT 1)
	WHERE j.account_id = ?1 AND j.state = 'PREVIEWING'
	ORDER BY j.served_at, j.id LIMIT 1`

func scanPreviewChunk(rows *sql.Rows) (c takenChunk, err error) {
	var planChangedAt sql.Null[int64]
	err = rows.Scan(&c.Account, scannedID{&c.Job}, &c.First, &c.Last, &planChangedAt, &c.facts.SpareStarted)
	c.facts.PlanChangedAt = moment(planChangedAt)
	return c, err
}

// readForPreview reads the items of a chunk in the order of the input, with the facts that the rule needs. earlier reports of
// each whether an item of an earlier chunk has the same invite and is predicted REVOKED.
func readForPreview(ctx context.Context, tx *sql.Tx, chunk takenChunk) (work []revocation.LockedRevocation, earlier []bool, err error) {
	scan := func(rows *sql.Rows) (revocation.LockedRevocation, error) {
		h := revocation.LockedRevocation{AccountState: chunk.facts}
		var state scannedInvite
		var again bool
		err := rows.Scan(scannedID{&h.ID}, &h.ReportID, &h.Notify, &state.sentAt, &state.flags, &again)
		h.Invite, earlier = state.invite(), append(earlier, again)
		return h, err
	}
	work, err = query(ctx, tx, scan, fmt.Sprintf(`
		SELECT r.id, r.report_id, r.notify, i.sent_at, `+inviteFlags+`,
		       EXISTS (SELECT 1 FROM revocations AS e INDEXED BY revocations_report
		               WHERE e.account_id = r.account_id AND e.report_id = r.report_id AND e.id > :job AND e.id < :first
		                 AND e.predicted = %d)
		FROM (SELECT r.account_id, r.id, r.report_id, coalesce(r.notify, j.notify) AS notify`+pendingOfChunk+`) AS r
		LEFT JOIN invites AS i ON i.account_id = r.account_id AND i.report_id = r.report_id
		ORDER BY r.id`, revocation.PredictedRevoked), itemsOf(chunk.Chunk)...)
	return work, earlier, err
}

func writePredictions(ctx context.Context, tx *sql.Tx, chunk takenChunk, work []revocation.LockedRevocation, predictions []revocation.Prediction) error {
	ids := make(map[revocation.Prediction][]string)
	for i, p := range predictions {
		ids[p] = append(ids[p], work[i].ID.String())
	}
	for p, ids := range ids {
		if err := changeAll(ctx, tx, len(ids), `
			UPDATE revocations SET predicted = ?1
			WHERE account_id = ?2 AND id IN (SELECT value FROM json_each(?3)) AND status = 'PENDING'`,
			int(p), chunk.Account, parameter(ids)); err != nil {
			return err
		}
	}
	var timestamp *string
	if !chunk.facts.PlanChangedAt.IsZero() {
		t := chunk.facts.PlanChangedAt.UTC().Format(revocation.TimestampLayout)
		timestamp = &t
	}
	return changeAll(ctx, tx, 1, `
		UPDATE chunks SET predicted = 1, predicted_timestamp = ?1 WHERE account_id = ?2 AND job_id = ?3 AND first_row = ?4`,
		timestamp, chunk.Account, chunk.Job.String(), chunk.First)
}

// addPredicted adds to the numbers of a preview, and reports whether all of the job's items are predicted.
func addPredicted(ctx context.Context, tx *sql.Tx, now time.Time, chunk revocation.Chunk, work []revocation.LockedRevocation, predictions []revocation.Prediction) (complete bool, err error) {
	var add revocation.PredictedCounts
	emails := 0
	for i, p := range predictions {
		add.Add(p, 1)
		if p == revocation.PredictedRevoked && work[i].Notify {
			emails++
		}
	}
	err = tx.QueryRowContext(ctx, `
		UPDATE jobs
		SET served_at = :now, predicted_items = predicted_items + :items,
		    predicted_revoked = predicted_revoked + :revoked,
		    predicted_already_revoked = predicted_already_revoked + :already_revoked,
		    predicted_not_allowed = predicted_not_allowed + :not_allowed,
		    predicted_not_found = predicted_not_found + :not_found,
		    predicted_already_started = predicted_already_started + :already_started,
		    predicted_emails = coalesce(predicted_emails, 0) + :emails
		WHERE account_id = :account AND id = :job AND state = 'PREVIEWING'
		RETURNING predicted_items = total - invalid`,
		sql.Named("now", micros(now)), sql.Named("items", len(work)), sql.Named("revoked", add.Revoked),
		sql.Named("already_revoked", add.AlreadyRevoked), sql.Named("not_allowed", add.NotAllowed),
		sql.Named("not_found", add.NotFound), sql.Named("already_started", add.AlreadyStarted), sql.Named("emails", emails),
		sql.Named("account", chunk.Account), sql.Named("job", chunk.Job.String())).Scan(&complete)
	return complete, err
}
