package bench

import (
	"bytes"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// handWay is a manual way to do the work of a job: COPY the rows into a table, and then run single statements. They do not
// apply the rule of the plan change, detect duplicates or send emails.
type handWay struct {
	name, table, columns string
	statements           []string
}

var handWays = []handWay{
	// What a job gives: what was asked for is durable before anything is done, and each item has its outcome. The
	// table is the product's but for its pages, which are half empty: that suits who updates its rows.
	{byHand, "by_hand", "(account_id, id, report_id, notify, requested_by, job_id)", []string{
		`UPDATE invites i SET revoked_at = now(), revoked_by = r.id FROM by_hand r
		WHERE r.account_id = '%[1]s' AND i.account_id = '%[1]s' AND i.report_id = r.report_id AND i.revoked_at IS NULL`,
		`UPDATE by_hand r SET status = 'REVOKED', attempts = 1, completed_at = now() FROM invites i
		WHERE r.account_id = '%[1]s' AND i.account_id = '%[1]s' AND i.report_id = r.report_id AND i.revoked_by = r.id`,
	}},
	// The limit: each row is written once, with its outcome. Nothing is durable before it is done, and nobody else
	// sees what was asked for until then.
	{onceByHand, "asked", "", []string{
		`UPDATE invites i SET revoked_at = now(), revoked_by = r.id FROM asked r
		WHERE i.account_id = '%[1]s' AND i.report_id = r.report_id AND i.revoked_at IS NULL`,
		`INSERT INTO revocations (account_id, id, report_id, notify, requested_by, job_id, status, attempts, completed_at)
		SELECT r.account_id, r.id, r.report_id, r.notify, r.requested_by, r.job_id,
			CASE WHEN i.report_id IS NULL THEN 'NOT_FOUND' WHEN i.revoked_by = r.id THEN 'REVOKED' ELSE 'ALREADY_REVOKED' END, 1, now()
		FROM asked r LEFT JOIN invites i ON i.account_id = '%[1]s' AND i.report_id = r.report_id`,
	}},
}

// analyzed is the size from which it pays to tell the planner of the new rows: a hash join takes the place of a
// million look-ups.
const analyzed = largeJob

// byHand gives what it took on invites and an account of its own.
func (b *bench) byHand(size int, way handWay) (took time.Duration, used shares) {
	b.Helper()
	b.accounts++
	account := b.accountID()
	b.execute(b.database, `INSERT INTO accounts (account_id) VALUES ($1)`, account)
	b.execute(b.database, `CREATE TABLE IF NOT EXISTS by_hand (LIKE revocations INCLUDING ALL) WITH (fillfactor = 50)`)
	b.makeInvites(account, size)
	var rows bytes.Buffer
	for n := range size {
		_, _ = fmt.Fprintf(&rows, "%s,01979d10-2f3c-7a4e-8b5d-%012x,%d,f,01979d10-2f3c-7a4e-8b5d-1c2e3f405162,01979d10-2f3c-7a4e-8b5d-000000000000\n", account, n, n+1)
	}
	b.query(b.database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(b.Context(), `CREATE TEMPORARY TABLE asked (account_id text, id uuid, report_id bigint, notify boolean, requested_by uuid, job_id uuid)`)
		if err != nil {
			return err
		}
		before, began := b.shares(nil), time.Now()
		if _, err := conn.PgConn().CopyFrom(b.Context(), &rows, `COPY `+way.table+way.columns+` FROM STDIN (FORMAT csv)`); err != nil {
			return err
		}
		if size >= analyzed {
			if _, err := conn.Exec(b.Context(), `ANALYZE `+way.table); err != nil {
				return err
			}
		}
		for _, statement := range way.statements {
			tag, err := conn.Exec(b.Context(), fmt.Sprintf(statement, account))
			if err != nil {
				return err
			}
			if int(tag.RowsAffected()) != size {
				return fmt.Errorf("%d of %d rows: %s", tag.RowsAffected(), size, statement)
			}
		}
		took, used = time.Since(began), b.shares(nil).since(before)
		return nil
	})
	return took, used
}
