package api

import (
	"bytes"
	"context"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"rescind/internal/revocation"
)

// confirmJob serves POST /jobs/{id}/confirm.
func (a *API) confirmJob(x *requestContext) error {
	return changeByCount(x, a.service.ConfirmJob)
}

// approveJob serves POST /jobs/{id}/approve.
func (a *API) approveJob(x *requestContext) error {
	return changeByCount(x, a.service.ApproveJob)
}

// startJob serves POST /jobs/{id}/start. It ignores the body.
func (a *API) startJob(x *requestContext) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	job, err := a.service.StartJob(x.Request().Context(), x.key.Account, id, x.key.ID)
	return x.answerChange(&job, err)
}

// cancelJob serves POST /jobs/{id}/cancel. It ignores the body. A key that can only approve can cancel only a job that waits
// for its approval.
func (a *API) cancelJob(x *requestContext) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	onlyApproval := !x.key.Allows(revocation.ScopeRevoke)
	job, err := a.service.CancelJob(x.Request().Context(), x.key.Account, id, x.key.ID, onlyApproval)
	return x.answerChange(&job, err)
}

// changeByCount reads a count from the body and calls change with it.
func changeByCount(x *requestContext, change func(ctx context.Context, account string, id, by revocation.ID, count int) (revocation.Job, error)) error {
	text, err := jsonBody(x.Request())
	if err != nil {
		return err
	}
	count, faults, err := decodeCount(text)
	switch {
	case err != nil:
		return newProblem(codeMalformedJSON).withDetail(err.Error())
	case len(faults) > 0:
		return invalid(faults...)
	}
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	job, err := change(x.Request().Context(), x.key.Account, id, x.key.ID, count)
	return x.answerChange(&job, err)
}

// answerChange responds with the job, unless err is not nil.
func (x *requestContext) answerChange(job *revocation.Job, err error) error {
	if err != nil {
		return err
	}
	x.respond(http.StatusAccepted, mediaJSON, jsonOf(jobOf(job)))
	return nil
}

// decodeCount reads {"count": n}. The error is a syntaxError if text is not exactly one JSON value in UTF-8.
func decodeCount(text []byte) (count int, faults []fault, err error) {
	var d decoder
	seen := false
	isObject, err := readDocument(text, func(text *jsontext.Decoder, name string) error {
		raw, err := text.ReadValue()
		switch {
		case err != nil:
			return syntaxOf(err)
		case name != "count":
			d.fault(shownName(name), "unknown_field", "There is no such member.")
		case d.first(&seen, name):
			count = d.count(name, raw)
		}
		return nil
	})
	switch {
	case err != nil:
	case !isObject:
		d.faults = append(d.faults, notAnObject)
	case !seen:
		d.fault("count", "required", "count is needed.")
	}
	return count, d.faults, err
}

// count reads a number of items.
func (d *decoder) count(field string, raw jsontext.Value) int {
	n, err := strconv.Atoi(string(raw))
	switch {
	case raw.Kind() != jsontext.KindNumber, bytes.ContainsAny(raw, ".eE"):
		d.fault(field, "wrong_type", field+" must be an integer, written without a fraction or an exponent.")
	case err != nil || n < 0:
		d.fault(field, "out_of_range", field+" must be from 0 to the number of the job's items.")
	}
	return n
}
