package testservers

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// forgetful makes the shared cluster fast. Its data does not have to survive a power failure.
var forgetful = []string{"fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=500"}

// shared is the cluster that all tests of this binary use.
var shared struct {
	main      bool
	once      sync.Once
	cluster   *cluster
	err       error
	databases atomic.Int64
}

// Main runs a package's tests and then stops the cluster that Postgres shares among them. A package that calls Postgres must
// call Main from its TestMain.
func Main(m *testing.M) {
	shared.main = true
	m.Run()
	if shared.cluster != nil {
		shared.cluster.remove()
	}
}

// Postgres returns the postgres:// URL of a new, empty database, which is dropped when the test ends. The tests of a binary
// share its server, which accepts 500 connections and does not wait for the disk.
func Postgres(t testing.TB) string {
	t.Helper()
	start(t)
	return copyOf(t, "template1")
}

// migrated is the database that PostgresWith copies.
var migrated struct {
	once sync.Once
	err  error
}

// PostgresWith is Postgres with the tables that migrate makes. It migrates one database for all tests of a binary, and gives
// each test a copy of it, so they must all use the same function.
func PostgresWith(t testing.TB, migrate func(ctx context.Context, url string) (int, error)) string {
	t.Helper()
	start(t)
	const name = "migrated"
	migrated.once.Do(func() {
		if migrated.err = shared.cluster.execute(context.Background(), "CREATE DATABASE "+name); migrated.err == nil {
			_, migrated.err = migrate(context.Background(), shared.cluster.url(name))
		}
	})
	if migrated.err != nil {
		t.Fatal(migrated.err)
	}
	return copyOf(t, name)
}

// start starts the shared cluster, if it does not run yet.
func start(t testing.TB) {
	t.Helper()
	if !shared.main {
		t.Fatal("TestMain of this package has to call testservers.Main, which stops PostgreSQL at the end")
	}
	shared.once.Do(func() { shared.cluster, shared.err = newCluster(memoryDir(), forgetful, nil) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
}

// copyOf copies a database that nobody is connected to, and returns the URL of the copy.
func copyOf(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", shared.databases.Add(1))
	if err := shared.cluster.execute(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The context of the test has ended. FORCE is needed because a test of a failure may leave connections.
		if err := shared.cluster.execute(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return shared.cluster.url(name)
}

// PostgresServer is a PostgreSQL cluster for one test, with the default durability.
type PostgresServer struct {
	t       testing.TB
	cluster *cluster
}

// StartPostgres creates and starts a cluster that is removed when the test ends. Settings, such as
// "max_connections=20", override the server's defaults.
func StartPostgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	return StartPostgresIn(t, "", settings...)
}

// StartPostgresIn is StartPostgres with the cluster's files below a directory. PostgreSQL's user must be able to enter it.
func StartPostgresIn(t testing.TB, dir string, settings ...string) *PostgresServer {
	t.Helper()
	return startPostgres(t, dir, nil, settings)
}

// StartEncryptedPostgres is StartPostgres for a server that also accepts TLS. The authority issues its certificate for
// hosts, or for the names of the loopback interface if there are none. The URL of the server does not request TLS.
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

// URL returns the URL of a database that is empty at first. It does not change.
func (s *PostgresServer) URL() string { return s.cluster.url(database) }

// Kill ends the server and all its connections with SIGKILL. Its port then refuses connections.
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

// Restart calls Kill and Start.
func (s *PostgresServer) Restart() {
	s.t.Helper()
	s.Kill()
	s.Start()
}

// PostgresProgram returns the path of a program that comes with the server, such as pg_dump.
func PostgresProgram(t testing.TB, name string) string {
	t.Helper()
	initdb, err := find("initdb")
	if err == nil {
		initdb, err = filepath.EvalSymlinks(initdb)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(initdb), name)
}
