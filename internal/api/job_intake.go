package api

import (
	"io"
	"net/http"

	"rescind/internal/submission"

	"rescind/internal/revocation"
)

const (
	// uploadBase and uploadPerItem bound an upload: more than any that is meant well, less than could keep the
	// service busy for long.
	uploadBase    = 64 << 10
	uploadPerItem = 2 << 10
)

// newJob answers POST /jobs.
func (a *API) newJob(x *requestContext) error {
	request, err := readJobRequest(x.Request())
	if err != nil {
		return err
	}
	leave, full := a.uploads.acquire(x.key.Account)
	if full != nil {
		x.leaveBody()
		return full
	}
	defer leave()
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
func (a *API) receiveJob(x *requestContext, request jobRequest) (job revocation.Job, err error) {
	r := x.Request()
	limit := uploadBase + int64(a.jobMaxItems)*uploadPerItem
	if r.ContentLength > limit {
		return revocation.Job{}, newProblem(codeTooLarge)
	}
	in, ctx, err := a.service.BeginJob(r.Context(), revocation.NewJob{
		Account: x.key.Account, RequestedBy: x.key.ID,
		Route: revocation.RouteJobs, IdempotencyKey: request.idempotencyKey,
	}, func() error { return a.recheck(x) })
	if err != nil {
		return revocation.Job{}, err
	}
	defer in.Abandon(r.Context())

	u := newUpload(x, request.gzipped, limit, request.preface())
	defer u.wire.stopWith(ctx)()
	defer func() {
		if err != nil && !u.wire.ended {
			x.leaveBody()
		}
	}()
	list, err := request.open(u)
	if err != nil {
		return revocation.Job{}, err
	}
	if in.Bound() {
		// The same content passes the same bounds.
		items, err := in.BoundItems(ctx)
		if err != nil {
			return revocation.Job{}, err
		}
		u.items = int64(items)
		if _, err := io.Copy(io.Discard, list); err != nil {
			return revocation.Job{}, err
		}
		return in.Replay(ctx, list.fingerprint())
	}
	values, err := request.readItems(list, func(item revocation.Item) error {
		if in.Len() == a.jobMaxItems {
			return &revocation.Error{Code: revocation.CodeTooManyItems}
		}
		u.items++
		full, err := in.Add(item)
		if err == nil && full {
			err = in.Flush(ctx)
		}
		return err
	})
	switch {
	case u.wire.broken != nil:
		// net/http ends the request's context then, and whatever was done with it afterwards failed for that.
		err = u.wire.broken
	case err != nil:
	case in.Len() == 0:
		err = invalid(fault{"body", "required", "At least one item is needed."})
	default:
		job, err = in.Finalize(ctx, values, list.fingerprint())
	}
	return job, uploadProblem(err)
}

// list is the content of a job, in which the items are. Its fingerprint, when all of it was read, is what an
// idempotency key compares.
type list interface {
	io.Reader
	fingerprint() revocation.Fingerprint
}

// open finds the list in a body. In a form, it is behind what is said of the job, which is read here.
func (j *jobRequest) open(body *upload) (list, error) {
	if j.media != mediaForm {
		return body, nil
	}
	return openForm(j, body)
}

// readItems reads a list item by item. add's errors end it and are given as they are; the others are problems.
func (j *jobRequest) readItems(list io.Reader, add func(revocation.Item) error) (submission.JobValues, error) {
	switch j.media {
	case mediaNDJSON:
		return j.values, readNDJSON(list, add)
	case mediaJSON:
		return readJobDocument(list, add)
	default:
		values := j.values
		var err error
		values.File, err = readTable(list, j.sheet, add)
		return values, err
	}
}
