package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func (a *API) getJob(x *exchange, in *pollInput) (*pollOutput, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	job, err := a.service.Job(x.Request().Context(), x.key.Account, id, in.prefer.wait)
	if err != nil {
		return nil, err
	}
	return in.answer(appendJob(nil, &job)), nil
}

// listJobsInput is what GET /jobs is asked.
type listJobsInput struct {
	filter revocation.JobFilter
}

// Resolve reads the query; each of its faults is an error.
func (in *listJobsInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	q := readQuery(u.RawQuery)
	in.filter = revocation.JobFilter{Limit: q.limit("limit"), Before: q.cursor("cursor", cursorJobs)}
	return q.faults()
}

func (a *API) listJobs(x *exchange, in *listJobsInput) (*listOutput, error) {
	in.filter.Account = x.key.Account
	page, more, err := a.service.Jobs(x.Request().Context(), in.filter)
	if err != nil {
		return nil, err
	}
	next := ""
	if more {
		next = cursorAfter(cursorJobs, page[len(page)-1].ID)
	}
	return &listOutput{ContentType: mediaJSON, Body: appendPage(nil, page, appendJob, next)}, nil
}

// cancelJob answers POST /jobs/{id}/cancel. Whatever its body holds is not looked at.
func (a *API) cancelJob(x *exchange) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	job, err := a.service.CancelJob(x.Request().Context(), x.key.Account, id)
	if err != nil {
		return err
	}
	x.respond(http.StatusAccepted, mediaJSON, appendJob(nil, &job))
	return nil
}

// retryJob answers POST /jobs/{id}/retry. Whatever its body holds is not looked at.
func (a *API) retryJob(x *exchange) error {
	r := x.Request()
	idempotencyKey, faults := idempotencyKeyOf(r.Header)
	if len(faults) > 0 {
		return invalid(faults...)
	}
	of, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	job, err := a.service.RetryJob(r.Context(), of, revocation.NewJob{
		Account: x.key.Account, RequestedBy: x.key.ID, IdempotencyKey: idempotencyKey,
	})
	if err != nil {
		if revocation.ErrorCode(err) == revocation.CodeInvalid {
			return nothingToRetry()
		}
		return err
	}
	// The items of a large job may have taken longer to copy than an answer has time by default. A connection
	// that is gone shows when it is written to.
	_ = x.extendWrite()
	x.Response().Header()["Location"] = []string{"/jobs/" + job.ID.String()}
	x.Response().Header()["Retry-After"] = []string{"1"}
	x.respond(http.StatusAccepted, mediaJSON, appendJob(nil, &job))
	return nil
}

func nothingToRetry() *problem {
	return newProblem(revocation.CodeInvalid).says("No item of the job ended as ERROR_REVOKING.")
}
