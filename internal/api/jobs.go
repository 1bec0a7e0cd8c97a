package api

import (
	"context"
	"net/http"

	"rescind/internal/revocation"
)

// getJob serves GET /jobs/{id}.
func (a *API) getJob(x *requestContext) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	prefer := pollPreference(x)
	job, err := a.service.Job(x.Request().Context(), x.key.Account, id, prefer.wait)
	if err != nil {
		return err
	}
	if err := a.recheck(x); err != nil {
		return err
	}
	x.answerPoll(prefer, jsonOf(jobOf(&job)))
	return nil
}

// listJobs serves GET /jobs.
func (a *API) listJobs(x *requestContext) error {
	q := readQuery(x.Request().URL.RawQuery)
	f := revocation.JobFilter{
		Account: x.key.Account, States: words(q, "state", revocation.JobStates),
		Limit: q.limit(), Before: q.cursor("cursor", cursorJobs),
	}
	if err := q.faults(); err != nil {
		return err
	}
	page, err := readPage(a, x, maxPageWait, func(ctx context.Context) (revocation.Page[revocation.Job], error) { return a.service.Jobs(ctx, f) })
	if err != nil {
		return err
	}
	x.respond(http.StatusOK, mediaJSON, jsonOf(pageOf(page.Entries, jobOf, cursorAfter(cursorJobs, page.Next))))
	return nil
}

// retryJob serves POST /jobs/{id}/retry. It ignores the body.
func (a *API) retryJob(x *requestContext) error {
	r := x.Request()
	idempotencyKey, faults := idempotencyKeyOf(r.Header)
	if len(faults) > 0 {
		return invalid(faults...)
	}
	original, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	job, err := a.service.RetryJob(r.Context(), original, revocation.NewJob{
		Account: x.key.Account, RequestedBy: x.key.ID, IdempotencyKey: idempotencyKey,
	}, func() error { return a.recheck(x) })
	switch revocation.ErrorCode(err) {
	case revocation.CodeInvalid:
		return nothingToRetry()
	case revocation.CodeJobEnded: // the lease of the copy expired
		return newProblem(revocation.CodeUnavailable)
	}
	if err != nil {
		return err
	}
	// Copying the items of a large job may have used up the time to write the response. If the deadline cannot be set, the
	// write fails too.
	_ = x.extendWrite()
	x.Response().Header()["Location"] = []string{"/jobs/" + job.ID.String()}
	x.Response().Header()["Retry-After"] = []string{"1"}
	x.respond(http.StatusAccepted, mediaJSON, jsonOf(jobOf(&job)))
	return nil
}

func nothingToRetry() *problem {
	return newProblem(revocation.CodeInvalid).withDetail("No item of the job ended as ERROR_REVOKING.")
}
