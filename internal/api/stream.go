package api

import (
	"fmt"
	"net/http"
	"time"
)

// streamTimeout is how long a caller may take to read a piece of a stream.
const streamTimeout = 30 * time.Second

// extendWrite gives the answer, or the next piece of it, time of its own to be written.
func (x *exchange) extendWrite() error {
	if err := http.NewResponseController(x.Response()).SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return fmt.Errorf("extend the time to write: %w", err)
	}
	return nil
}

// beginStream sends the header of an answer whose length nobody knows yet. From now on an error breaks the
// connection, so that nobody takes the part for the whole.
func (x *exchange) beginStream(media string) {
	x.Response().Header()["Content-Type"] = []string{media}
	x.Response().WriteHeader(http.StatusOK)
}

// send sends a piece of a stream on its way.
func (x *exchange) send(piece []byte) error {
	if err := x.extendWrite(); err != nil {
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
func (x *exchange) broke(err error) error {
	x.err = err
	return err
}
