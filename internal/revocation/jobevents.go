package revocation

import "encoding/json"

// JobEvents returns the events of one change of a job, in the order of types, as a store must write them in the transaction
// of the change. j is the job after the change, and by is who requested it. What the service finds out by itself, such as
// the end of a job, is the service's even where it happens at once. A retry also has an event of the job that it retries.
func JobEvents(j *Job, by Actor, types ...EventType) []Event {
	var all []Event
	for _, t := range types {
		e := Event{
			Account: j.Account, Type: t, Actor: by, Subject: Subject{Type: SubjectJob, ID: j.ID.String()}, Data: jobData(j, t),
		}
		switch t {
		case EventJobPreviewed, EventJobFinished, EventJobExpired:
			e.Actor = Actor{Type: ActorService}
		}
		all = append(all, e)
		if t == EventJobCreated && !j.RetryOf.IsZero() {
			all = append(all, Event{
				Account: j.Account, Type: EventJobRetried, Actor: by, Subject: Subject{Type: SubjectJob, ID: j.RetryOf.String()},
				Data: eventData(struct {
					Job string `json:"job_id"`
				}{j.ID.String()}),
			})
		}
	}
	return all
}

// jobEventData is the data of the events of a job.
type jobEventData struct {
	State  JobState       `json:"state"`
	Total  int            `json:"total"`
	Counts map[Status]int `json:"counts"`
	// Predicted and Emails are nil until the preview is complete.
	Predicted map[Status]int `json:"predicted"`
	Emails    *int           `json:"emails"`
	RetryOf   string         `json:"retry_of,omitempty"`
}

func jobData(j *Job, t EventType) json.RawMessage {
	d := jobEventData{State: j.State, Total: j.Total, Counts: map[Status]int{
		StatusRevoked: j.Counts.Revoked, StatusAlreadyRevoked: j.Counts.AlreadyRevoked, StatusNotAllowed: j.Counts.NotAllowed,
		StatusAlreadyStarted: j.Counts.AlreadyStarted, StatusNotFound: j.Counts.NotFound,
		StatusErrorRevoking: j.Counts.ErrorRevoking, StatusInvalid: j.Counts.Invalid, StatusCancelled: j.Counts.Cancelled,
	}}
	if j.Preview != nil && !j.Preview.PredictedAt.IsZero() {
		p := &j.Preview.Predicted
		d.Predicted = map[Status]int{
			StatusRevoked: p.Revoked, StatusAlreadyRevoked: p.AlreadyRevoked, StatusNotAllowed: p.NotAllowed,
			StatusNotFound: p.NotFound, StatusAlreadyStarted: p.AlreadyStarted, StatusInvalid: p.Invalid, StatusUnknown: p.Unknown,
		}
		d.Emails = j.Preview.Emails
	}
	if t == EventJobCreated && !j.RetryOf.IsZero() {
		d.RetryOf = j.RetryOf.String()
	}
	return eventData(d)
}

// eventData returns the JSON of an event's data, which has no part that JSON cannot express.
func eventData(data any) json.RawMessage {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return b
}
