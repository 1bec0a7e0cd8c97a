package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

// beforeChunks are jobs as version 4 keeps them. Of the one, the first two rows are carried out, the next has gone on by
// itself, and the others are in two chunks; the other is being received.
const beforeChunks = `
	INSERT INTO jobs (account_id, id, state, notify, requested_by, route, total, invalid, revoked, not_found, started_at)
		VALUES ('acme', '%[1]s', 'RUNNING', true, '%[1]s', 'jobs', 7, 1, 1, 1, now());
	INSERT INTO jobs (account_id, id, requested_by, route, lease_until)
		VALUES ('acme', '%[2]s', '%[2]s', 'jobs', now() + interval '1 day');
	INSERT INTO chunks VALUES ('acme', '%[1]s', 4, 5), ('acme', '%[1]s', 6, 7);
	INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by, job_id, status, completed_at)
		SELECT 'acme', overlay(job PLACING lpad(to_hex(n), 8, '0') FROM 29)::uuid, report, wish, reference, job::uuid, job::uuid,
			status, CASE WHEN status <> 'PENDING' THEN now() END
		FROM (VALUES ('%[1]s', 1, 11, true, 'a', 'REVOKED'), ('%[1]s', 2, 12, true, NULL, 'NOT_FOUND'),
			('%[1]s', 3, 13, NULL, 'c', 'PENDING'), ('%[1]s', 4, 14, NULL, NULL, 'PENDING'), ('%[1]s', 5, NULL, NULL, 'e', 'INVALID'),
			('%[1]s', 6, 16, false, NULL, 'PENDING'), ('%[1]s', 7, 17, NULL, 'g', 'PENDING'),
			('%[2]s', 1, 21, NULL, NULL, 'PENDING')) AS t(job, n, report, wish, reference, status);
	INSERT INTO outstanding (account_id, revocation_id, report_id, single, notify, look_at, job_id, pulled)
		SELECT account_id, id, report_id, false, true, now(), job_id, true FROM revocations WHERE report_id = 13;
	INSERT INTO accounts (account_id) VALUES ('acme');
	INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(11, 16) n`

// to takes a database's tables to a version, up or down.
func to(t *testing.T, url string, version int64) {
	t.Helper()
	db, provider, err := migrations(url)
	must(t, err)
	now, err := provider.GetDBVersion(t.Context())
	must(t, err)
	if now < version {
		_, err = provider.UpTo(t.Context(), version)
	} else {
		_, err = provider.DownTo(t.Context(), version)
	}
	must(t, errors.Join(err, db.Close()))
}

func TestMigrate_Chunks(t *testing.T) {
	job, upload := revocation.JobID(uuidv7.New()), revocation.JobID(uuidv7.New())
	begin := func(t *testing.T) (url string, conn *pgx.Conn) {
		url = testservers.Postgres(t)
		to(t, url, 4)
		conn = connect(t, url)
		_, err := conn.Exec(t.Context(), fmt.Sprintf(beforeChunks, job, upload))
		must(t, err)
		return url, conn
	}
	t.Run("what waits in chunks goes there, and is read and carried out as before", func(t *testing.T) {
		url, conn := begin(t)
		to(t, url, 5)
		s := open(t, url)
		read := func(want ...revocation.Status) (references []string) {
			t.Helper()
			page, err := s.Results(t.Context(), revocation.ResultFilter{Account: "acme", Job: job, Limit: 100})
			must(t, err)
			var got []revocation.Status
			for i, r := range page.Entries {
				if r.ID != job.Item(i+1) || r.Status != revocation.StatusInvalid && r.ReportID != int64(i+11) || r.Notify != (i != 5) {
					t.Errorf("row %d is %+v", i+1, r)
				}
				if r.ClientReference != nil {
					references = append(references, *r.ClientReference)
				}
				got = append(got, r.Status)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			return references
		}
		const waits = revocation.StatusPending
		read(revocation.StatusRevoked, revocation.StatusNotFound, waits, waits, revocation.StatusInvalid, waits, waits)
		var rows int
		must(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM revocations WHERE status = 'PENDING' AND job_id = $1`, uuid(job)).Scan(&rows))
		if rows != 1 {
			t.Errorf("%d items have rows, want the one that goes on by itself", rows)
		}
		for range 2 {
			_, err := s.CarryOutChunk(t.Context(), "acme", false)
			must(t, err)
		}
		references := read(revocation.StatusRevoked, revocation.StatusNotFound, waits, revocation.StatusRevoked,
			revocation.StatusInvalid, revocation.StatusRevoked, revocation.StatusNotFound)
		if diff := cmp.Diff([]string{"a", "c", "e", "g"}, references); diff != "" {
			t.Error(diff)
		}
		for deleted := 1; deleted > 0; { // of the upload that was given up
			var err error
			deleted, err = s.ClearDropped(t.Context(), 100)
			must(t, err)
		}
		must(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM revocations WHERE job_id = $1`, uuid(upload)).Scan(&rows))
		if rows != 0 {
			t.Errorf("%d rows of an upload that was given up", rows)
		}
	})
	t.Run("down again, all is as it was", func(t *testing.T) {
		url, conn := begin(t)
		dump := func() (rows []string) {
			t.Helper()
			found, err := connect(t, url).Query(t.Context(), `
				SELECT to_jsonb(r)::text FROM revocations r WHERE job_id = $1
				UNION ALL SELECT to_jsonb(o)::text FROM outstanding o UNION ALL SELECT to_jsonb(c)::text FROM chunks c
				UNION ALL SELECT to_jsonb(j)::text FROM jobs j WHERE id = $1 ORDER BY 1`, uuid(job))
			must(t, err)
			rows, err = pgx.CollectRows(found, pgx.RowTo[string])
			must(t, err)
			return rows
		}
		before := dump()
		to(t, url, 5)
		s := open(t, url)
		// An upload whose chunks version 4 would make once more.
		fresh := revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", Route: revocation.RouteJobs}
		_, err := s.BeginJob(t.Context(), fresh, patience)
		must(t, err)
		must(t, s.AddItems(t.Context(), fresh, []revocation.Item{{Row: 1, ReportID: 1}}, patience))
		to(t, url, 4)
		if diff := cmp.Diff(before, dump()); diff != "" {
			t.Error(diff)
		}
		var states []string
		must(t, conn.QueryRow(t.Context(), `SELECT array_agg(state) FROM jobs WHERE id <> $1`, uuid(job)).Scan(&states))
		if diff := cmp.Diff([]string{"DROPPED", "DROPPED"}, states); diff != "" {
			t.Error(diff)
		}
	})
}
