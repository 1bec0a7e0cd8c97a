package testservers

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// Standby creates and starts a standby of the server. It is read-only until Promote, and is removed when the test ends.
func (s *PostgresServer) Standby(settings ...string) *PostgresServer {
	s.t.Helper()
	dir, err := os.MkdirTemp("", clusterPrefix)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &cluster{dir: dir, bin: s.cluster.bin, settings: settings, owner: s.cluster.owner}
	s.t.Cleanup(c.remove)
	if err := c.own(dir); err != nil {
		s.t.Fatal(err)
	}
	// pg_basebackup includes the changes during the copy, and configures the standby to follow this server.
	copying := c.command("pg_basebackup", "--pgdata", c.data(), "--host", "127.0.0.1", "--port", strconv.Itoa(s.cluster.port),
		"--username", superuser, "--checkpoint", "fast", "--wal-method", "stream", "--write-recovery-conf", "--no-sync")
	if out, err := copying.CombinedOutput(); err != nil {
		s.t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	err = startOnFreePort(func(port int) error {
		c.port = port
		return c.start()
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &PostgresServer{t: s.t, cluster: c}
}

// Promote makes the standby a primary, and returns when it accepts writes.
func (s *PostgresServer) Promote() {
	s.t.Helper()
	if err := s.cluster.execute(s.t.Context(), fmt.Sprintf("SELECT pg_promote(true, %d)", readyTimeout/time.Second)); err != nil {
		s.t.Fatal(err)
	}
}

// Address returns the host and port on which the server listens.
func (s *PostgresServer) Address() string { return loopback(s.cluster.port) }
