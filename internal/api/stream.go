package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// streamTimeout is how long a caller may take to read a piece of a stream.
	streamTimeout = 30 * time.Second
	// lastPiece is how long a caller may take when the service stops, so that slow callers do not delay the stop.
	lastPiece = 2 * time.Second
)

// errStopping is the error of a stream that the stop of the service ends early.
var errStopping = errors.New("the service stops")

// extendWrite allows streamTimeout from now for the next write of the response.
func (x *requestContext) extendWrite() error { return x.allowWrite(streamTimeout) }

func (x *requestContext) allowWrite(d time.Duration) error {
	if err := http.NewResponseController(x.Response()).SetWriteDeadline(time.Now().Add(d)); err != nil {
		return fmt.Errorf("extend the time to write: %w", err)
	}
	return nil
}

// beginStream sends the header of a response of unknown length. An error of the handler after it breaks the connection, so
// that the client can detect the incomplete response. stop must be closed when the service stops. The caller must call
// end when the stream has ended.
func (x *requestContext) beginStream(media string, stop <-chan struct{}) (end func()) {
	x.Response().Header()["Content-Type"] = []string{media}
	x.Response().WriteHeader(http.StatusOK)
	x.stop = stop
	ended, watching := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-stop:
			_ = x.allowWrite(lastPiece) // for a write that is running; a broken connection needs no deadline
		case <-ended:
		}
	}()
	return func() {
		close(ended)
		<-watching
	}
}

// stopping reports whether the service is stopping.
func (x *requestContext) stopping() bool {
	select {
	case <-x.stop:
		return true
	default:
		return false
	}
}

// send writes a piece of a stream and flushes it.
func (x *requestContext) send(piece []byte) error {
	err := x.extendWrite()
	if err == nil && x.stopping() { // checked after extendWrite, which may have replaced the deadline of the stop
		err = x.allowWrite(lastPiece)
	}
	if err != nil {
		return x.setErr(err)
	}
	if _, err := x.Response().Write(piece); err != nil {
		return x.setErr(fmt.Errorf("write to the caller: %w", err))
	}
	if err := http.NewResponseController(x.Response()).Flush(); err != nil {
		return x.setErr(fmt.Errorf("write to the caller: %w", err))
	}
	return nil
}

// setErr records why a stream ended early, for the log, and returns err.
func (x *requestContext) setErr(err error) error {
	x.err = err
	return err
}
