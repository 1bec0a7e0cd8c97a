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

// maxBlank is how long an upload is waited for that sends nothing but blanks.
const maxBlank = 30 * time.Second

// wire reads a body as it comes over the connection. The server's time limit, which is meant for a whole request,
// counts anew while bytes come in, so that an upload may take long but not fall silent.
type wire struct {
	body io.Reader
	// silence is how long the body may stay away; 0: without limit.
	silence time.Duration
	renewed time.Time
	// waited is how long the caller was waited for since the body last had more than blanks.
	waited time.Duration
	taken  int64 // bytes
	left   int64 // bytes that are still accepted
	// broken is why there is no more to read, once something went wrong.
	broken error

	mu      sync.Mutex // for what stopWith uses as well
	control *http.ResponseController
	ended   bool
	stopped error
	gone    bool // the caller
}

func newWire(x *requestContext, limit int64) *wire {
	r := x.Request()
	w := &wire{body: r.Body, control: http.NewResponseController(x.Response()), left: limit}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		w.silence = server.ReadTimeout
	}
	return w
}

// Read gives problems as its errors, but for io.EOF.
func (w *wire) Read(p []byte) (int, error) {
	if w.broken == nil {
		w.broken = w.renew()
	}
	if w.broken != nil {
		return 0, w.broken
	}
	began := time.Now()
	n, err := w.body.Read(p)
	w.waited += time.Since(began)
	w.taken += int64(n)
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

// progress notes that the body had more than blanks.
func (w *wire) progress() {
	if w.waited > time.Second {
		w.renewed = time.Time{} // the time limit was shortened by what was waited
	}
	w.waited = 0
}

// renew moves the time limit, about once a second, unless the upload has been stopped.
func (w *wire) renew() error {
	const often = 16
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped != nil || w.silence <= 0 || now.Sub(w.renewed) < w.silence/often {
		return w.stopped
	}
	w.renewed = now
	limit := now.Add(min(w.silence, maxBlank-w.waited))
	_ = w.control.SetReadDeadline(limit) // a connection that has none, or is gone, shows when it is read
	return nil
}

// stopWith has reading end when ctx ends, also where it waits for the caller, with the problem that the cause is. The
// caller must call release before the request has been answered.
func (w *wire) stopWith(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		cause := context.Cause(ctx)
		if w.gone = errors.Is(cause, context.Canceled); w.gone {
			return // reading fails by itself
		}
		w.stopped = uploadProblem(cause)
		if !w.ended { // else the limit would be the next request's
			_ = w.control.SetReadDeadline(time.Unix(1, 0)) // a connection that has none, or is gone, shows when it is read
		}
	})
	return func() { stop() }
}

// whyFailed is the problem of a read that failed with err.
func (w *wire) whyFailed(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped != nil {
		return w.stopped
	}
	return brokenBody(err)
}

// whyStopped returns why what was read before is not to be worked on, if so.
func (w *wire) whyStopped() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return brokenBody(context.Canceled)
	}
	return w.stopped
}

// leaveBody has the connection closed after the answer, which does not wait for the rest of the body: that may be long.
func (x *requestContext) leaveBody() { x.Response().Header()["Connection"] = []string{"close"} }

// uploadProblem is how an upload that ended early is answered.
func uploadProblem(err error) error {
	if revocation.ErrorCode(err) == revocation.CodeJobEnded {
		return newProblem(codeRequestTimeout).withDetail("The upload stood still for too long and was given up.")
	}
	return err
}
