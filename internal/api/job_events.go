package api

import (
	"net/http"
	"time"

	"rescind/internal/revocation"
)

const (
	mediaEvents = "text/event-stream"
	// eventHeartbeat is the longest time between two events of a job that has not ended and does not wait. If the job was not
	// read again in that time, the stream repeats the last event.
	eventHeartbeat = 900 * time.Millisecond
	// eventRetry makes clients reconnect 2000 milliseconds after a stream broke off.
	eventRetry = "retry: 2000\n\n"
)

// The names of the events.
const (
	eventProgress = "progress"
	eventDone     = "done"
)

// jobEvents serves GET /jobs/{id}/events: a stream of events with the job that ends with the event done when the job has
// ended or waits for a person or a time. The stream ends without done if the service stops, the job is deleted or the key is
// revoked.
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
	if !job.Idle() {
		if settled, err := a.followJob(x, &job); err != nil || !settled {
			return err
		}
	}
	return x.send(appendEvent(nil, eventDone, &job))
}

// followJob sends an event each time the service reads the job, and stores the latest reading in job. It reports whether
// the job has ended or waits. It returns early if the caller left, the key was revoked or there are no more readings.
func (a *API) followJob(x *requestContext, job *revocation.Job) (settled bool, err error) {
	watch := a.service.WatchJob(job.Account, job.ID)
	defer watch.Close()
	heartbeat := time.NewTimer(eventHeartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case newer, ok := <-watch.Jobs():
			if !ok {
				return false, nil
			}
			*job = newer
			if job.Idle() {
				return true, nil
			}
		case <-heartbeat.C:
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
		heartbeat.Reset(eventHeartbeat)
	}
}

// appendEvent appends an event whose data is the job. The data has no line breaks.
func appendEvent(b []byte, name string, job *revocation.Job) []byte {
	b = append(b, "event: "...)
	b = append(b, name...)
	b = append(b, "\ndata: "...)
	b = append(b, jsonOf(jobOf(job))...)
	return append(b, "\n\n"...)
}
