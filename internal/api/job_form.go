package api

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"mime/multipart"
	"net/url"

	"rescind/internal/revocation"
)

const (
	// formFile is the part with the list. It is the last one.
	formFile = "file"
	// maxFields and maxField bound the parts before it, in number and in bytes.
	maxFields = 32
	maxField  = 4 << 10
)

// form is the list in a form: fields with the options, and then the part file.
type form struct {
	body  *upload
	parts *multipart.Reader
	file  *multipart.Part
	sum   hash.Hash
	err   error
}

// openForm reads a form up to the list, and sets the type and the options of the request.
func openForm(j *jobRequest, body *upload) (*form, error) {
	f := &form{body: body, parts: multipart.NewReader(body, j.boundary), sum: sha256.New()}
	fields := url.Values{}
	for n := 0; ; n++ {
		part, err := f.parts.NextPart()
		if err == io.EOF { //nolint:errorlint // wrapped, it means that the form has no end
			return nil, invalid(fault{formFile, "required", "The form must have a part file with the list."})
		}
		if err != nil {
			return nil, brokenForm(err)
		}
		name := part.FormName()
		if name == formFile {
			f.file = part
			break
		}
		value, err := io.ReadAll(io.LimitReader(part, maxField+1))
		switch {
		case err != nil:
			return nil, brokenForm(err)
		case len(value) > maxField:
			return nil, invalid(fault{shownName(name), "too_long", "A field is larger than 4 KiB."})
		case n == maxFields:
			return nil, invalid(fault{"body", "too_long", "The form has more than 32 fields."})
		}
		fields.Add(name, string(value))
	}
	if j.media = partMedia(f.file); j.media == "" {
		return nil, newProblem(codeUnsupportedMedia).withDetail(otherJobMedia)
	}
	q := &query{values: fields}
	j.jobOptions = readJobOptions(q, j.media)
	if err := q.faults(); err != nil {
		return nil, err
	}
	f.sum.Write(j.preface())
	return f, nil
}

// partMedia is the type of a form's file. Browsers and tools name it by the ending of the file's name, so that a list
// with another one may be any text.
func partMedia(part *multipart.Part) string {
	sent := part.Header["Content-Type"]
	if len(sent) == 0 {
		return mediaBytes
	}
	media, _ := jobMedia(sent)
	if media == "" {
		switch part.Header.Get("Content-Type") {
		case "text/plain", "text/tab-separated-values":
			return mediaBytes
		}
	}
	if media == mediaForm {
		return ""
	}
	return media
}

// Read gives problems as its errors, but for io.EOF.
func (f *form) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.file.Read(p)
	f.sum.Write(p[:n])
	if errors.Is(err, io.EOF) {
		err = f.end()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = brokenForm(err)
	}
	f.err = err
	return n, err
}

// end reads what follows the file, which is nothing but the end of the form. It returns io.EOF.
func (f *form) end() error {
	switch _, err := f.parts.NextPart(); {
	case err == nil:
		return invalid(fault{"body", "unknown_field", "The part file must be the last one."})
	case err != io.EOF: // wrapped, it means that the form has no end
		return brokenForm(err)
	}
	if _, err := io.Copy(io.Discard, f.body); err != nil {
		return err
	}
	return io.EOF
}

func (f *form) fingerprint() (sum revocation.Fingerprint) {
	f.sum.Sum(sum[:0])
	return sum
}

// brokenForm is the problem of a body that is no whole form, unless it cannot be read at all.
func brokenForm(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return invalid(fault{"body", "invalid_format", "The body is not a whole multipart form."})
}
