package testservers

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// forgetful makes the shared cluster fast: nothing of it has to survive a power cut.
var forgetful = []string{"fsync=off", "full_page_writes=off", "synchronous_commit=off"}

// shared is the cluster of this test binary.
var shared struct {
	main      bool
	once      sync.Once
	cluster   *cluster
	err       error
	databases atomic.Int64
}

// Main runs a package's tests and then stops the cluster that Postgres shares among them. Such a package
// calls it from its TestMain.
func Main(m *testing.M) {
	shared.main = true
	m.Run()
	if shared.cluster != nil {
		shared.cluster.remove()
	}
}

// Postgres returns the postgres:// URL of a fresh, empty database, which is dropped when the test ends. Its
// server is shared by the test binary, takes 200 connections and does not wait for the disk.
func Postgres(t testing.TB) string {
	t.Helper()
	if !shared.main {
		t.Fatal("TestMain of this package has to call testservers.Main, which stops PostgreSQL at the end")
	}
	shared.once.Do(func() { shared.cluster, shared.err = newCluster(memoryDir(), forgetful, nil) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	name := fmt.Sprintf("test_%d", shared.databases.Add(1))
	if err := shared.cluster.execute(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended. FORCE, because a test of a failure may leave connections.
		if err := shared.cluster.execute(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return shared.cluster.url(name)
}

// PostgresServer is a PostgreSQL cluster for one test, as durable as PostgreSQL is by default.
type PostgresServer struct {
	t       testing.TB
	cluster *cluster
}

// StartPostgres makes and starts a cluster that is removed when the test ends. Settings, such as
// "max_connections=20", override the server's defaults.
func StartPostgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	return StartPostgresIn(t, "", settings...)
}

// StartPostgresIn is StartPostgres with the cluster's files below a directory that its user can enter.
func StartPostgresIn(t testing.TB, dir string, settings ...string) *PostgresServer {
	t.Helper()
	return startPostgres(t, dir, nil, settings)
}

// StartEncryptedPostgres is StartPostgres for a server that speaks TLS to those who ask for it, with a certificate
// that the authority issued for hosts; without any, for those of the loopback interface. Its URL does not ask.
func StartEncryptedPostgres(t testing.TB, by *Authority, hosts ...string) *PostgresServer {
	t.Helper()
	if len(hosts) == 0 {
		hosts = loopbackHosts
	}
	return startPostgres(t, "", func(c *cluster) error { return c.encrypt(by, hosts) }, nil)
}

func startPostgres(t testing.TB, dir string, prepare func(*cluster) error, settings []string) *PostgresServer {
	t.Helper()
	c, err := newCluster(dir, settings, prepare)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.remove)
	return &PostgresServer{t: t, cluster: c}
}

// URL names a database of the cluster that is empty at first. It stays the same for the server's life.
func (s *PostgresServer) URL() string { return s.cluster.url(database) }

// Kill ends the server and all its connections as kill -9 does. Its port then refuses connections.
func (s *PostgresServer) Kill() { s.cluster.kill() }

// Start starts a killed server again on the same port and waits until it has recovered.
func (s *PostgresServer) Start() {
	s.t.Helper()
	if s.cluster.process != nil {
		s.t.Fatal("the PostgreSQL server is running already")
	}
	if err := s.cluster.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Restart is Kill and Start.
func (s *PostgresServer) Restart() {
	s.t.Helper()
	s.Kill()
	s.Start()
}
