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

// The end of a message, as the SMTP library reads it.
const finalDot = ".\r\n"

// scriptedListener returns connections on which a script can replace the greeting and the answer to DATA. For these two, the
// SMTP library does not call its backend.
type scriptedListener struct {
	net.Listener
	server *SMTPServer
}

// Accept does not wait for a TLS handshake. Writing the greeting does.
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

// scriptedConn reads the server's answers in clear text until STARTTLS. Only one goroutine uses it.
type scriptedConn struct {
	net.Conn
	server  *SMTPServer
	greeted bool
	// last closes the connection after the next answer.
	last bool
	// refused is set when a script refuses DATA. The SMTP library does not know of the refusal, so refused stays set until the
	// library has read and answered an empty message.
	refused bool
	dot     string
}

// Write sends an answer, or replaces it as a fault prescribes.
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
	_ = c.Close() // the next read returns the error
	return err
}

// Read reads from the client.
func (c *scriptedConn) Read(p []byte) (int, error) {
	if c.dot != "" {
		n := copy(p, c.dot)
		c.dot = c.dot[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
