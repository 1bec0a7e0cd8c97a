// Package testservers runs the real servers that tests talk to: PostgreSQL, PgBouncer, Redis and its Sentinels as
// processes of their own, and a mail server that fails as it is told. All of them listen on free loopback ports only, keep
// their files in the system's directory for temporary files, and end with the test or with its binary,
// however that ends.
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
	"testing"
)

// FreePort finds a TCP port of 127.0.0.1 that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Ports below those that the kernel gives to outgoing connections: while a server is down, no client may
// take its port by chance.
const (
	firstPort = 20000
	lastPort  = 31999
)

func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		var l net.Listener
		if l, err = net.Listen("tcp", loopback(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Program is the path of a program that comes with a server.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// find returns the path of a server's program: from PATH, or from the newest of the other places, where
// Debian and PostgreSQL's own build put what is not for everyday use.
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
	for _, place := range []string{"/usr/local/pgsql/bin/", "/usr/sbin/"} { // not everybody's PATH has the latter
		if path, err := exec.LookPath(place + program); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: `make deps` installs what the tests need", program)
}

// starts is how often a server is started on another port when it ends before it is ready: in between,
// another process can take the port.
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
