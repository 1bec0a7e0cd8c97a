package api

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"rescind/internal/revocation"
)

const (
	// uploadBase and uploadPerItem bound an upload: more than any that is meant well, less than could keep the
	// service busy for long.
	uploadBase    = 64 << 10
	uploadPerItem = 2 << 10

	otherJobMedia = "The body must be application/json, text/csv or application/x-ndjson, in UTF-8, as it is or with Content-Encoding: gzip."
)

// jobValues are what an upload says of the job as a whole.
type jobValues struct {
	label *string
	// notify is the wish for an email of all items that have none of their own.
	notify bool
}

// jobRequest is what is asked by POST /jobs, but for the body.
type jobRequest struct {
	media  string
	packed bool
	// jobValues come by the query; JSON has its own in the body.
	jobValues
	idempotencyKey string
}

// newJob answers POST /jobs.
func (a *API) newJob(x *exchange) error {
	request, err := readJobRequest(x.Request())
	if err != nil {
		return err
	}
	job, err := a.receiveJob(x, request)
	// The upload may have taken the answer's time. A connection that has none, or is gone, shows when it is
	// written to.
	_ = x.extendWrite()
	if err != nil {
		return err
	}
	x.Response().Header()["Location"] = []string{"/jobs/" + job.ID.String()}
	x.Response().Header()["Retry-After"] = []string{"1"}
	x.respond(http.StatusAccepted, mediaJSON, appendJob(nil, &job))
	return nil
}

// receiveJob reads the body into a job. When it fails, nothing of the job is there.
func (a *API) receiveJob(x *exchange, request jobRequest) (job revocation.Job, err error) {
	r := x.Request()
	limit := uploadBase + int64(a.jobMaxItems)*uploadPerItem
	if r.ContentLength > limit {
		return revocation.Job{}, newProblem(codeTooLarge)
	}
	in, err := a.service.BeginJob(r.Context(), revocation.NewJob{
		Account: x.key.Account, RequestedBy: x.key.ID,
		Route: revocation.RouteJobs, IdempotencyKey: request.idempotencyKey,
	})
	if err != nil {
		return revocation.Job{}, err
	}
	defer in.Abandon(r.Context())

	u := newUpload(x, request.packed, limit, request.preface())
	defer func() {
		if err != nil && !u.wire.ended {
			// The rest is not waited for: it may be long.
			x.Response().Header()["Connection"] = []string{"close"}
		}
	}()
	if in.Bound() {
		if _, err := io.Copy(io.Discard, u); err != nil {
			return revocation.Job{}, err
		}
		return in.Replay(r.Context(), u.fingerprint())
	}
	values, err := request.readItems(u, func(item revocation.Item) error {
		if in.Len() == a.jobMaxItems {
			return &revocation.Error{Code: revocation.CodeTooManyItems}
		}
		return in.Add(r.Context(), item)
	})
	switch {
	case u.wire.broken != nil:
		// net/http ends the request's context then, and whatever was done with it afterwards failed for that.
		err = u.wire.broken
	case err != nil:
	case in.Len() == 0:
		err = invalid(fault{"body", "required", "At least one item is needed."})
	default:
		job, err = in.Seal(r.Context(), values.label, values.notify, u.fingerprint())
	}
	if revocation.ErrorCode(err) == revocation.CodeJobEnded {
		return job, newProblem(codeRequestTimeout).says("The upload took too long from item to item and was given up.")
	}
	return job, err
}

// readItems reads a body item by item. add's errors end it and are given as they are; the others are problems.
func (j *jobRequest) readItems(body io.Reader, add func(revocation.Item) error) (jobValues, error) {
	switch j.media {
	case mediaCSV:
		return j.jobValues, readTable(body, "", add)
	case mediaNDJSON:
		return j.jobValues, readNDJSON(body, add)
	default:
		return readJobDocument(body, add)
	}
}

// preface is what the fingerprint of a request holds besides the content: the type, and the values of the
// query after defaults.
func (j *jobRequest) preface() []byte {
	b := append([]byte(j.media), 0, 0, 0)
	if j.notify {
		b[len(b)-2] = 1
	}
	if j.label != nil {
		b[len(b)-1] = 1
		b = binary.BigEndian.AppendUint16(b, uint16(len(*j.label))) //nolint:gosec // it is short
		b = append(b, *j.label...)
	}
	return b
}

func readJobRequest(r *http.Request) (j jobRequest, err error) {
	packed, known := unpacks(r.Header)
	j.media, j.packed = mediaType(r.Header), packed
	if !known || j.media != mediaJSON && j.media != mediaCSV && j.media != mediaNDJSON {
		return j, newProblem(codeUnsupportedMedia).says(otherJobMedia)
	}
	key, faults := idempotencyKeyOf(r.Header)
	j.idempotencyKey = key
	q := readQuery(r.URL.RawQuery)
	if j.media != mediaJSON {
		j.jobValues = jobValues{label: q.label("label"), notify: q.bool("notify_candidate")}
	}
	q.wrong = append(faults, q.wrong...)
	return j, q.faults()
}

// bool is false for a parameter that is not given.
func (q *query) bool(name string) bool {
	sent := q.take(name)
	if sent != "" && sent != "true" && sent != "false" {
		q.fault(name, "wrong_type", name+" must be true or false.")
	}
	return sent == "true"
}

func (q *query) label(name string) *string {
	sent := q.take(name)
	switch {
	case sent == "":
		return nil
	case !utf8.ValidString(sent) || strings.IndexByte(sent, 0) >= 0:
		q.fault(name, "invalid_characters", name+" must be UTF-8 without NUL.")
	case utf8.RuneCountInString(sent) > maxText:
		q.fault(name, "too_long", name+" must have at most 255 characters.")
	}
	return &sent
}
