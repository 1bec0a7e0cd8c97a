package client

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxEvent bounds one line of a stream. The longest line is the JSON of a job.
	maxEvent = 1 << 20
	// pollWait is how long a poll waits for the end of the job.
	pollWait = 5 * time.Second
	// maxEmptyStreams is how many streams in a row may end without an event. After that the client only polls, because a
	// proxy seems to block streams.
	maxEmptyStreams = 3
)

// Follow calls each with the state of the job, about twice a second, until the job has ended or waits for a person. If the
// stream of events breaks, or ends because the job waits for a time, Follow polls the job and opens another stream. It returns
// the last state that it received, even with an error.
func (c *Client) Follow(ctx context.Context, id string, each func(Job)) (last Job, err error) {
	see := func(j Job) {
		last = j
		each(j)
	}
	for empty := 0; ; {
		if empty < maxEmptyStreams {
			received, err := c.events(ctx, id, see)
			if last.Ended() || last.NeedsPerson() || err != nil && (ctx.Err() != nil || !c.temporary(err)) {
				return last, err
			}
			if empty++; received {
				empty = 0
			}
		}
		if err := pause(ctx, c.untilNextPoll(last)); err != nil {
			return last, err
		}
		j, err := c.Job(ctx, id, pollWait)
		if err != nil {
			return last, err
		}
		if see(j); j.Ended() || j.NeedsPerson() {
			return last, nil
		}
	}
}

// untilNextPoll returns the pause before the next poll of a job whose stream of events has ended.
func (c *Client) untilNextPoll(last Job) time.Duration {
	if last.State == JobScheduled {
		return c.timing.scheduled
	}
	return c.timing.firstDelay
}

// events reads one stream until it ends or the job has ended. It reports whether it received an event. Every event contains
// the whole job, so the names of the events do not matter.
func (c *Client) events(ctx context.Context, id string, each func(Job)) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(c.timing.silence, cancel)
	defer silence.Stop()
	res, err := c.open(ctx, request{
		method: http.MethodGet, path: jobPath(id) + "/events",
		// A compressor would delay events in its buffer.
		header: http.Header{"Accept": {"text/event-stream"}, "Accept-Encoding": {"identity"}},
	})
	if err != nil {
		return false, err
	}
	defer res.Body.Close()

	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEvent)
	var data []byte
	for lines.Scan() {
		silence.Reset(c.timing.silence)
		if value, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:")); ok {
			data = append(append(data, value...), '\n')
			continue
		}
		if data = bytes.TrimSpace(data); len(lines.Bytes()) > 0 || len(data) == 0 {
			continue // another field of an event, a comment, or an event without data
		}
		j, err := decode[Job](data)
		if err != nil {
			return received, err
		}
		j.Body, data, received = data, nil, true
		if each(j); j.Ended() || j.NeedsPerson() || j.State == JobScheduled {
			return true, nil
		}
	}
	if err = lines.Err(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return received, &connectionError{fmt.Errorf("the stream of events broke off: %w", err)}
}
