package chaos_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/postgres"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

// Regression tests for the faults that the random test has found.

// A backend that is terminated during its commit commits, reports the commit, and then reports its termination.
func TestTerminatedDuringCommit(t *testing.T) {
	server := testservers.Postgres(t)
	migrate := exec.CommandContext(t.Context(), programs.api, "migrate")
	migrate.Env = []string{"DATABASE_URL=" + server, "PATH=" + os.Getenv("PATH")}
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `
		INSERT INTO accounts (account_id) VALUES ('a');
		INSERT INTO invites VALUES ('a', 1, 'n', 'n@candidate.example', 'x', now())`); err != nil {
		t.Fatal(err)
	}

	fatal := []byte("SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection due to administrator command\x00\x00")
	fatal = append([]byte{'E', 0, 0, 0, byte(len(fatal) + 4)}, fatal...)
	committed := []byte("COMMIT\x00")
	var armed atomic.Bool
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, u.Host, func(answer []byte) []byte {
		if end := bytes.Index(answer, committed); end >= 0 && armed.CompareAndSwap(true, false) {
			return append(bytes.Clone(answer[:end+len(committed)]), fatal...)
		}
		return answer
	})
	u.Host = p.addr()
	store, err := postgres.Open(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	armed.Store(true)
	_, err = store.Submit(t.Context(), []revocation.Submission{{
		ID: uuidv7.New(), Account: "a", ReportID: 1, RequestedBy: uuidv7.New(),
	}})
	if armed.Load() {
		t.Fatal("nothing was committed through the proxy")
	}
	var rows int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM work_items`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != 1 || err != nil && revocation.ErrorCode(err) != revocation.CodeOutcomeUnknown {
		t.Errorf("with %d rows, the submission returned: %v", rows, err)
	}
}

// A request for an email that joins after the call to the upstream is not reported as fulfilled.
func TestNotifyAfterCall(t *testing.T) {
	c := startCluster(t, 0, 100)
	r, remote := rand.New(rand.NewPCG(0, 0)), c.accounts[2]
	c.platform.SetFault(func(call testservers.PlatformCall) testservers.PlatformFault {
		if call.Nth == 1 {
			return testservers.PlatformFault{Delay: 3 * time.Second} // carried out after the caller has hung up
		}
		return testservers.PlatformFault{}
	})
	submit := func(notify bool, prefer string) (body revocationBody) {
		t.Helper()
		q := &request{report: 1, notify: notify, ref: "r"}
		for deadline := time.Now().Add(drainTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			res, err := c.do(r, call{
				account: remote, method: http.MethodPost, path: "/assessments/invite/revoke", body: q.body(),
				contentType: "application/json", prefer: prefer,
			})
			if err == nil && res.code < http.StatusMultipleChoices && json.Unmarshal(res.body, &body) == nil {
				return body
			}
		}
		t.Fatal("not accepted")
		return body
	}
	first := submit(false, "respond-async")
	for deadline := time.Now().Add(drainTime); len(c.platform.Calls()) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	joined := submit(true, "respond-async")
	if joined.ID != first.ID || joined.Final {
		t.Fatalf("the second submission came too late: %+v, %+v", first, joined)
	}
	var ended revocationBody
	for deadline := time.Now().Add(drainTime); !ended.Final && time.Now().Before(deadline); {
		ended, _ = c.readRevocation(r, remote, first.ID, "wait=10")
	}
	if joined.Notify || ended.Notify || ended.Notification.Status != "NOT_REQUESTED" || ended.Status != "REVOKED" || !ended.Inferred {
		t.Errorf("joined: %+v\nended: %+v", joined, ended)
	}
}
