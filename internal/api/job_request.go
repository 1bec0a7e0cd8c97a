package api

import (
	"encoding/binary"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"rescind/internal/revocation"
)

const (
	mediaForm  = "multipart/form-data"
	mediaXLSX  = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	mediaBytes = "application/octet-stream"
	// mediaExcel is the type of a CSV file in browsers on computers with Excel.
	mediaExcel = "application/vnd.ms-excel"

	otherJobMedia = "The body must be application/json, application/x-ndjson, text/csv, an .xlsx workbook, or multipart/form-data with one of them as the part file. It may have Content-Encoding: gzip. A table may also be application/octet-stream."
)

// tableMedia are the types of a table. The content decides which format it is.
var tableMedia = []string{mediaCSV, mediaXLSX, mediaBytes, mediaExcel}

// jobRequest is a request to POST /jobs without the list.
type jobRequest struct {
	// media is the type of the list. Until a form is opened, it is the type of the form.
	media    string
	boundary string // of a form
	gzipped  bool
	// key is the request's. The message for the candidates and a selection depend on it.
	key *revocation.APIKey
	jobOptions
	// fields are the names of the form's fields that are not empty. A list in JSON must not have them as members too.
	fields         []string
	idempotencyKey string
}

// jobOptions are the options in the query or in a form's fields. JSON has them in the body, or in the fields before it.
type jobOptions struct {
	values revocation.JobValues
	// sheet is the name of a workbook's sheet. It is empty for the first sheet that has the column report_id.
	sheet string
}

func readJobRequest(r *http.Request, key *revocation.APIKey) (j jobRequest, err error) {
	j.key = key
	gzipped, known := isGzipped(r.Header)
	j.gzipped = gzipped
	j.media, j.boundary = jobMedia(r.Header["Content-Type"])
	if !known || j.media == "" {
		return j, newProblem(codeUnsupportedMedia).withDetail(otherJobMedia)
	}
	var faults []fault
	j.idempotencyKey, faults = idempotencyKeyOf(r.Header)
	q := readQuery(r.URL.RawQuery)
	q.refuseTexts()
	if j.media != mediaForm && j.media != mediaJSON {
		j.jobOptions = readJobOptions(q, j.media)
	}
	q.wrong = append(faults, q.wrong...)
	return j, q.faults()
}

// jobMedia returns the type of a body and the boundary of a form. Both are empty if the type is not accepted.
func jobMedia(sent []string) (media, boundary string) {
	if len(sent) != 1 {
		return "", ""
	}
	media, params, err := mime.ParseMediaType(sent[0])
	charset, named := params["charset"]
	switch {
	case err != nil:
		return "", ""
	case media == mediaForm:
		if params["boundary"] == "" {
			return "", ""
		}
		return media, params["boundary"]
	case slices.Contains(tableMedia, media):
		// The reader detects the encoding from the content. It would misread a text in any encoding but these.
		if charset = strings.ToLower(charset); named && charset != "us-ascii" && charset != "utf-8" && !strings.HasPrefix(charset, "utf-16") {
			return "", ""
		}
		return media, ""
	case media == mediaJSON || media == mediaNDJSON:
		if named && !strings.EqualFold(charset, "utf-8") {
			return "", ""
		}
		return media, ""
	default:
		return "", ""
	}
}

// readJobOptions takes the options of a list with this type from the query or from a form's fields.
func readJobOptions(q *query, media string) (o jobOptions) {
	o.values.Label, o.values.Notify = q.label("label"), q.bool("notify_candidate")
	o.values.Preview, o.values.NotBefore = q.bool("preview"), q.notBefore("not_before")
	if slices.Contains(tableMedia, media) {
		if sheet := q.label("sheet"); sheet != nil {
			o.sheet = *sheet
		}
	}
	return o
}

// preface returns what the fingerprint of a request covers besides the list: its type, and the options after defaults.
func (j *jobRequest) preface() []byte {
	b := append([]byte(j.media), 0, 0, 0)
	flags := len(b) - 1
	if j.values.Notify {
		b[flags-1] = 1
	}
	if j.values.Label != nil {
		b[flags] |= 1
		b = appendSized(b, *j.values.Label)
	}
	if j.sheet != "" {
		b[flags] |= 2
		b = appendSized(b, j.sheet)
	}
	if !j.values.NotBefore.IsZero() {
		b[flags] |= 4
		b = binary.BigEndian.AppendUint64(b, uint64(j.values.NotBefore.UnixMicro()))
	}
	if j.values.Preview {
		b[flags] |= 8
	}
	if j.values.Reason != nil {
		b[flags] |= 16
		b = appendSized(b, *j.values.Reason)
	}
	if j.values.CandidateMessage != nil {
		b[flags] |= 32
		b = appendSized(b, *j.values.CandidateMessage)
	}
	return b
}

// appendSized appends the length of a short text in two bytes, and the text.
func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s))) //nolint:gosec // it is short
	return append(b, s...)
}

// bool takes a boolean parameter. It returns false if the parameter is missing.
func (q *query) bool(name string) bool {
	sent := q.take(name)
	if sent != "" && sent != "true" && sent != "false" {
		q.fault(name, "wrong_type", name+" must be true or false.")
	}
	return sent == "true"
}

func (q *query) label(name string) *string { return q.text(name, checkText) }

// text takes a text. It returns nil if the text is missing or empty.
func (q *query) text(name string, check func(field, text string) (fault, bool)) *string {
	sent := q.take(name)
	if sent == "" {
		return nil
	}
	if f, ok := check(name, sent); !ok {
		q.fault(f.Field, f.Code, f.Detail)
	}
	return &sent
}

// message takes a message for the candidates.
func (q *query) message(name string, caller revocation.Caller) *string {
	sent := q.text(name, checkMessage)
	for _, f := range checkLinks(caller, name, sent) {
		q.fault(f.Field, f.Code, f.Detail)
	}
	return sent
}

// notBefore takes a time before which nothing must be done. It returns the zero time if the parameter is missing.
func (q *query) notBefore(name string) time.Time {
	sent := q.take(name)
	if sent == "" {
		return time.Time{}
	}
	t, f, ok := parseNotBefore(name, sent, time.Now())
	if !ok {
		q.fault(f.Field, f.Code, f.Detail)
	}
	return t
}

// refuseTexts refuses the options that must not stand in a URL, and takes them out of the query.
func (q *query) refuseTexts() {
	for _, name := range []string{"candidate_message", "reason"} {
		if _, sent := q.values[name]; sent {
			delete(q.values, name)
			q.fault(name, "unknown_field", name+" must not stand in a URL, because logs record URLs. Send it in the body: as a member of JSON, or as a field of multipart/form-data with the list as the part file.")
		}
	}
}
