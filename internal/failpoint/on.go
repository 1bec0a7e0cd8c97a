//go:build failpoint

package failpoint

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// Reach tells whoever decides that this process is at the point, doing what is named, and goes on when the connection
// is closed. With nobody there it goes on at once.
func Reach(at Point, doing string) {
	addr := os.Getenv(Setting)
	if addr == "" {
		return
	}
	conn, err := net.Dial("tcp", addr) //nolint:gosec // the suite that started the program says where
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }() // all has been said
	_, err = fmt.Fprintf(conn, "%s %d at %s: %s\n", filepath.Base(os.Args[0]), os.Getpid(), at, doing)
	if err == nil {
		_, _ = io.Copy(io.Discard, conn) // until it is closed, in whatever way
	}
}
