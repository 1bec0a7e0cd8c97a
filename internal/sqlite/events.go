package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// addEvents writes events with the time now, or with the time of the previous event if that is later, so that the times have
// the same order as the numbers. The file has one writer, so the numbers follow the order of the commits.
func addEvents(ctx context.Context, tx *sql.Tx, now time.Time, events ...revocation.Event) error {
	for i := range events {
		e := &events[i]
		var number int64
		err := tx.QueryRowContext(ctx, `
			UPDATE accounts SET event_number = event_number + 1 WHERE account_id = ?1 RETURNING event_number`,
			e.Account).Scan(&number)
		if err != nil {
			return err
		}
		err = exec(ctx, tx, `
			INSERT INTO events (account_id, number, id, type, occurred_at, actor_type, actor_id, subject_type, subject_id, data)
			VALUES (?1, ?2, ?3, ?4, max(?5, coalesce((
				SELECT occurred_at FROM events WHERE account_id = ?1 AND number = ?2 - 1), 0)), ?6, ?7, ?8, ?9, ?10)`,
			e.Account, number, uuidv7.New().String(), string(e.Type), micros(now), string(e.Actor.Type),
			optionalText(e.Actor.Key), string(e.Subject.Type), e.Subject.ID, string(e.Data))
		if err != nil {
			return err
		}
	}
	return nil
}

// addFinished writes the event of a job that has ended.
func addFinished(ctx context.Context, tx *sql.Tx, now time.Time, account string, id revocation.ID) error {
	job, err := readJob(ctx, tx, account, id)
	if err != nil {
		return err
	}
	return addEvents(ctx, tx, now, revocation.JobEvents(&job, revocation.Actor{Type: revocation.ActorService}, revocation.EventJobFinished)...)
}
