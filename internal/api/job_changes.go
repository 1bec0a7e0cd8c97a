package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"

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
	r := x.Request()
	if !acceptsBody(r.Header) {
		return newProblem(codeUnsupportedMedia)
	}
	text, err := readBody(r, nil)
	if err != nil {
		return err
	}
	count, faults, err := decodeCount(bytes.TrimPrefix(text, []byte(byteOrderMark)))
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
	job, err := change(r.Context(), x.key.Account, id, x.key.ID, count)
	return x.answerChange(&job, err)
}

// answerChange responds with the job, unless err is not nil.
func (x *requestContext) answerChange(job *revocation.Job, err error) error {
	if err != nil {
		return err
	}
	x.respond(http.StatusAccepted, mediaJSON, appendJob(nil, job))
	return nil
}

// decodeCount reads {"count": n}. The error is a syntaxError if text is not exactly one JSON value in UTF-8.
func decodeCount(text []byte) (count int, faults []fault, err error) {
	if !utf8.Valid(text) {
		return 0, nil, errUTF8
	}
	var d decoder
	body := jsontext.NewDecoder(bytes.NewReader(text), jsonOptions...)
	if body.PeekKind() == jsontext.KindBeginObject {
		seen := false
		err = readObject(body, func(name string) error {
			raw, err := body.ReadValue()
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
		if !seen {
			d.fault("count", "required", "count is needed.")
		}
	} else {
		d.fault("body", "wrong_type", "The body must be a JSON object.")
		if err = body.SkipValue(); errors.Is(err, io.EOF) {
			err = errEmpty
		} else if err != nil {
			err = errSyntax
		}
	}
	if err == nil {
		err = atEnd(body)
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
