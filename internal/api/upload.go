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

	"rescind/internal/revocation"
)

const (
	// freeContent is how many bytes of content an upload may unpack to before it has an item. It is more than a
	// spreadsheet's million of blank rows.
	freeContent = 16 << 20
	// unpackedPerPacked is how many bytes of content each packed byte may add to that, whether or not they hold items.
	// Text packs to a tenth or so.
	unpackedPerPacked = 16
)

// upload reads what a body holds, unpacked. It bounds both forms, what unpacks to no items and how long the caller may
// send nothing but blanks, and keeps the fingerprint of what was read.
type upload struct {
	wire    *wire
	packed  bool
	content io.Reader // nil before the first Read
	read    int64     // bytes of the content
	left    int64
	// items is how many of them the content has had: whoever reads it counts them.
	items int64
	sum   hash.Hash
	err   error
}

// newUpload reads the body of a request, of at most limit bytes packed and unpacked. preface is what the
// fingerprint tells apart besides the content.
func newUpload(x *requestContext, packed bool, limit int64, preface []byte) *upload {
	u := &upload{wire: newWire(x, limit), packed: packed, left: limit, sum: sha256.New()}
	u.sum.Write(preface)
	return u
}

// Read gives problems as its errors, but for io.EOF.
func (u *upload) Read(p []byte) (int, error) {
	if u.err == nil {
		u.err = u.wire.whyStopped()
	}
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.unpack(p)
	u.sum.Write(p[:n])
	u.read += int64(n)
	if u.left -= int64(n); u.left < 0 {
		err = newProblem(codeTooLarge)
	}
	if hasContent(p[:n]) {
		u.wire.progress()
	}
	if u.packed && u.read > freeContent+u.items*uploadPerItem+u.wire.taken*unpackedPerPacked {
		err = newProblem(codeTooLarge).withDetail("The body unpacks to far more than its items take.")
	}
	u.err = err
	return n, err
}

// hasContent reports whether text has more than blanks, in UTF-8 or UTF-16.
func hasContent(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n', 0:
		default:
			return true
		}
	}
	return false
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
	return newProblem(codeMalformedJSON).withDetail("The body is not a whole gzip stream.")
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
