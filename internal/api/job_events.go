package api

import (
	"net/http"
	"time"

	"rescind/internal/revocation"
)

const (
	mediaEvents = "text/event-stream"
	// eventBeat is the longest time between two events of a running job: where no new reading comes in time,
	// the last is told again.
	eventBeat = 900 * time.Millisecond
	// eventRetry tells clients when to come back after a stream that broke off, in milliseconds.
	eventRetry = "retry: 2000\n\n"
)

// The names of the events.
const (
	eventProgress = "progress"
	eventDone     = "done"
)

// jobEvents answers GET /jobs/{id}/events: a stream of the job's body that ends with the job, or, when the
// service stops, the job is no more or the key is revoked, without the event done.
func (a *API) jobEvents(x *requestContext) error {
	r := x.Request()
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	job, err := a.service.Job(r.Context(), x.key.Account, id, 0)
	if err != nil {
		return err
	}
	x.Response().Header()["X-Accel-Buffering"] = []string{"no"}
	defer x.beginStream(mediaEvents, a.service.Draining())()
	if r.Method == http.MethodHead {
		return nil
	}
	if err := x.send(appendEvent([]byte(eventRetry), eventProgress, &job)); err != nil {
		return err
	}
	if !job.Ended() {
		if ended, err := a.followJob(x, &job); err != nil || !ended {
			return err
		}
	}
	return x.send(appendEvent(nil, eventDone, &job))
}

// followJob sends an event at each reading of the job, which it leaves in job; ended is false when there is
// nobody to tell any more, or nothing.
func (a *API) followJob(x *requestContext, job *revocation.Job) (ended bool, err error) {
	watch := a.service.WatchJob(job.Account, job.ID)
	defer watch.Close()
	beat := time.NewTimer(eventBeat)
	defer beat.Stop()
	for {
		select {
		case newer, ok := <-watch.Jobs():
			switch {
			case !ok:
				return false, nil
			case newer.Ended():
				*job = newer
				return true, nil
			case newer.ReadAt.Before(job.ReadAt):
				continue // a reading that was under way when the stream began
			}
			*job = newer
		case <-beat.C:
		case <-x.Request().Context().Done():
			return false, nil
		}
		if err := a.recheck(x); err != nil {
			x.err = err
			return false, nil
		}
		if err := x.send(appendEvent(nil, eventProgress, job)); err != nil {
			return false, err
		}
		beat.Reset(eventBeat)
	}
}

// appendEvent appends an event with the job's body, which has no line breaks.
func appendEvent(b []byte, name string, job *revocation.Job) []byte {
	b = append(b, "event: "...)
	b = append(b, name...)
	b = append(b, "\ndata: "...)
	b = appendJob(b, job)
	return append(b, "\n\n"...)
}
