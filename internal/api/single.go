package api

import (
	"net/http"

	"rescind/internal/revocation"
)

// cancel serves POST /revocations/{id}/cancel. It ignores the body.
func (a *API) cancel(x *requestContext) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	r, err := a.service.Cancel(x.Request().Context(), x.key.Account, id, revocation.ByKey(x.key.ID))
	if err != nil {
		return singleProblem(err)
	}
	x.respond(http.StatusOK, mediaJSON, appendRevocation(nil, &r))
	return nil
}

// start serves POST /revocations/{id}/start. It ignores the body.
func (a *API) start(x *requestContext) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	r, err := a.service.Start(x.Request().Context(), x.key.Account, id)
	if err != nil {
		return singleProblem(err)
	}
	x.respond(http.StatusAccepted, mediaJSON, appendRevocation(nil, &r))
	return nil
}

// singleProblem returns err, or the problem for a revocation that is an item of a job.
func singleProblem(err error) error {
	if revocation.ErrorCode(err) == revocation.CodeNotSupported {
		return itemOfJob()
	}
	return err
}

func itemOfJob() *problem {
	return newProblem(revocation.CodeNotSupported).withDetail("The revocation is an item of a job. Cancel or start the job instead.")
}
