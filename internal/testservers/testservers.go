// Package testservers runs the servers for tests: PostgreSQL, PgBouncer, Redis and its Sentinels as real processes, and a
// mail server and an upstream that fail as a test prescribes. All of them listen only on free loopback ports and keep their
// files in the directory for temporary files. They end with the test or with its binary, even if the binary is killed.
package testservers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// FreePort returns a TCP port of 127.0.0.1 that is not in use.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The ports are below those of the kernel for outgoing connections, so that no client gets the port of a server that is down.
const (
	firstPort = 20000
	lastPort  = 31999
)

// given are the ports that this process was given. It gets none twice: its tests run in parallel, and a port may be free because
// the server that it is for has not started yet, or is down.
var given sync.Map

func freePort() (int, error) {
	err := errors.New("all have been given")
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", loopback(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Program returns the path of a program that is installed with a server.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// find returns the path of a server's program: from PATH, or from the newest version in the directories in which Debian and
// PostgreSQL's build install programs outside of PATH.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	var newest string
	var version float64
	places, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program) // the pattern is well formed
	for _, path := range places {
		v, err := strconv.ParseFloat(strings.Split(path, "/")[4], 64)
		if err == nil && v > version {
			newest, version = path, v
		}
	}
	if newest != "" {
		return newest, nil
	}
	for _, place := range []string{"/usr/local/pgsql/bin/", "/usr/sbin/"} { // some users have no /usr/sbin in PATH
		if path, err := exec.LookPath(place + program); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: `make deps` installs what the tests need", program)
}

// starts is how often a server is started, each time on another port. It may exit before it is ready, because another process
// has taken the port.
const starts = 3

func startOnFreePort(start func(port int) error) error {
	var failed error
	for range starts {
		port, err := freePort()
		if err != nil {
			return err
		}
		err = start(port)
		if err == nil {
			return nil
		}
		failed = err
		if !errors.Is(err, errEnded) {
			return err
		}
	}
	return failed
}
