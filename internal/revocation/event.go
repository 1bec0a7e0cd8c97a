package revocation

import (
	"encoding/json"
	"fmt"
	"time"
)

// EventType is what an event describes.
type EventType string

// The types of events. The subject of each is what the first word names.
const (
	EventJobCreated           EventType = "job.created"
	EventJobPreviewed         EventType = "job.previewed"
	EventJobConfirmed         EventType = "job.confirmed"
	EventJobApprovalRequested EventType = "job.approval_requested"
	EventJobApproved          EventType = "job.approved"
	// EventJobStarted: the job is QUEUED.
	EventJobStarted         EventType = "job.started"
	EventJobCancelRequested EventType = "job.cancel_requested"
	// EventJobFinished: the job is COMPLETED or CANCELLED.
	EventJobFinished EventType = "job.finished"
	EventJobExpired  EventType = "job.expired"
	// EventJobRetried: another job retries the failed items of the job.
	EventJobRetried          EventType = "job.retried"
	EventRevocationCancelled EventType = "revocation.cancelled"
	// EventRevocationFinished is written only for single revocations, in accounts with SingleEvents.
	EventRevocationFinished EventType = "revocation.finished"
	EventUpstreamPaused     EventType = "upstream.paused"
	EventUpstreamResumed    EventType = "upstream.resumed"
	EventInvitesImported    EventType = "invites.imported"
	EventInvitesForgotten   EventType = "invites.forgotten"
	EventAccountChanged     EventType = "account.changed"
	EventKeyCreated         EventType = "key.created"
	EventKeyRevoked         EventType = "key.revoked"
)

// EventTypes lists every EventType.
var EventTypes = []EventType{
	EventJobCreated, EventJobPreviewed, EventJobConfirmed, EventJobApprovalRequested, EventJobApproved, EventJobStarted,
	EventJobCancelRequested, EventJobFinished, EventJobExpired, EventJobRetried, EventRevocationCancelled,
	EventRevocationFinished, EventUpstreamPaused, EventUpstreamResumed, EventInvitesImported, EventInvitesForgotten,
	EventAccountChanged, EventKeyCreated, EventKeyRevoked,
}

// ActorType is the kind of an Actor.
type ActorType string

const (
	// ActorKey is an API key.
	ActorKey ActorType = "key"
	// ActorOperator is a command on the service's machine.
	ActorOperator ActorType = "operator"
	// ActorService is the service itself.
	ActorService ActorType = "service"
)

// Actor is who did something.
type Actor struct {
	Type ActorType
	// Key is the API key; zero for the other types.
	Key ID
	// Name is the name of the key, OperatorName, or empty. It is read with an event, and not written.
	Name string
}

// OperatorName is the name of an actor of type ActorOperator.
const OperatorName = "cli"

// ByKey returns the actor that an API key is.
func ByKey(id ID) Actor { return Actor{Type: ActorKey, Key: id} }

// SubjectType is the kind of thing that an event is about.
type SubjectType string

// The kinds of subjects.
const (
	SubjectJob        SubjectType = "job"
	SubjectRevocation SubjectType = "revocation"
	SubjectAccount    SubjectType = "account"
	SubjectKey        SubjectType = "key"
)

// Subject is the thing that an event is about. The ID is that of the account itself for SubjectAccount.
type Subject struct {
	Type SubjectType
	ID   string
}

// Event describes something that happened in an account. Stores write it in the transaction that makes it true, and determine
// its Number, ID and OccurredAt there. It contains counts, states and ids, and no candidate's name or address, message,
// reason, label or secret.
type Event struct {
	// Number is the event's place among those of its account, from 1 and without gaps, in the order of the commits.
	Number     int64
	ID         ID
	Account    string
	Type       EventType
	OccurredAt time.Time
	Actor      Actor
	Subject    Subject
	// Data is a JSON object.
	Data json.RawMessage
}

// CancelledEvents returns the events of a single revocation that was cancelled. Stores write finished only for accounts with
// SingleEvents.
func CancelledEvents(ref Ref, report int64, by Actor) (cancelled, finished Event) {
	cancelled = Event{
		Account: ref.Account, Type: EventRevocationCancelled, Actor: by,
		Subject: Subject{Type: SubjectRevocation, ID: ref.ID.String()},
		Data:    fmt.Appendf(nil, `{"report_id":%d}`, report),
	}
	return cancelled, finishedSingle(&Decision{Ref: ref, ReportID: report, Status: StatusCancelled})
}

// EventCursor is a place among the events of an account: after the event with the Number and the ID. The zero EventCursor
// is before the first event.
type EventCursor struct {
	Number int64
	ID     ID
}

// EventFilter selects events of an account.
type EventFilter struct {
	Account string
	// Types are the types that are wanted; empty for all.
	Types []EventType
	// Subject is the ID of the subject; empty for all.
	Subject string
	// From excludes events that occurred before it, unless it is zero.
	From time.Time
	// After is the cursor after which the page begins; nil for the oldest event that is kept. Latest puts it after the
	// newest event instead.
	After  *EventCursor
	Latest bool
	// Limit is the largest number of events in a page, at least 1.
	Limit int
}

// EventPage is a part of the events of an account, oldest first. It has fewer events than requested only if there are no
// more at the time of the read. Next is where the next page begins: after the last event of a full page, and otherwise after
// the newest event of the account, whether or not the filter selects that.
type EventPage struct {
	Events []Event
	Next   EventCursor
}
