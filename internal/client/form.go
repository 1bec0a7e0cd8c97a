package client

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"slices"
)

// inForm returns the upload as a form, with fields before the part with the content.
func inForm(u Upload, fields url.Values) (Upload, error) {
	var head, tail bytes.Buffer
	form := multipart.NewWriter(&head)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := form.WriteField(name, fields.Get(name)); err != nil {
			return Upload{}, err
		}
	}
	_, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="list"`}, "Content-Type": {u.MediaType},
	})
	if err != nil {
		return Upload{}, err
	}
	tail.WriteString("\r\n--" + form.Boundary() + "--\r\n")
	parts := [][]byte{head.Bytes(), tail.Bytes()}
	if u.Gzip {
		// Several compressed files in a row are one: the content need not be compressed again.
		for i, part := range parts {
			if parts[i], err = zipped(part); err != nil {
				return Upload{}, err
			}
		}
	}
	joined := &joined{
		parts: []io.ReaderAt{bytes.NewReader(parts[0]), u.Content, bytes.NewReader(parts[1])},
		sizes: []int64{int64(len(parts[0])), u.Size, int64(len(parts[1]))},
	}
	u.Content, u.MediaType = joined, form.FormDataContentType()
	u.Size += joined.sizes[0] + joined.sizes[2]
	return u, nil
}

func zipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// joined reads parts one after the other.
type joined struct {
	parts []io.ReaderAt
	sizes []int64
}

// ReadAt implements io.ReaderAt.
func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	for i, part := range j.parts {
		if off >= j.sizes[i] {
			off -= j.sizes[i]
			continue
		}
		wanted := int(min(int64(len(p)-n), j.sizes[i]-off))
		read, err := part.ReadAt(p[n:n+wanted], off)
		n += read
		switch {
		case read < wanted:
			return n, err // also where a file has become shorter
		case n == len(p):
			return n, nil
		}
		off = 0
	}
	return n, io.EOF
}
