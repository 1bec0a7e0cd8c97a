package testservers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// database and superuser are the names that initdb creates.
const (
	database  = "postgres"
	superuser = "postgres"
)

// clusterPrefix is the prefix of the names of the clusters' directories.
const clusterPrefix = "rescind-postgres-"

// cluster is a PostgreSQL data directory with its server.
type cluster struct {
	dir      string
	bin      string
	port     int
	settings []string
	// owner is the user that runs the server. It is nil for the user of the tests.
	owner   *syscall.Credential
	process *process
}

// newCluster creates and starts a cluster in a directory below parent, or below os.TempDir if parent is empty. If prepare is
// not nil, newCluster calls it before it starts the server.
func newCluster(parent string, settings []string, prepare func(*cluster) error) (*cluster, error) {
	initdb, err := find("initdb")
	if err != nil {
		return nil, err
	}
	// The other programs are in the same directory as the program, not as a link to it.
	initdb, err = filepath.EvalSymlinks(initdb)
	if err != nil {
		return nil, fmt.Errorf("find PostgreSQL: %w", err)
	}
	dir, err := os.MkdirTemp(parent, clusterPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	c := &cluster{dir: dir, bin: filepath.Dir(initdb), settings: settings}
	if err := c.init(); err != nil {
		c.remove()
		return nil, err
	}
	if prepare != nil {
		if err := prepare(c); err != nil {
			c.remove()
			return nil, err
		}
	}
	err = startOnFreePort(func(port int) error {
		c.port = port
		return c.start()
	})
	if err != nil {
		c.remove()
		return nil, err
	}
	return c, nil
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) init() error {
	if err := c.giveUpRoot(); err != nil {
		return err
	}
	args := []string{
		"--pgdata", c.data(), "--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync",
	}
	// Text is sorted by the rules of a language, as in production, and not by bytes as in Go. Before version 15 this needs a
	// locale of the system.
	linguistic := slices.Concat(args, []string{"--locale-provider", "icu", "--icu-locale", "und"})
	if err := c.command("initdb", linguistic...).Run(); err == nil {
		return nil
	}
	if out, err := c.command("initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// giveUpRoot sets another owner if the tests run as root.
func (c *cluster) giveUpRoot() error {
	owner, err := unprivileged("PostgreSQL")
	if err != nil || owner == nil {
		return err
	}
	c.owner = owner
	return c.own(c.dir)
}

// own makes the server's user the owner of a file.
func (c *cluster) own(path string) error {
	if c.owner == nil {
		return nil
	}
	if err := os.Chown(path, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
		return fmt.Errorf("change the owner of PostgreSQL's files: %w", err)
	}
	return nil
}

// unprivileged returns the user for a server that refuses to run as root. It returns nil if the tests do not run as root.
func unprivileged(server string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		owner, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user for %s, which refuses to run as root: %w", server, err)
	}
	uid, err := strconv.ParseUint(owner.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("id of the user for %s: %w", server, err)
	}
	gid, err := strconv.ParseUint(owner.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group of the user for %s: %w", server, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// encrypt makes the server accept TLS, with a certificate for hosts.
func (c *cluster) encrypt(by *Authority, hosts []string) error {
	cert, key, authority, err := by.write(c.dir, hosts)
	if err != nil {
		return fmt.Errorf("write PostgreSQL's certificate: %w", err)
	}
	for _, path := range []string{cert, key, authority} {
		if err := c.own(path); err != nil {
			return err
		}
	}
	c.settings = append(c.settings, "ssl=on", "ssl_cert_file="+cert, "ssl_key_file="+key)
	return nil
}

func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, program), args...) //nolint:gosec // the program that was found
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return cmd
}

func (c *cluster) start() (err error) {
	args := []string{
		"-D", c.data(), "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=200",
	}
	for _, setting := range c.settings {
		args = append(args, "-c", setting)
	}
	// On SIGQUIT the server exits at once, but frees its shared memory.
	c.process, err = startProcess(c.command("postgres", args...), syscall.SIGQUIT, filepath.Join(c.dir, "log"), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return c.execute(ctx, "SELECT 1")
	})
	return err
}

func (c *cluster) kill() {
	if c.process != nil {
		c.process.kill()
		c.process = nil
	}
}

// remove ends the server if it runs, and deletes its files.
func (c *cluster) remove() {
	if c.process != nil {
		c.process.end()
		c.process = nil
	}
	_ = os.RemoveAll(c.dir) // best effort: the operating system cleans up temporary files
}

func (c *cluster) url(database string) string {
	return "postgres://" + superuser + "@" + loopback(c.port) + "/" + database + "?sslmode=disable"
}

func (c *cluster) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.url(database))
	if err != nil {
		return fmt.Errorf("connect to the test's PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the connection is not used any more
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
