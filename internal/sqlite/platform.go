package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// changePlatform calls setUpstream. If the account's platform changes, it cancels the jobs that have not begun.
func changePlatform(ctx context.Context, tx *sql.Tx, now time.Time, account string, up revocation.UpstreamChange) error {
	var upstream bool
	if err := tx.QueryRowContext(ctx, `SELECT upstream_url IS NOT NULL FROM accounts WHERE account_id = ?1`, account).
		Scan(&upstream); err != nil {
		return err
	}
	if err := setUpstream(ctx, tx, account, up); err != nil || up.URL == nil || upstream == (*up.URL != "") {
		return err
	}
	waiting, err := query(ctx, tx, scanStoredJob, selectJob+` AND j.`+waitingJob, account)
	if err != nil {
		return err
	}
	for i := range waiting {
		err := changeJob(ctx, tx, now, &waiting[i], revocation.JobChange{
			Kind: revocation.ChangeCancel, By: revocation.Actor{Type: revocation.ActorService},
		})
		if err != nil && revocation.ErrorCode(err) != revocation.CodeJobEnded { // an expired job stays as it is
			return err
		}
	}
	return nil
}
