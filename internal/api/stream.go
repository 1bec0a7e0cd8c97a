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
	// lastPiece is how long it may take when the service stops, which must not wait for it.
	lastPiece = 2 * time.Second
)

// errStopping ends a stream that is not whole.
var errStopping = errors.New("the service stops")

// extendWrite gives the answer, or the next piece of it, time of its own to be written.
func (x *requestContext) extendWrite() error { return x.allowWrite(streamTimeout) }

func (x *requestContext) allowWrite(d time.Duration) error {
	if err := http.NewResponseController(x.Response()).SetWriteDeadline(time.Now().Add(d)); err != nil {
		return fmt.Errorf("extend the time to write: %w", err)
	}
	return nil
}

// beginStream sends the header of an answer whose length nobody knows yet. From now on an error breaks the
// connection, so that nobody takes the part for the whole. stop is closed when the service stops; end must be
// called when the stream has ended.
func (x *requestContext) beginStream(media string, stop <-chan struct{}) (end func()) {
	x.Response().Header()["Content-Type"] = []string{media}
	x.Response().WriteHeader(http.StatusOK)
	x.stop = stop
	ended, watching := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-stop:
			_ = x.allowWrite(lastPiece) // for a piece that is on its way; a connection that is gone needs no limit
		case <-ended:
		}
	}()
	return func() {
		close(ended)
		<-watching
	}
}

// stopping tells whether the service stops.
func (x *requestContext) stopping() bool {
	select {
	case <-x.stop:
		return true
	default:
		return false
	}
}

// send sends a piece of a stream on its way.
func (x *requestContext) send(piece []byte) error {
	err := x.extendWrite()
	if err == nil && x.stopping() { // asked after the time was set: what stops the service may have set it before
		err = x.allowWrite(lastPiece)
	}
	if err != nil {
		return x.broke(err)
	}
	if _, err := x.Response().Write(piece); err != nil {
		return x.broke(fmt.Errorf("write to the caller: %w", err))
	}
	if err := http.NewResponseController(x.Response()).Flush(); err != nil {
		return x.broke(fmt.Errorf("write to the caller: %w", err))
	}
	return nil
}

// broke notes why a stream broke off, for the log.
func (x *requestContext) broke(err error) error {
	x.err = err
	return err
}
