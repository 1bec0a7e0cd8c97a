package rows

import (
	"bufio"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// stringGroup is how many strings are read at once. Memory holds the position of each group.
	stringGroup = 32
	// cachedGroups is how many groups are cached. A sheet mostly uses strings in their order, and a few of them often.
	cachedGroups = 256
	// maxCached bounds the cache in bytes. A group that is larger is read again for each string.
	maxCached = 1 << 20
	// maxString is how many bytes of a string are kept: more than a row can have.
	maxString = MaxRow + 1
)

// sharedStrings holds the shared strings of a workbook in a file.
type sharedStrings struct {
	file   *os.File
	starts []uint32 // of the groups; the last is the end
	n      int
	cached int // bytes
	cache  [cachedGroups]stringsOfGroup
}

type stringsOfGroup struct {
	group int // from 1; 0 for none
	texts []string
}

// readStrings copies the strings of a workbook to a file, each after its length.
func (b *workbook) readStrings(name string) (s *sharedStrings, err error) {
	p, err := b.openPart(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.content.Close() }() // it was only read
	s = &sharedStrings{}
	if s.file, err = temporary(); err != nil {
		return nil, err
	}
	b.strings = s // so that Close closes it after an error too
	w := bufio.NewWriterSize(s.file, 1<<16)
	var text richText
	end := uint32(0)
	for {
		t, err := p.token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		text.take(t)
		if e, ok := t.(xml.EndElement); !ok || e.Name.Local != "si" {
			continue
		}
		if s.n%stringGroup == 0 {
			s.starts = append(s.starts, end)
		}
		s.n++
		var length [binary.MaxVarintLen32]byte
		n := binary.PutUvarint(length[:], uint64(len(text.b)))
		_, _ = w.Write(length[:n]) // Flush returns the error
		_, _ = w.Write(text.b)
		end += uint32(n + len(text.b)) //nolint:gosec // no more than maxUnpacked
		text.b = text.b[:0]
	}
	s.starts = append(s.starts, end)
	if err := w.Flush(); err != nil {
		return s, fmt.Errorf("keep a list: %w", err)
	}
	return s, nil
}

// get returns a string by its number, from 0.
func (s *sharedStrings) get(n int) (string, error) {
	if s == nil || n < 0 || n >= s.n {
		return "", errDamaged
	}
	group := n / stringGroup
	c := &s.cache[group%cachedGroups]
	if c.group != group+1 {
		b := make([]byte, s.starts[group+1]-s.starts[group])
		if _, err := s.file.ReadAt(b, int64(s.starts[group])); err != nil {
			return "", fmt.Errorf("keep a list: %w", err)
		}
		if s.cached += len(b); s.cached > maxCached {
			s.cached = len(b)
			clear(s.cache[:])
		}
		c.group, c.texts = group+1, c.texts[:0]
		for text := string(b); text != ""; {
			length, n := binary.Uvarint(b)
			c.texts = append(c.texts, text[n:n+int(length)])  //nolint:gosec // as it was written
			text, b = text[n+int(length):], b[n+int(length):] //nolint:gosec // as it was written
		}
	}
	return c.texts[n%stringGroup], nil
}

// richText collects a text that may consist of several runs, without phonetic hints. It keeps only the beginning of a text
// that is longer than a row can be.
type richText struct {
	b        []byte
	in       bool // an element t
	phonetic bool
}

func (r *richText) take(t xml.Token) {
	switch e := t.(type) {
	case xml.StartElement:
		switch e.Name.Local {
		case "t":
			r.in = !r.phonetic
		case "rPh":
			r.phonetic = true
		}
	case xml.EndElement:
		switch e.Name.Local {
		case "t":
			r.in = false
		case "rPh":
			r.phonetic = false
		}
	case xml.CharData:
		if r.in {
			r.b = append(r.b, e[:min(len(e), maxString-len(r.b))]...)
		}
	}
}

// unescaped returns a text of a workbook with its escapes replaced: _x000D_, for example, stands for a character that XML
// cannot contain.
func unescaped(s string) string {
	if !strings.Contains(s, "_x") {
		return s
	}
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		var c rune
		if _, err := fmt.Sscanf(e, "_x%04x_", &c); err != nil {
			return e
		}
		return string(c)
	})
}
