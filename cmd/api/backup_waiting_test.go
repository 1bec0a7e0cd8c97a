package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// TestBackup_whatWaits restores a dump to a moment before a job and a single revocation were cancelled, and finds and cancels
// them again as the documentation describes, before a worker starts.
func TestBackup_whatWaits(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	p := startProduction(t)
	api, _ := p.startAPI()
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	job := p.must(http.MethodPost, "/jobs", `{"report_ids":[1,2],"label":"waiting","not_before":"`+tomorrow+`"}`, "").str("id")
	single := p.must(http.MethodPost, "/assessments/invite/revoke", `{"report_id":3,"not_before":"`+tomorrow+`"}`, "").str("id")
	cancel := func(path, state string) {
		t.Helper()
		a := p.must(http.MethodPost, path+"/cancel", "", "")
		if a.str("state") != state && a.str("status") != state {
			t.Errorf("%s: %v", path, a.body)
		}
	}
	dump := filepath.Join(t.TempDir(), "rescind.dump")
	postgresTool(t, "pg_dump", "--format=custom", "--file="+dump, "--dbname="+p.database)
	cancel("/jobs/"+job, "CANCELLING")
	cancel("/revocations/"+single, "CANCELLED")
	api.kill()

	p.restore(dump)
	p.startAPI()
	_, command, _ := strings.Cut(documented(t, "backup.md"), `--command="`)
	statement, _, _ := strings.Cut(command, `"`)
	var listed []map[string]any
	p.query(func(conn *pgx.Conn) (err error) {
		rows, err := conn.Query(t.Context(), statement)
		if err != nil {
			return err
		}
		listed, err = pgx.CollectRows(rows, pgx.RowToMap)
		return err
	})
	if len(listed) != 1 {
		t.Fatalf("%d jobs are listed: %v", len(listed), listed)
	}
	want := map[string]any{"account_id": "acme", "state": "SCHEDULED", "total": int32(2), "label": "waiting"}
	for name, value := range want {
		if diff := cmp.Diff(value, listed[0][name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	cancel("/jobs/"+job, "CANCELLING")
	if list := p.must(http.MethodGet, "/revocations?status=PENDING", "", ""); !strings.Contains(fmt.Sprint(list.body), single) {
		t.Errorf("the single revocation is not listed: %v", list.body)
	}
	cancel("/revocations/"+single, "CANCELLED")

	p.startWorker()
	if a := p.ended(job); a.str("state") != "CANCELLED" {
		t.Errorf("%v", a.body)
	}
	if n := p.count(`SELECT count(*) FROM invites WHERE revoked_at IS NOT NULL`); n != 0 {
		t.Errorf("%d invites are revoked", n)
	}
}
