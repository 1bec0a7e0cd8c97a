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

// database is the one that initdb makes, and superuser the role.
const (
	database  = "postgres"
	superuser = "postgres"
)

// clusterPrefix begins the name of a cluster's directory.
const clusterPrefix = "rescind-postgres-"

// cluster is a data directory with the server on it.
type cluster struct {
	dir      string
	bin      string
	port     int
	settings []string
	// owner runs the server; nil for the user of the tests.
	owner   *syscall.Credential
	process *process
}

// newCluster makes and starts a cluster in a directory below parent; empty: that for temporary files. prepare, when it is not nil, comes in between.
func newCluster(parent string, settings []string, prepare func(*cluster) error) (*cluster, error) {
	initdb, err := find("initdb")
	if err != nil {
		return nil, err
	}
	// The other programs stand beside it, not beside a link to it.
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
	// Text sorted by a language's rules, as in production, and not by its bytes as Go sorts it; before
	// version 15 there is no way to it that needs no locale of the system's.
	linguistic := slices.Concat(args, []string{"--locale-provider", "icu", "--icu-locale", "und"})
	if err := c.command("initdb", linguistic...).Run(); err == nil {
		return nil
	}
	if out, err := c.command("initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// giveUpRoot chooses another owner where the tests run as root.
func (c *cluster) giveUpRoot() error {
	owner, err := unprivileged("PostgreSQL")
	if err != nil || owner == nil {
		return err
	}
	c.owner = owner
	return c.own(c.dir)
}

// own gives a file of this process to the server.
func (c *cluster) own(path string) error {
	if c.owner == nil {
		return nil
	}
	if err := os.Chown(path, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
		return fmt.Errorf("give PostgreSQL its files: %w", err)
	}
	return nil
}

// unprivileged is the user for a server that refuses to run as root; nil where the tests do not.
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

// encrypt has the server accept TLS, with a certificate for hosts.
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
	cmd := exec.Command(filepath.Join(c.bin, program), args...) //nolint:gosec // PostgreSQL's own, as found
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
	// On SIGQUIT it ends at once, but gives its shared memory back.
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

// remove ends the server, if it runs, and leaves nothing of it.
func (c *cluster) remove() {
	if c.process != nil {
		c.process.end()
		c.process = nil
	}
	_ = os.RemoveAll(c.dir) // what cannot be removed is left to whoever tidies temporary files
}

func (c *cluster) url(database string) string {
	return "postgres://" + superuser + "@" + loopback(c.port) + "/" + database + "?sslmode=disable"
}

func (c *cluster) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.url(database))
	if err != nil {
		return fmt.Errorf("connect to the test's PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to be done on it
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
