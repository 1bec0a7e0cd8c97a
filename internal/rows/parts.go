package rows

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strings"
)

// part reads the XML of a part of a workbook token by token, in bounded memory.
type part struct {
	book    *workbook
	content io.ReadCloser
	decoder *xml.Decoder
	// element is how many bytes of the present token may still be read.
	element int
	err     error
}

// openPart opens a part.
func (b *workbook) openPart(name string) (*part, error) {
	f := b.find(name)
	if f == nil {
		return nil, errDamaged
	}
	content, err := f.Open()
	if err != nil {
		return nil, errDamaged
	}
	p := &part{book: b, content: content}
	p.decoder = xml.NewDecoder(p)
	p.decoder.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errDamaged }
	return p, nil
}

// Read enforces the limits on uncompressed bytes.
func (p *part) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.book.yield != nil {
		p.book.yield()
	}
	n, err := p.content.Read(b)
	p.book.left -= int64(n)
	p.element -= n
	switch {
	case p.book.left < 0:
		err = errUnpacked
	case p.element < 0:
		err = errElement
	case errors.Is(err, zip.ErrChecksum) || err != nil && !errors.Is(err, io.EOF):
		err = errDamaged
	}
	p.err = err
	return n, err
}

// token returns the next token, whose bytes are valid until the next call. It returns io.EOF at the end of the part.
func (p *part) token() (xml.Token, error) {
	p.element = maxElement
	t, err := p.decoder.RawToken()
	switch {
	case err == nil || errors.Is(err, io.EOF) && errors.Is(p.err, io.EOF):
		return t, err
	case p.err != nil && !errors.Is(p.err, io.EOF):
		return nil, p.err
	default:
		return nil, errDamaged
	}
}

// each calls f for every start element of a part.
func (b *workbook) each(name string, f func(xml.StartElement) error) error {
	p, err := b.openPart(name)
	if err != nil {
		return err
	}
	defer func() { _ = p.content.Close() }() // it was only read
	for {
		t, err := p.token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok {
			if err := f(start); err != nil {
				return err
			}
		}
	}
}

// attribute returns the value of an attribute, in any namespace, or "".
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// relation is a reference to another part.
type relation struct {
	id, part string
	// kind is the last element of the type's path.
	kind string
}

// maxRelations bounds the parts of a workbook.
const maxRelations = 10_000

// relations returns the relations of a part, or of the whole file for "".
func (b *workbook) relations(of string) (related []relation, err error) {
	dir, base := path.Split(of)
	err = b.each(dir+"_rels/"+base+".rels", func(e xml.StartElement) error {
		if e.Name.Local != "Relationship" || attribute(e, "TargetMode") == "External" {
			return nil
		}
		if len(related) == maxRelations {
			return errDamaged
		}
		target := strings.ReplaceAll(attribute(e, "Target"), `\`, "/")
		if !strings.HasPrefix(target, "/") {
			target = path.Join("/"+dir, target)
		}
		related = append(related, relation{
			id: attribute(e, "Id"), part: strings.TrimPrefix(path.Clean(target), "/"), kind: path.Base(attribute(e, "Type")),
		})
		return nil
	})
	return related, err
}

// readWorkbook reads the names of the sheets, and from which year dates are counted.
func (b *workbook) readWorkbook(main string, related []relation) error {
	return b.each(main, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "workbookPr":
			v := attribute(e, "date1904")
			b.from1904 = v == "1" || v == "true"
		case "sheet":
			if len(b.sheets) == maxRelations {
				return errDamaged
			}
			id := relationID(e)
			for _, r := range related {
				if r.id == id && r.kind == "worksheet" {
					state := attribute(e, "state")
					b.sheets = append(b.sheets, sheetPart{attribute(e, "name"), r.part, state != "" && state != "visible"})
				}
			}
		}
		return nil
	})
}

// relationID returns the attribute r:id of a sheet.
func relationID(e xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == "id" && a.Name.Space != "" {
			return a.Value
		}
	}
	return ""
}
