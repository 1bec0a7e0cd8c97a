package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func submitOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "revokeInvite", Method: http.MethodPost, Path: "/assessments/invite/revoke",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRevoke),
		Summary: "Revoke a candidate's invite",
		Description: `The request is durable before the service responds: it is carried out even if the service crashes afterwards.

Without Prefer the service waits for the outcome of the first attempt (up to 2 s, unless the operator changed that). The response is 200 if the outcome is final, and 202 if it is not: PENDING, or ERROR_REVOKING with more attempts to come. Then poll the address in Location.

Submitting a report_id whose revocation is not final returns the same revocation. The candidate gets an email if any of the requests asked for one, and the earliest not_before counts. The reason, candidate_message and client_reference of the first request stay. After a final outcome, a new revocation starts.

With not_before, or if the account has a hold, the revocation waits: the response is 202 at once, and next_attempt_at is when it is carried out. Until then it can be cancelled (POST /revocations/{id}/cancel) or started (POST /revocations/{id}/start).

Members are checked strictly: each may appear once, with its exact name and type, and unknown members are refused. A report_id consists of digits only: 318.0 and "318" are refused. A byte order mark before the JSON is skipped.`,
		Parameters: []*huma.Param{
			preferParam("respond-async makes the service respond at once. wait=N waits up to N seconds, at most 30, for the first outcome. Other preferences are ignored."),
			idempotencyKeyParam("Makes the request repeatable for at least 24 hours: the same key with the same values returns the same revocation in its present state. Keys of different accounts are independent."),
		},
		RequestBody: &huma.RequestBody{
			Required: true, Description: "At most 64 KiB.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: named(schemas, "Submission", submissionSchema()),
				Examples: map[string]*huma.Example{
					"silently":  {Value: json.RawMessage(`{"report_id":318}`)},
					"with mail": {Value: json.RawMessage(`{"report_id":318,"notify_candidate":true,"client_reference":"ticket 4711"}`)},
					"later":     {Value: json.RawMessage(`{"report_id":318,"notify_candidate":true,"reason":"position filled","candidate_message":"Thank you for your interest.\nThe position has been filled.","not_before":"2026-01-01T08:00:00+01:00"}`)},
				},
			}},
		},
		Responses: map[string]*huma.Response{
			"200": revocationResponse(schemas, "The outcome is final.", exampleRevoked, exampleNotAllowed, exampleAlreadyRevoked),
			"202": revocationResponse(schemas, "The request is durable. The outcome is not final yet.", examplePending, exampleFailing),
		},
	}
	op.Responses["202"].Content[mediaJSON].Examples["PENDING, waits"] = &huma.Example{
		Summary: "PENDING until not_before", Value: json.RawMessage(appendRevocation(nil, &exampleWaiting)),
	}
	addHeader(op.Responses["202"], "Location", text("Where to poll."), "/revocations/0197a3c2-8f4e-7b1a-9c3d-5e6f70819203")
	addHeader(op.Responses["202"], "Retry-After", text("Whole seconds until the next attempt is due, at least 1."), "1")
	addProblems(op, codeMalformedJSON, revocation.CodeNotFound, codeRequestTimeout, codeTooLarge, codeUnsupportedMedia,
		revocation.CodeIdempotencyMismatch, revocation.CodeNotSupported, revocation.CodeOutcomeUnknown)
	setExample(op, noSuchInvite())
	message := "a message"
	if unsupported, ok := errors.AsType[*problem](supportsMessage(revocation.Caller{Upstream: true}, "candidate_message", &message)); ok {
		setExample(op, unsupported)
	}
	return op
}

func cancelOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "cancelRevocation", Method: http.MethodPost, Path: "/revocations/{id}/cancel",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRevoke),
		Summary:     "Cancel a revocation",
		Description: "Ends a revocation that is not final as CANCELLED, for everyone who submitted it. It may wait for not_before, for a hold or for another attempt. If it is being carried out at the same time, exactly one of the two happens. A repeated request returns the cancelled revocation. An item of a job cannot be cancelled on its own (422 not_supported). The body is ignored.",
		Parameters:  []*huma.Param{idParam()},
		Responses: map[string]*huma.Response{
			"200": revocationResponse(schemas, "The revocation is cancelled.", exampleCancelled),
		},
	}
	changesSingle(op)
	addProblems(op, revocation.CodeUnderWay)
	sometimes(op.Responses["409"], "Retry-After") // not for already_final
	return op
}

func startOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "startRevocation", Method: http.MethodPost, Path: "/revocations/{id}/start",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRevoke),
		Summary:     "Start a revocation that waits",
		Description: "Makes a revocation due now that waits for not_before or for the account's hold. If it waits for neither, nothing changes. An item of a job cannot be started on its own (422 not_supported). The body is ignored.",
		Parameters:  []*huma.Param{idParam()},
		Responses: map[string]*huma.Response{
			"202": revocationResponse(schemas, "The revocation in its present state.", examplePending),
		},
	}
	changesSingle(op)
	return op
}

// changesSingle adds the problems that cancelling and starting have in common, and removes the preferences.
func changesSingle(op *huma.Operation) {
	for _, response := range op.Responses {
		response.Headers = nil
	}
	addProblems(op, revocation.CodeNotFound, revocation.CodeAlreadyFinal, revocation.CodeNotSupported, revocation.CodeOutcomeUnknown)
	setExample(op, itemOfJob())
}

func getOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "getRevocation", Method: http.MethodGet, Path: "/revocations/{id}",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRead),
		Summary:     "Poll a revocation",
		Description: "Returns the revocation in its present state. The response for another account's revocation is the same 404 as for an unknown one.",
		Parameters: []*huma.Param{
			idParam(),
			preferParam("wait=N waits up to N seconds, at most 30, until the revocation is final. Other preferences are ignored."),
			ifNoneMatchParam(),
		},
		Responses: map[string]*huma.Response{
			"200": revocationResponse(schemas, "The revocation in its present state.", exampleRevoked, exampleFailing),
			"304": {Description: "Nothing has changed."},
		},
	}
	addTags(op, "Identifies this state of the revocation.")
	addProblems(op, revocation.CodeNotFound)
	return op
}

func listOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "listRevocations", Method: http.MethodGet, Path: "/revocations",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRead),
		Summary:     "List revocations",
		Description: "The account's revocations, newest first, in pages. " + shortPages + " A parameter without a value counts as not given. Each parameter may be given once.",
		Parameters: []*huma.Param{
			optional("report_id", "Only revocations of this invite.", &huma.Schema{Type: "integer", Format: "int64", Minimum: new(1.0)}),
			statusFilterParam(), notificationFilterParam(),
			optional("job_id", "Only revocations of this job.", &huma.Schema{Type: "string", Format: "uuid"}),
			optional("created_after", "Only revocations that were created at this time or later.", &huma.Schema{Type: "string", Format: "date-time"}),
			optional("created_before", "Only revocations that were created before this time.", &huma.Schema{Type: "string", Format: "date-time"}),
			limitParam(), cursorParam(),
		},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  schemaOf[pageBody[*revocationBody]](schemas, "A page of revocations."),
				Example: json.RawMessage(jsonOf(pageOf([]revocation.Revocation{exampleRevoked}, revocationOf, ""))),
			}},
		}},
	}
	return op
}

func livenessOperation(schemas huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "getLiveness", Method: http.MethodGet, Path: "/healthz", Tags: []string{"service"},
		Summary: "Is the process alive?", Description: "Does not check what the process depends on.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The process is alive.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  schemaOf[livenessBody](schemas, "The process is alive."),
				Example: livenessBody{StateOK},
			}},
		}},
	}
}

