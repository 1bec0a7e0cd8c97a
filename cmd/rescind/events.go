package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rescind/internal/client"
)

// followWait is how long a request for the next event waits.
const followWait = 30 * time.Second

type eventsCommand struct {
	Type    string  `placeholder:"TYPE,…" help:"Print only events of these types, such as job.confirmed,job.approved."`
	Subject string  `placeholder:"ID" help:"Print only the events about this job, revocation or key."`
	After   *moment `placeholder:"TIME" help:"Begin at this time (RFC 3339). By default the first event that is kept comes first; with --follow, the next one that happens."`
	Follow  bool    `help:"Wait for further events, until Ctrl-C."`
}

// Run prints the events, one on each line. With --json it prints the body of each page that has events on a line.
func (c *eventsCommand) Run(p *process) error {
	f := client.EventFilter{Types: c.Type, Subject: c.Subject}
	switch {
	case c.After != nil:
		f.After = c.After.UTC().Format(time.RFC3339Nano)
	case c.Follow:
		f.Cursor = client.LatestEvents
	}
	for {
		wait := time.Duration(0)
		if c.Follow && f.Cursor != client.LatestEvents {
			wait = followWait
		}
		page, err := p.client.Events(p.ctx, f, pageSize, wait)
		switch {
		case c.Follow && errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return err
		case page.NextCursor == "":
			return errors.New("the answer is not one of rescind's: it has no cursor")
		case len(page.Data) == 0 && !c.Follow:
			return nil
		}
		f.Cursor, f.After = page.NextCursor, ""
		switch {
		case len(page.Data) == 0:
		case p.json:
			err = p.body(page.Body)
		default:
			err = p.print("%s", formatEvents(page.Data))
		}
		if err != nil {
			return err
		}
	}
}

// formatEvents returns a line for each event.
func formatEvents(events []client.Event) string {
	var b strings.Builder
	for _, e := range events {
		actor := e.Actor.Name
		if actor == "" {
			actor = e.Actor.Type
		}
		fmt.Fprintf(&b, "%s  %-22s  %-13s  %s %s  %s\n", formatTime(e.OccurredAt), printable(e.Type), printable(actor),
			printable(e.Subject.Type), printable(e.Subject.ID), printable(string(e.Data)))
	}
	return b.String()
}
