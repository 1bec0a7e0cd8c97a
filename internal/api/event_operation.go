package api

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func listEventsOperation(schemas huma.Registry) *huma.Operation {
	types := optional("type", "Only events of these types. Separate them by commas.", &huma.Schema{
		Type: "array", Items: &huma.Schema{Type: "string", Enum: oneOf(revocation.EventTypes...)},
	})
	types.Style, types.Explode = "form", new(false)
	op := &huma.Operation{
		OperationID: "listEvents", Method: http.MethodGet, Path: "/events",
		Tags: []string{"events"}, Security: needs(revocation.ScopeRead),
		Summary: "List events",
		Description: `What happened in the account and who did it, oldest first. An event is stored together with the change that it tells of, and appears within a second of it. It contains ids, states and numbers, and no candidate's name or address, message, reason, label or key.

To read all events once, begin without a cursor, and send each response's next_cursor with the next request. next_cursor is never null. A page has fewer events than limit only if there are no more now; then wait, with Prefer, or ask again later. Events appear in the order of the cursor: none is skipped and none is repeated, whatever filters a request has. The filters may change from page to page.

If the database does not have the event that a cursor names, because an older backup was restored or because events are deleted after some time, the response is 422 and names the cursor. Then continue with after and the time of the last event that you have; that event is returned again if it is there.

The data of an event of a job is the job's state and numbers after the change. For job.created of a retry it also has retry_of. For job.retried it has job_id, the new job.`,
		Parameters: []*huma.Param{
			types,
			optional("subject", "Only events about the subject with this id: a job, a revocation, a key or the account.", &huma.Schema{Type: "string"}),
			optional("after", "Only events that occurred at this time or later.", &huma.Schema{Type: "string", Format: "date-time"}),
			optional("limit", "The largest number of events in a page.", &huma.Schema{
				Type: "integer", Minimum: new(1.0), Maximum: new(float64(maxLimit)), Default: defaultLimit,
			}),
			optional("cursor", "The next_cursor of the previous page, or latest to begin after the newest event. It is valid with any filter and limit.", &huma.Schema{Type: "string"}),
			preferParam("wait=N waits up to N seconds, at most 30, until there is an event. Other preferences are ignored."),
		},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  schemaOf[eventPageBody](schemas, "A page of events."),
				Example: json.RawMessage(jsonOf(eventPageBody{[]eventBody{eventOf(&exampleEvent)}, eventCursor(revocation.EventCursor{Number: 1, ID: exampleEvent.ID})})),
			}},
		}},
	}
	addPreferences(op.Responses["200"])
	addProblems(op)
	return op
}

// eventPageBody is a page of events.
type eventPageBody struct {
	Data       []eventBody `json:"data" nullable:"false"`
	NextCursor string      `json:"next_cursor" doc:"Where the next page begins. Never null."`
}

type eventBody struct {
	ID         string          `json:"id" format:"uuid"`
	Type       string          `json:"type" doc:"What happened. Later versions may add types."`
	OccurredAt string          `json:"occurred_at" format:"date-time" doc:"It does not decrease from one event to the next."`
	Actor      actorBody       `json:"actor" doc:"Who did it."`
	Subject    subjectBody     `json:"subject" doc:"What it is about."`
	Data       json.RawMessage `json:"data" doc:"What the type adds."`
}

type actorBody struct {
	Type string  `json:"type" enum:"key,operator,service"`
	ID   *string `json:"id" format:"uuid" doc:"The id of the API key; null for other actors."`
	Name *string `json:"name" doc:"The name of the key, or cli for a command; null for the service."`
}

type subjectBody struct {
	Type string `json:"type" enum:"job,revocation,account,key"`
	ID   string `json:"id" doc:"The id of the job, revocation, account or key."`
}

// TransformSchema declares the data, which the domain writes, as an object.
func (eventBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["data"].Type, s.Properties["data"].AdditionalProperties = "object", true
	return s
}

func eventOf(e *revocation.Event) eventBody {
	return eventBody{
		ID: e.ID.String(), Type: string(e.Type), OccurredAt: timeOf(e.OccurredAt),
		Actor:   actorBody{Type: string(e.Actor.Type), ID: optionalID(e.Actor.Key), Name: filled(&e.Actor.Name)},
		Subject: subjectBody{Type: string(e.Subject.Type), ID: e.Subject.ID}, Data: e.Data,
	}
}

// The code that writes and encodes events makes this example too.
var exampleEvent = func() revocation.Event {
	e := revocation.InvitesImported("acme", revocation.Import{Written: 990, Bad: 10})
	e.Number, e.ID, e.OccurredAt, e.Actor.Name = 1, exampleRevoked.ID, exampleRevoked.CreatedAt(), revocation.OperatorName
	return e
}()
