package api

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"rescind/internal/revocation"
)

// wire reads a body as it comes over the connection. The server's time limit, which is meant for a whole request,
// counts anew while bytes come in, so that an upload may take long but not fall silent.
type wire struct {
	body    io.Reader
	control *http.ResponseController
	// silence is how long the body may stay away; 0: without limit.
	silence time.Duration
	renewed time.Time
	left    int64 // bytes that are still accepted
	ended   bool
	// broken is why there is no more to read, once something went wrong.
	broken error
}

func newWire(x *exchange, limit int64) *wire {
	r := x.Request()
	w := &wire{body: r.Body, control: http.NewResponseController(x.Response()), left: limit}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		w.silence = server.ReadTimeout
	}
	return w
}

// Read gives problems as its errors, but for io.EOF.
func (w *wire) Read(p []byte) (int, error) {
	w.renew()
	n, err := w.body.Read(p)
	w.left -= int64(n)
	switch {
	case w.left < 0:
		w.broken = newProblem(codeTooLarge)
	case errors.Is(err, io.EOF):
		w.ended = true
		return n, io.EOF
	case err != nil:
		w.broken = brokenBody(err)
	}
	return n, w.broken
}

// renew moves the time limit, about once a second.
func (w *wire) renew() {
	const often = 16
	now := time.Now()
	if w.silence <= 0 || now.Sub(w.renewed) < w.silence/often {
		return
	}
	w.renewed = now
	_ = w.control.SetReadDeadline(now.Add(w.silence)) // a connection that has none, or is gone, shows when it is read
}

// upload reads what a body holds, unpacked. It bounds both forms and keeps the fingerprint of what was read.
type upload struct {
	wire    *wire
	packed  bool
	content io.Reader // nil before the first Read
	left    int64
	sum     hash.Hash
	err     error
}

// newUpload reads the body of a request, of at most limit bytes packed and unpacked. preface is what the
// fingerprint tells apart besides the content.
func newUpload(x *exchange, packed bool, limit int64, preface []byte) *upload {
	u := &upload{wire: newWire(x, limit), packed: packed, left: limit, sum: sha256.New()}
	u.sum.Write(preface)
	return u
}

// Read gives problems as its errors, but for io.EOF.
func (u *upload) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.unpack(p)
	u.sum.Write(p[:n])
	if u.left -= int64(n); u.left < 0 {
		err = newProblem(codeTooLarge)
	}
	u.err = err
	return n, err
}

// packedBuffer is for what is read of a packed body at once.
const packedBuffer = 32 << 10

func (u *upload) unpack(p []byte) (int, error) {
	if !u.packed {
		return u.wire.Read(p)
	}
	if u.content == nil {
		unpacked, err := gzip.NewReader(bufio.NewReaderSize(u.wire, packedBuffer))
		if err != nil {
			return 0, notGzip(err)
		}
		u.content = unpacked
	}
	n, err := u.content.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, notGzip(err)
}

// notGzip is the problem of a body that cannot be unpacked, unless it cannot be read at all.
func notGzip(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return newProblem(codeMalformedJSON).says("The body is not a whole gzip stream.")
}

// fingerprint is that of all that was read.
func (u *upload) fingerprint() (f revocation.Fingerprint) {
	u.sum.Sum(f[:0])
	return f
}

// unpacks tells whether a body is packed by gzip; ok is false for any other Content-Encoding.
func unpacks(h http.Header) (packed, ok bool) {
	for _, sent := range h["Content-Encoding"] {
		for name := range strings.SplitSeq(sent, ",") {
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "identity"):
			case strings.EqualFold(name, "gzip") && !packed:
				packed = true
			default:
				return false, false
			}
		}
	}
	return packed, true
}
