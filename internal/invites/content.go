package invites

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

var mark = []byte("\ufeff")

// Content returns what is in a file, unpacked if the file is packed by gzip, and reports whether it is lines of JSON. Files
// have no media type, so the first bytes decide. If they cannot be read, the reader returns the error.
func Content(file io.Reader) (content io.Reader, isJSON bool, err error) {
	b := bufio.NewReader(file)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, false, notUnpacked(err)
		}
		b = bufio.NewReader(unpacked{z})
	}
	return b, beginsWithObject(b), nil
}

// beginsWithObject reports whether a text begins with an object of JSON. It consumes nothing, and reads no more than it
// needs, because standard input may wait for a person.
func beginsWithObject(b *bufio.Reader) bool {
	for n := 1; ; n++ {
		beginning, err := b.Peek(n)
		text := bytes.TrimLeft(bytes.TrimPrefix(beginning, mark), " \t\r\n")
		switch {
		case err != nil:
			return len(text) > 0 && text[0] == '{'
		case len(text) == 0 || bytes.HasPrefix(mark, beginning):
		case text[0] != '{':
			return false
		case len(text) > 1:
			return text[1] != '\\' // that is Rich Text
		}
	}
}

// unpacked is a gzip stream whose errors report that it is one.
type unpacked struct{ *gzip.Reader }

func (u unpacked) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = notUnpacked(err)
	}
	return n, err
}

func notUnpacked(err error) error { return fmt.Errorf("unpack the file: %w", err) }
