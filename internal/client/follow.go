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
	// maxEvent bounds one line of a stream, which is a job's body.
	maxEvent = 1 << 20
	// pollWait is how long a poll waits for a job's end after its stream broke.
	pollWait = 5 * time.Second
	// deafStreams is how many streams in a row may bring nothing: after that there is something in between that
	// lets none through, and the job is polled.
	deafStreams = 3
)

// Follow gives each the job as it stands, about twice a second, until it has ended. When the stream of events
// breaks, it polls and opens another. Its job is the last one seen, also beside an error.
func (c *Client) Follow(ctx context.Context, id string, each func(Job)) (last Job, err error) {
	see := func(j Job) {
		last = j
		each(j)
	}
	for deaf := 0; ; {
		if deaf < deafStreams {
			heard, err := c.events(ctx, id, see)
			if last.Ended() || err != nil && (ctx.Err() != nil || !c.passes(err)) {
				return last, err
			}
			if deaf++; heard {
				deaf = 0
			}
		}
		if err := pause(ctx, c.timing.firstDelay); err != nil {
			return last, err
		}
		j, err := c.Job(ctx, id, pollWait)
		if err != nil {
			return last, err
		}
		if see(j); j.Ended() {
			return last, nil
		}
	}
}

// events reads one stream until it ends or the job has, and tells whether it brought anything. Every event
// carries the job's body, and that says whether more are to come, so that the events' names make no difference.
func (c *Client) events(ctx context.Context, id string, each func(Job)) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(c.timing.silence, cancel)
	defer silence.Stop()
	res, err := c.open(ctx, request{
		method: http.MethodGet, path: jobPath(id) + "/events",
		// Compressed, events would wait in the compressor.
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
			continue // something else of an event, a comment, or an event without a body
		}
		j, err := decode[Job](data)
		if err != nil {
			return heard, err
		}
		j.Body, data, heard = data, nil, true
		if each(j); j.Ended() {
			return true, nil
		}
	}
	if err = lines.Err(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return heard, &connectionError{fmt.Errorf("the stream of events broke off: %w", err)}
}
