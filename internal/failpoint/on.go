//go:build failpoint

package failpoint

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// Reach reports to the chaos suite that this process has reached a point with an action. It returns when the suite closes
// the connection, or at once if the suite does not listen.
func Reach(at Point, action string) {
	addr := os.Getenv(Setting)
	if addr == "" {
		return
	}
	conn, err := net.Dial("tcp", addr) //nolint:gosec // the suite that started the program sets the address
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }() // the suite has closed its side
	_, err = fmt.Fprintf(conn, "%s %d at %s: %s\n", filepath.Base(os.Args[0]), os.Getpid(), at, action)
	if err == nil {
		_, _ = io.Copy(io.Discard, conn) // returns when the connection is closed or broken
	}
}
