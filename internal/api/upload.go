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
	// freeContent is the size of content that an upload may decompress to without any item, in bytes. It is more than a
	// million blank rows of a spreadsheet.
	freeContent = 16 << 20
	// contentPerByte is how many more bytes of content each compressed byte may decompress to, with or without items. Text
	// compresses to about a tenth of its size.
	contentPerByte = 16
)

// upload reads the content of a body, and decompresses it if necessary. It limits the size before and after
// decompression, the content without items, and the time without content other than white space. It computes the
// fingerprint of the content.
type upload struct {
	wire    *wire
	gzipped bool
	content io.Reader // nil before the first Read
	read    int64     // bytes of the content
	left    int64
	// items is the number of items in the content so far. The reader of the content must count them.
	items int64
	sum   hash.Hash
	err   error
}

// newUpload returns an upload that reads the body of a request. The body may have at most limit bytes, compressed and
// decompressed. The fingerprint covers preface and the content. The
// upload acquires slot for each block.
func newUpload(x *requestContext, slot *cpuSlot, gzipped bool, limit int64, preface []byte) *upload {
	u := &upload{wire: newWire(x, slot, limit), gzipped: gzipped, left: limit, sum: sha256.New()}
	u.sum.Write(preface)
	return u
}

// Read returns problems as its errors, except io.EOF.
func (u *upload) Read(p []byte) (int, error) {
	if u.err == nil {
		u.err = u.wire.whyStopped()
	}
	if u.err != nil {
		return 0, u.err
	}
	if u.wire.slot.held {
		u.wire.slot.yield()
	}
	n, err := u.decompress(p)
	u.sum.Write(p[:n])
	u.read += int64(n)
	if u.left -= int64(n); u.left < 0 {
		err = newProblem(codeTooLarge)
	}
	if hasContent(p[:n]) {
		u.wire.progress()
	}
	if u.gzipped && u.read > freeContent+u.items*uploadPerItem+u.wire.received*contentPerByte {
		err = newProblem(codeTooLarge).withDetail("The body decompresses to many times the size of its items.")
	}
	u.err = err
	return n, err
}

// hasContent reports whether text, in UTF-8 or UTF-16, has more than white space.
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

// gzipBuffer is how many bytes of a compressed body are read at once.
const gzipBuffer = 32 << 10

func (u *upload) decompress(p []byte) (int, error) {
	if !u.gzipped {
		return u.wire.Read(p)
	}
	if u.content == nil {
		content, err := gzip.NewReader(bufio.NewReaderSize(u.wire, gzipBuffer))
		if err != nil {
			return 0, notGzip(err)
		}
		u.content = content
	}
	n, err := u.content.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, notGzip(err)
}

// notGzip returns err if it is a problem, and else the problem that the body is not valid gzip.
func notGzip(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return newProblem(codeMalformedJSON).withDetail(notGzipDetail)
}

const notGzipDetail = "The body is not a complete gzip stream."

// fingerprint returns the fingerprint of the preface and the content that was read.
func (u *upload) fingerprint() (f revocation.Fingerprint) {
	u.sum.Sum(f[:0])
	return f
}

// isGzipped reports whether a body is compressed by gzip; ok is false for any other Content-Encoding.
func isGzipped(h http.Header) (gzipped, ok bool) {
	for _, sent := range h["Content-Encoding"] {
		for name := range strings.SplitSeq(sent, ",") {
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "identity"):
			case strings.EqualFold(name, "gzip") && !gzipped:
				gzipped = true
			default:
				return false, false
			}
		}
	}
	return gzipped, true
}
