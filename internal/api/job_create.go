package api

import (
	"errors"
	"io"
	"net/http"

	"rescind/internal/revocation"
)

const (
	// uploadBase and uploadPerItem bound the size of an upload, in bytes. An ordinary upload is far smaller.
	uploadBase    = 64 << 10
	uploadPerItem = 2 << 10
	// uploadSelection is the size that an upload of JSON may have at least: that of a selection with all its addresses.
	uploadSelection = 4 << 20
)

// newJob serves POST /jobs.
func (a *API) newJob(x *requestContext) error {
	request, err := readJobRequest(x.Request(), x.key)
	if err != nil {
		return err
	}
	release, refused := a.uploads.acquire(x.key.Account)
	if refused != nil {
		x.leaveBody()
		return refused
	}
	defer release()
	job, err := a.receiveJob(x, request)
	// The upload may have used up the time to write the response. If the deadline cannot be set, the write fails too.
	_ = x.extendWrite()
	if err != nil {
		return err
	}
	x.Response().Header()["Location"] = []string{"/jobs/" + job.ID.String()}
	x.Response().Header()["Retry-After"] = []string{"1"}
	x.respond(http.StatusAccepted, mediaJSON, jsonOf(jobOf(&job)))
	return nil
}

// receiveJob reads the body into a job. If it fails, no part of the job is kept.
func (a *API) receiveJob(x *requestContext, request jobRequest) (job revocation.Job, err error) {
	r := x.Request()
	limit := uploadBase + int64(a.jobMaxItems)*uploadPerItem
	if request.media == mediaJSON {
		limit = max(limit, uploadSelection)
	}
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

	slot := &cpuSlot{all: a.cpuSlots}
	defer slot.release()
	u := newUpload(x, slot, request.gzipped, limit, request.preface())
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
		// Only the number of items is needed, to bound the content as at the first upload.
		slot.release()
		items, err := in.BoundItems(ctx)
		if err != nil {
			return revocation.Job{}, err
		}
		u.items = int64(items)
		if _, err := io.Copy(io.Discard, list); err != nil {
			return revocation.Job{}, err
		}
		slot.release()
		return in.Replay(ctx, list.fingerprint())
	}
	values, selected, err := request.readItems(list, slot.yield, func(item revocation.Item) error {
		if in.Len() == a.jobMaxItems {
			return &revocation.Error{Code: revocation.CodeTooManyItems}
		}
		u.items++
		full, err := in.Add(item)
		if err == nil && full {
			err = slot.without(func() error { return in.Flush(ctx) })
		}
		return err
	})
	slot.release()
	if err == nil && selected != nil {
		values.Preview = true
		err = in.Select(ctx, *selected, a.jobMaxItems)
	}
	switch {
	case u.wire.broken != nil:
		// net/http cancelled the request's context, so later errors are only consequences of this one.
		err = u.wire.broken
	case errors.Is(err, revocation.ErrNothingSelected):
		err = invalid(fault{listSelect, "no_match", "No invite that is not revoked matches all members of select."})
	case errors.Is(err, revocation.ErrNotFindable):
		err = notFindable()
	case err != nil:
	case in.Len() == 0:
		err = invalid(fault{"body", "required", "At least one item is needed."})
	default:
		job, err = in.Finalize(ctx, values, list.fingerprint())
	}
	return job, uploadProblem(err)
}

// notFindable returns the problem for a selection that could miss invites.
func notFindable() *problem {
	p := newProblem(revocation.CodeUnavailable).withDetail("The service was upgraded, and cannot find all invites by address and assessment_name yet. " +
		"Nothing was accepted. Try again in a few minutes, or select by the other members.")
	p.retryAfter = 10 // the copies take minutes
	return p
}

// list is the content of an upload that holds the items. An idempotency key compares its fingerprint, which is complete
// when all of it has been read.
type list interface {
	io.Reader
	fingerprint() revocation.Fingerprint
}

// open returns the list in a body. Of a form, it reads the fields first.
func (j *jobRequest) open(body *upload) (list, error) {
	if j.media != mediaForm {
		return body, nil
	}
	return openForm(j, body)
}

// readItems calls add with each item of a list. It stops at the first error of add and returns it unchanged. Its other
// errors are problems. It calls yield where it works for long without reading the list. Instead of items, a list can have a
// selection, which is nil otherwise.
func (j *jobRequest) readItems(list io.Reader, yield func(), add func(revocation.Item) error) (revocation.JobValues, *revocation.Selection, error) {
	switch j.media {
	case mediaNDJSON:
		return j.values, nil, readNDJSON(list, add)
	case mediaJSON:
		return readJobDocument(list, j, add)
	default:
		values := j.values
		var err error
		values.File, err = readTable(list, j.sheet, yield, add)
		return values, nil, err
	}
}
