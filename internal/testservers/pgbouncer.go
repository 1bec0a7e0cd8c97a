package testservers

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PgBouncer starts a pooler in transaction mode in front of the PostgreSQL of a URL. It returns the URL of the same database
// through the pooler. All clients share four sessions of PostgreSQL.
func PgBouncer(t testing.TB, database string) string {
	t.Helper()
	path, err := find("pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := unprivileged("PgBouncer")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rescind-pgbouncer-") //nolint:usetesting // another user cannot enter the directory of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // best effort: the operating system cleans up temporary files
	before := *behind
	err = startOnFreePort(func(port int) error {
		before.Host = loopback(port)
		config, err := writePgBouncer(dir, behind, port, owner)
		if err != nil {
			return err
		}
		cmd := exec.Command(path, config) //nolint:gosec // the server that was found
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		p, err := startProcess(cmd, syscall.SIGKILL, filepath.Join(dir, "log"), func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			conn, err := pgx.Connect(ctx, before.String())
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		})
		if err == nil {
			t.Cleanup(p.kill)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return before.String()
}

func writePgBouncer(dir string, behind *url.URL, port int, owner *syscall.Credential) (config string, err error) {
	config, users := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "users")
	files := map[string]string{
		users: strconv.Quote(behind.User.Username()) + ` ""` + "\n",
		config: fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
`, behind.Hostname(), behind.Port(), port, users),
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	if owner == nil {
		return config, nil
	}
	for _, path := range []string{dir, users, config} {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return "", err
		}
	}
	return config, nil
}
