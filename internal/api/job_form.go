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
	// formFile is the name of the part with the list. It must be the last part.
	formFile = "file"
	// maxFields bounds the number of the parts before it, and maxField the bytes of each.
	maxFields = 32
	maxField  = 4 << 10
)

// form reads the list in a form, which has fields with the options and then the part file.
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
		if len(value) > 0 {
			j.fields = append(j.fields, name)
		}
	}
	if j.media = partMedia(f.file); j.media == "" {
		return nil, newProblem(codeUnsupportedMedia).withDetail(otherJobMedia)
	}
	q := &query{values: fields}
	j.jobOptions = readJobOptions(q, j.media)
	j.values.Reason = q.label("reason")
	j.values.CandidateMessage = q.message("candidate_message", j.key.Caller)
	if err := q.faults(); err != nil {
		return nil, err
	}
	if err := supportsMessage(j.key.Caller, "candidate_message", j.values.CandidateMessage); err != nil {
		return nil, err
	}
	f.sum.Write(j.preface())
	return f, nil
}

// partMedia returns the type of a form's file, or "" if the type is not accepted. Browsers derive the type from the
// file's extension, so a table may also have the type of another text.
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

// Read returns problems as its errors, except io.EOF.
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

// end reads the rest of the form after the file. It returns io.EOF unless the form has another part or is not complete.
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

// brokenForm returns err if it is a problem, and else the problem that the form is not valid.
func brokenForm(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return invalid(fault{"body", "invalid_format", "The body is not a complete multipart form."})
}
