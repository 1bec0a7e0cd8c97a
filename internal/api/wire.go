package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// maxBlank is how long an upload may send only white space.
const maxBlank = 30 * time.Second

// wire reads a body from the connection. The server's read timeout is for a whole request. wire renews the deadline while
// bytes arrive, so that an upload may take long but must not pause.
type wire struct {
	body io.Reader
	slot *cpuSlot
	// maxPause is how long the body may pause; 0 for no limit.
	maxPause time.Duration
	renewed  time.Time // when the deadline was last set
	// waited is how long reads have waited since the body last had more than white space.
	waited   time.Duration
	received int64 // bytes
	left     int64 // bytes that are still accepted
	// broken is the error that ended the reading early.
	broken error

	mu           sync.Mutex // guards the fields below, which stopWith uses concurrently
	control      *http.ResponseController
	ended        bool
	stopped      error
	disconnected bool
}

func newWire(x *requestContext, slot *cpuSlot, limit int64) *wire {
	r := x.Request()
	w := &wire{body: r.Body, slot: slot, control: http.NewResponseController(x.Response()), left: limit}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		w.maxPause = server.ReadTimeout
	}
	return w
}

// Read returns problems as its errors, except io.EOF.
func (w *wire) Read(p []byte) (int, error) {
	if w.broken == nil {
		w.broken = w.renew()
	}
	if w.broken != nil {
		return 0, w.broken
	}
	w.slot.release()
	began := time.Now()
	n, err := w.body.Read(p)
	w.waited += time.Since(began)
	w.slot.acquire()
	w.received += int64(n)
	w.left -= int64(n)
	switch {
	case w.left < 0:
		w.broken = newProblem(codeTooLarge)
	case errors.Is(err, io.EOF):
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		return n, io.EOF
	case err != nil:
		w.broken = w.whyFailed(err)
	case w.waited > maxBlank:
		w.broken = newProblem(codeRequestTimeout)
	}
	return n, w.broken
}

// progress records that the body had more than white space.
func (w *wire) progress() {
	if w.waited > time.Second {
		w.renewed = time.Time{} // renew set an earlier deadline because of waited
	}
	w.waited = 0
}

// renew moves the read deadline, about once a second. It returns the problem of an upload that was stopped.
func (w *wire) renew() error {
	const renewals = 16 // in each maxPause
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped != nil || w.maxPause <= 0 || now.Sub(w.renewed) < w.maxPause/renewals {
		return w.stopped
	}
	w.renewed = now
	deadline := now.Add(min(w.maxPause, maxBlank-w.waited))
	_ = w.control.SetReadDeadline(deadline) // if the connection is broken, the read fails too
	return nil
}

// stopWith makes reads fail when ctx ends, also a read that is waiting. They return the problem for the cause of ctx. The
// caller must call release before it responds to the request.
func (w *wire) stopWith(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		cause := context.Cause(ctx)
		if w.disconnected = errors.Is(cause, context.Canceled); w.disconnected {
			return // reads of the connection fail anyway
		}
		w.stopped = uploadProblem(cause)
		if !w.ended { // otherwise the deadline would apply to the next request
			_ = w.control.SetReadDeadline(time.Unix(1, 0)) // if the connection is broken, the read fails too
		}
	})
	return func() { stop() }
}

// whyFailed returns the problem for a read that failed with err.
func (w *wire) whyFailed(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped != nil {
		return w.stopped
	}
	return brokenBody(err)
}

// whyStopped returns the problem if the upload was stopped or the caller disconnected, and else nil. Bytes that were read
// before must then not be processed.
func (w *wire) whyStopped() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disconnected {
		return brokenBody(context.Canceled)
	}
	return w.stopped
}

// leaveBody closes the connection after the response, because reading the rest of the body may take long.
func (x *requestContext) leaveBody() { x.Response().Header()["Connection"] = []string{"close"} }

// uploadProblem returns the error that the caller of an upload gets for err.
func uploadProblem(err error) error {
	if revocation.ErrorCode(err) == revocation.CodeJobEnded {
		return newProblem(codeRequestTimeout).withDetail("The upload paused for too long and was ended.")
	}
	return err
}
