package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rescind/internal/client"
)

// shownRows is how many rows a summary shows of each outcome but the good ones.
const shownRows = 5

// outcomes are in the order in which a summary tells of them; those that it does not know come after them.
var outcomes = []client.Status{
	client.StatusRevoked, client.StatusAlreadyRevoked, client.StatusNotAllowed, client.StatusNotFound,
	client.StatusErrorRevoking, client.StatusInvalid, client.StatusCancelled,
}

// conclude tells how a job stands, and ends with errOutcome unless all its invites are revoked.
func (p *process) conclude(job client.Job) error {
	var err error
	if p.json {
		err = p.body(job.Body)
	} else {
		err = p.print("%s%s", tellJob(job), p.tellFailed(job))
	}
	if err == nil && !job.Good() {
		err = errOutcome
	}
	return err
}

// tellJob is how a job stands: what is final by its outcome, what is not, and the emails.
func tellJob(j client.Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Job %s", printable(j.ID))
	if j.Label != nil {
		fmt.Fprintf(&b, " %q", printable(*j.Label))
	}
	if j.RetryOf != nil {
		fmt.Fprintf(&b, " (again what failed of %s)", printable(*j.RetryOf))
	}
	fmt.Fprintf(&b, ": %s, %d of %d items are final", printable(string(j.State)), j.Done(), j.Total)
	if j.FinishedAt != nil {
		fmt.Fprintf(&b, ", after %s", j.FinishedAt.Sub(j.CreatedAt).Round(10*time.Millisecond))
	}
	if j.ItemsPerSecond >= 1 {
		fmt.Fprintf(&b, ", %.0f items a second", j.ItemsPerSecond)
	}
	b.WriteString(".\n")
	count := func(what string, n int) {
		if n > 0 {
			fmt.Fprintf(&b, "%10d  %s\n", n, printable(what))
		}
	}
	for _, status := range occurred(j.Counts) {
		count(string(status), j.Counts[status])
	}
	count("to come", j.Pending)
	count("tried again later", j.Retrying)
	mails := j.Notifications
	count("emails sent", mails.Sent)
	count("emails on their way", mails.Pending)
	count("emails that failed", mails.Failed)
	count("emails that may or may not have been sent", mails.Unknown)
	count("emails left to the upstream", mails.Delegated)
	return b.String()
}

// occurred are the outcomes that there are, in the order to tell them in.
func occurred(counts client.Counts) (there []client.Status) {
	for _, status := range slices.Concat(outcomes, slices.Sorted(maps.Keys(counts))) {
		if counts[status] > 0 && !slices.Contains(there, status) {
			there = append(there, status)
		}
	}
	return there
}

// firstResults returns the first items of a job with a status, shownRows at most. Where they cannot be read, there are
// fewer: the command that shows them is told anyway.
func (p *process) firstResults(id string, status client.Status) (first []client.Result) {
	for cursor := ""; ; {
		page, err := p.client.Results(p.ctx, id, status, shownRows-len(first), cursor)
		first = append(first, page.Data...)
		if err != nil || page.NextCursor == nil || len(first) >= shownRows {
			return first
		}
		cursor = *page.NextCursor
	}
}

// tellFailed says where the rows are that are not revoked: the first of each outcome, and how to see all.
func (p *process) tellFailed(j client.Job) string {
	var rows []client.Result
	var all strings.Builder
	id := printable(j.ID)
	for _, status := range occurred(j.Counts) {
		if status.Good() {
			continue
		}
		fmt.Fprintf(&all, "  rescind job results %s --status %s\n", id, printable(string(status)))
		rows = append(rows, p.firstResults(j.ID, status)...)
	}
	if all.Len() == 0 {
		return ""
	}
	told := "Not revoked, the first of each outcome:\n" + tellResults(rows, true) + "All of them:\n" + all.String()
	if j.Ended() && j.Counts[client.StatusErrorRevoking] > 0 {
		told += fmt.Sprintf("Those with ERROR_REVOKING can be tried again: rescind job retry %s --follow\n", id)
	}
	return told
}