func readinessOperation(schemas huma.Registry) *huma.Operation {
	schema := schemas.Schema(reflect.TypeFor[readiness](), true, "")
	op := &huma.Operation{
		OperationID: "getReadiness", Method: http.MethodGet, Path: "/readyz", Tags: []string{"service"},
		Summary:     "Can the service do its work?",
		Description: "Returns each part and its state. While the queue is unavailable, the service is degraded: it accepts requests, and carries them out when the queue is available again.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The service can do its work.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: schema,
				Example: readiness{State: StateDegraded, Parts: []partHealth{
					{Name: "database", State: StateOK}, {Name: "redis", State: StateUnavailable, Reason: "It cannot be reached."},
				}},
			}},
		}},
	}
	addProblems(op, revocation.CodeUnavailable)
	op.Responses["503"].Content[mediaProblem].Examples[string(revocation.CodeUnavailable)].Value = newUnready(readiness{
		State: StateUnavailable, Parts: []partHealth{
			{Name: "database", State: StateUnavailable, Reason: "It cannot be reached."}, {Name: "redis", State: StateOK},
		},
	})
	op.Responses["503"].Description = "The service cannot do its work. The problem also has the members of the 200 response."
	op.Responses["503"].Content[mediaProblem].Schema = &huma.Schema{
		AllOf: []*huma.Schema{{Ref: "#/components/schemas/Problem"}, schema},
	}
	return op
}

func optional(name, description string, schema *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema}
}

func statusFilterParam() *huma.Param {
	p := optional("status", "Only revocations that have one of these statuses now. Separate them by commas.", &huma.Schema{Type: "array", Items: statusSchema()})
	p.Style, p.Explode = "form", new(false)
	return p
}

func stateFilterParam() *huma.Param {
	p := optional("state", "Only jobs that are in one of these states now. Separate them by commas.", &huma.Schema{Type: "array", Items: jobStateSchema()})
	p.Style, p.Explode = "form", new(false)
	return p
}

func predictedFilterParam() *huma.Param {
	p := optional("predicted", "Only items for which the preview predicted one of these outcomes. Separate them by commas.", &huma.Schema{
		Type: "array", Items: &huma.Schema{Type: "string", Enum: oneOf(revocation.PredictedStatuses...)},
	})
	p.Style, p.Explode = "form", new(false)
	return p
}

func notificationFilterParam() *huma.Param {
	p := optional("notification", "Only revocations whose email has one of these statuses now. Separate them by commas.", &huma.Schema{Type: "array", Items: notificationStatusSchema()})
	p.Style, p.Explode = "form", new(false)
	return p
}

func limitParam() *huma.Param {
	return optional("limit", "The largest number of entries in a page. "+shortPages, &huma.Schema{
		Type: "integer", Minimum: new(1.0), Maximum: new(float64(maxLimit)), Default: defaultLimit,
	})
}

func cursorParam() *huma.Param {
	return optional("cursor", "The next_cursor of the previous page. It is valid for the same list only, with any filter and limit.", &huma.Schema{Type: "string"})
}

