package testservers

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
)

const (
	codeOK       = 250
	scriptedText = "as the test has it"
)

// The end of a message, as the protocol's server reads it.
const finalDot = ".\r\n"

// scriptedListener hands out connections whose greeting and whose answer to DATA can be replaced: the two
// that the protocol's server does not ask its backend about.
type scriptedListener struct {
	net.Listener
	server *SMTPServer
}

// Accept never waits for a handshake; the greeting does.
func (l scriptedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.server.mu.Lock()
	l.server.connections++
	l.server.mu.Unlock()
	if l.server.tls != nil {
		conn = tls.Server(conn, l.server.tls)
	}
	return &scriptedConn{Conn: conn, server: l.server}, nil
}

// scriptedConn sees the server's answers in clear text until STARTTLS. One goroutine reads and writes it.
type scriptedConn struct {
	net.Conn
	server  *SMTPServer
	greeted bool
	// last makes the next answer the last: the connection is closed behind it.
	last bool
	// refused stands from a refused DATA until the protocol's server, which does not know of it, has read
	// an empty message and answered it.
	refused bool
	dot     string
}

// Write sends an answer, or what a fault puts in its place.
func (c *scriptedConn) Write(answer []byte) (int, error) {
	switch {
	case c.refused:
		c.refused = false
		return len(answer), nil
	case !c.greeted:
		c.greeted = true
		return c.replace(answer, c.server.fault(StepConnect))
	case bytes.HasPrefix(answer, []byte("354 ")):
		fault := c.server.fault(StepData)
		if c.refused = fault.Code != 0; c.refused {
			c.dot = finalDot
		}
		return c.replace(answer, fault)
	}
	return c.send(answer)
}

func (c *scriptedConn) replace(answer []byte, f Fault) (int, error) {
	switch {
	case f.Stall:
		<-c.server.stopped
		return 0, c.closeAs(net.ErrClosed)
	case f.Code != 0:
		c.last = f.Close
		if _, err := c.send(fmt.Appendf(nil, "%d %s\r\n", f.Code, f.text())); err != nil {
			return 0, err
		}
		return len(answer), nil
	case f.Close:
		return 0, c.closeAs(net.ErrClosed)
	}
	return c.send(answer)
}

func (f Fault) text() string { return cmp.Or(f.Text, scriptedText) }

func (c *scriptedConn) send(answer []byte) (int, error) {
	n, err := c.Conn.Write(answer)
	if c.last {
		return n, c.closeAs(err)
	}
	return n, err
}

func (c *scriptedConn) closeAs(err error) error {
	_ = c.Close() // whoever reads next finds out
	return err
}

// Read reads what the client sends.
func (c *scriptedConn) Read(p []byte) (int, error) {
	if c.dot != "" {
		n := copy(p, c.dot)
		c.dot = c.dot[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
