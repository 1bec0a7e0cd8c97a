package api

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func confirmJobOperation(schemas huma.Registry) *huma.Operation {
	op := changeOperation(schemas, "The job. It is carried out now, or waits for its time or an approval.", exampleConfirmed, revocation.ScopeRevoke)
	op.OperationID, op.Path = "confirmJob", "/jobs/{id}/confirm"
	op.Summary = "Confirm a previewed job"
	op.Description = `Confirms a PREVIEWED job, so that it is carried out. count must be the number of items that its preview predicts as REVOKED, or as UNKNOWN if the account is on an upstream; another number is 409 count_mismatch, and count in the problem is the right one.

Only items predicted REVOKED or UNKNOWN are carried out, by the rule at that time. The others end with their predicted status. So the job never revokes more than was confirmed.

A repeated request with the same count returns the job in its present state.`
	takeCount(schemas, op)
	return op
}

func approveJobOperation(schemas huma.Registry) *huma.Operation {
	op := changeOperation(schemas, "The job. It is carried out now, or waits for its time.", exampleApproved, revocation.ScopeApprove)
	op.OperationID, op.Path = "approveJob", "/jobs/{id}/approve"
	op.Summary = "Approve a job"
	op.Description = `Approves a job that is AWAITING_APPROVAL, because it revokes more than the account's limit. count is as for confirming. The key must be another one than those that submitted and confirmed the job: those are 403 same_key.

A repeated request with the same count returns the job in its present state.`
	takeCount(schemas, op)
	addProblems(op, revocation.CodeSameKey)
	return op
}

func startJobOperation(schemas huma.Registry) *huma.Operation {
	op := changeOperation(schemas, "The job. It is carried out now.", exampleStarted, revocation.ScopeRevoke)
	op.OperationID, op.Path = "startJob", "/jobs/{id}/start"
	op.Summary = "Start a scheduled job now"
	op.Description = `Begins a SCHEDULED job, whatever its not_before and the account's hold. In every other state, also after a start, the response is 409 wrong_state.

The body is ignored.`
	addProblems(op, revocation.CodeWrongState)
	setExample(op, wrongState)
	return op
}

func cancelJobOperation(schemas huma.Registry) *huma.Operation {
	op := changeOperation(schemas, "The job is being cancelled, or was cancelled before.", exampleCancelling, revocation.ScopeRevoke, revocation.ScopeApprove)
	op.OperationID, op.Path = "cancelJob", "/jobs/{id}/cancel"
	op.Summary = "Cancel a job"
	op.Description = `Items that wait for their first or another attempt become CANCELLED. Attempts that are running complete. An item that an upstream may have revoked already gets its next attempt. Revoked invites stay revoked.

The job is CANCELLING until its last item is final, and then CANCELLED. A repeated request, also after the job is CANCELLED, returns the job in its present state. A COMPLETED or EXPIRED job cannot be cancelled (409). A key with the scope approve and without revoke can cancel only a job that is AWAITING_APPROVAL.

The body is ignored.`
	addProblems(op, revocation.CodeJobEnded)
	setExample(op, problemOf(&revocation.Error{Code: revocation.CodeJobEnded, State: revocation.JobCompleted}))
	return op
}

// changeOperation returns an operation that changes the state of a job, and answers with the job.
func changeOperation(schemas huma.Registry, answer string, example revocation.Job, scopes ...revocation.Scope) *huma.Operation {
	op := &huma.Operation{
		Method: http.MethodPost, Tags: []string{"jobs"}, Security: needs(scopes...),
		Parameters: []*huma.Param{idParam()},
		Responses:  map[string]*huma.Response{"202": jobResponse(schemas, answer, example)},
	}
	addProblems(op, revocation.CodeNotFound, revocation.CodeOutcomeUnknown)
	return op
}

// takeCount adds the body with the count, and its problems.
func takeCount(schemas huma.Registry, op *huma.Operation) {
	op.RequestBody = &huma.RequestBody{
		Required: true, Description: "At most 64 KiB.",
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema:  named(schemas, "Count", countSchema()),
			Example: json.RawMessage(`{"count":990000}`),
		}},
	}
	addProblems(op, codeMalformedJSON, codeRequestTimeout, codeTooLarge, codeUnsupportedMedia,
		revocation.CodeWrongState, revocation.CodeCountMismatch)
	setExample(op, wrongState)
	setExample(op, problemOf(&revocation.Error{Code: revocation.CodeCountMismatch, Count: 990_000}))
}

func countSchema() *huma.Schema {
	return &huma.Schema{
		Type: "object", AdditionalProperties: false, Required: []string{"count"},
		Properties: map[string]*huma.Schema{
			"count": amount("The number of items predicted as REVOKED, or as UNKNOWN if the account is on an upstream."),
		},
	}
}

var wrongState = problemOf(&revocation.Error{Code: revocation.CodeWrongState, State: revocation.JobCompleted})