func idParam() *huma.Param {
	return &huma.Param{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string", Format: "uuid"}}
}

func ifNoneMatchParam() *huma.Param {
	return &huma.Param{
		Name: "If-None-Match", In: "header", Description: "The ETag of an earlier response. The response is 304 while nothing has changed.",
		Schema: &huma.Schema{Type: "string"},
	}
}

func idempotencyKeyParam(description string) *huma.Param {
	return &huma.Param{
		Name: "Idempotency-Key", In: "header", Example: "b0c7a0a6-order-17", Description: description,
		Schema: &huma.Schema{Type: "string", MinLength: new(1), MaxLength: new(maxIdempotencyKey)},
	}
}

// addTags adds the headers of an operation that can be polled: ETag, Vary and Preference-Applied. description describes
// the ETag.
func addTags(op *huma.Operation, description string) {
	for _, status := range []string{"200", "304"} {
		addPreferences(op.Responses[status])
	}
	const example = `"kq9fYv3hT0m2wXn7bB1c8A"`
	addHeader(op.Responses["200"], "ETag", text(description), example)
	addHeader(op.Responses["304"], "ETag", text("The same as in If-None-Match."), example)
}

func preferParam(description string) *huma.Param {
	return &huma.Param{
		Name: "Prefer", In: "header", Description: description + " Preference-Applied names the preferences that the service honoured.",
		Schema: &huma.Schema{Type: "string"}, Example: "wait=10",
	}
}

// The code that encodes the responses encodes these examples too.
var (
	exampleRevoked = exampleRevocation(revocation.StatusRevoked, func(r *revocation.Revocation) {
		r.Notify, r.Notification.Status = true, revocation.NotificationPending
	})
	exampleNotAllowed = exampleRevocation(revocation.StatusNotAllowed, func(r *revocation.Revocation) {
		r.Timestamp = "2025-01-15 10:32:45"
	})
	exampleAlreadyRevoked = exampleRevocation(revocation.StatusAlreadyRevoked, func(*revocation.Revocation) {})
	examplePending        = exampleRevocation(revocation.StatusPending, func(r *revocation.Revocation) {
		r.Final, r.Attempts, r.UpdatedAt, r.CompletedAt = false, 0, r.CreatedAt(), time.Time{}
	})
	exampleWaiting = exampleRevocation(revocation.StatusPending, func(r *revocation.Revocation) {
		reason, message := "position filled", "Thank you for your interest.\nThe position has been filled."
		r.Final, r.Attempts, r.UpdatedAt, r.CompletedAt = false, 0, r.CreatedAt(), time.Time{}
		r.Notify, r.Notification.Status = true, revocation.NotificationPending
		r.Reason, r.CandidateMessage, r.NotBefore = &reason, &message, r.CreatedAt().Add(time.Hour).Truncate(time.Hour)
		r.NextAttemptAt = r.NotBefore
	})
	exampleCancelled = exampleRevocation(revocation.StatusCancelled, func(r *revocation.Revocation) { r.Attempts = 0 })
	exampleFailing   = exampleRevocation(revocation.StatusErrorRevoking, func(r *revocation.Revocation) {
		r.Final, r.CompletedAt = false, time.Time{}
		r.NextAttemptAt = r.CreatedAt().Add(2 * time.Second)
		r.LastError = &revocation.Failure{Code: revocation.CodeLockTimeout, Detail: "The invite's data was locked by another transaction for too long."}
	})
)

func exampleRevocation(status revocation.Status, change func(*revocation.Revocation)) revocation.Revocation {
	id, _ := revocation.ParseID("0197a3c2-8f4e-7b1a-9c3d-5e6f70819203")
	key, _ := revocation.ParseID("01979d10-2f3c-7a4e-8b5d-1c2e3f405162")
	r := revocation.Revocation{
		ID: id, ReportID: 318, RequestedBy: key, Status: status, Final: true, Attempts: 1,
		Notification: revocation.Notification{Status: revocation.NotificationNotRequested},
		UpdatedAt:    id.Time().Add(4 * time.Millisecond), CompletedAt: id.Time().Add(4 * time.Millisecond),
	}
	change(&r)
	return r
}

func revocationResponse(schemas huma.Registry, description string, examples ...revocation.Revocation) *huma.Response {
	response := &huma.Response{
		Description: description,
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema: revocationRef(schemas), Examples: map[string]*huma.Example{},
		}},
	}
	for _, r := range examples {
		response.Content[mediaJSON].Examples[string(r.Status)] = &huma.Example{
			Summary: string(r.Status), Value: json.RawMessage(appendRevocation(nil, &r)),
		}
	}
	addPreferences(response)
	return response
}

func addPreferences(response *huma.Response) {
	addHeader(response, "Preference-Applied", text("The preferences that the service honoured."), "wait=10")
	sometimes(response, "Preference-Applied")
	addHeader(response, "Vary", text("Prefer"), "Prefer")
}
