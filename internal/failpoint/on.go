//go:build failpoint

package failpoint

import (
	"fmt"
	"io"
	"net"
	"os"
)

// Reach tells whoever decides that this process is at the point, doing what is named, and goes on when the connection
// is closed. With nobody there it goes on at once.
func Reach(at Point, doing string) {
	addr := os.Getenv(Setting)
	if addr == "" {
		return
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }() // all has been said
	if _, err := fmt.Fprintf(conn, "%d %s: %s\n", os.Getpid(), at, doing); err == nil {
		_, _ = io.Copy(io.Discard, conn) // until it is closed, in whatever way
	}
}
