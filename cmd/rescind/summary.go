package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"rescind/internal/client"
)

// shownRows is how many rows a summary shows for each outcome that is not good.
const shownRows = 5

// outcomes is the order of the outcomes in a summary. Unknown outcomes follow.
var outcomes = []client.Status{
	client.StatusRevoked, client.StatusUnknown, client.StatusAlreadyRevoked, client.StatusNotAllowed,
	client.StatusAlreadyStarted, client.StatusNotFound, client.StatusErrorRevoking, client.StatusInvalid, client.StatusCancelled,
}

// conclude prints the state of a job. It returns errOutcome unless all invites of the job are revoked.
func (p *process) conclude(job client.Job) error {
	err := p.show(job)
	if err == nil && !job.Good() {
		err = errOutcome
	}
	return err
}

// show prints the state of a job, its preview while it waits for a person, and the command that continues it.
func (p *process) show(job client.Job) error {
	if p.json {
		return p.body(job.Body)
	}
	var text string
	if job.NeedsPerson() {
		text = p.formatPreview(job)
	} else {
		text = formatJob(job) + p.formatFailed(job)
	}
	if next := nextStep(job); next != "" {
		text += next + "\n"
	}
	return p.print("%s", text)
}

// formatJob returns the state of a job: the number of items by outcome, the items that are not final, and the emails.
func formatJob(j client.Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Job %s", printable(j.ID))
	if j.Label != nil {
		fmt.Fprintf(&b, " %q", printable(*j.Label))
	}
	if j.RetryOf != nil {
		fmt.Fprintf(&b, " (retry of %s)", printable(*j.RetryOf))
	}
	fmt.Fprintf(&b, ": %s, %s", printable(string(j.State)), finalItems(j))
	if j.FinishedAt != nil {
		fmt.Fprintf(&b, ", after %s", j.FinishedAt.Sub(j.CreatedAt).Round(10*time.Millisecond))
	}
	if j.ItemsPerSecond >= 1 {
		fmt.Fprintf(&b, ", %s a second", plural(int(math.Round(j.ItemsPerSecond)), "item"))
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
	count("not tried yet", j.Pending)
	count("to be retried", j.Retrying)
	mails := j.Notifications
	count(emailWord(mails.Sent)+" sent", mails.Sent)
	count(emailWord(mails.Pending)+" to be sent", mails.Pending)
	count(emailWord(mails.Failed)+" that failed", mails.Failed)
	count(emailWord(mails.Unknown)+" that may or may not have been sent", mails.Unknown)
	count(emailWord(mails.Delegated)+" that the upstream sends", mails.Delegated)
	return b.String()
}

// finalItems says how many items of a job are final.
func finalItems(j client.Job) string {
	verb := "are"
	if j.Done() == 1 || j.Total == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%d of %s %s final", j.Done(), plural(j.Total, "item"), verb)
}

// emailWord returns the word behind a number of emails.
func emailWord(n int) string {
	if n == 1 {
		return "email"
	}
	return "emails"
}

// occurred returns the outcomes with a count above 0, in the order of a summary.
func occurred(counts client.Counts) (there []client.Status) {
	for _, status := range slices.Concat(outcomes, slices.Sorted(maps.Keys(counts))) {
		if counts[status] > 0 && !slices.Contains(there, status) {
			there = append(there, status)
		}
	}
	return there
}

// firstResults returns the first items of a job with a status, or of all if status is empty; at most limit. It returns fewer if
// they cannot be read, because the summary has their numbers, and rescind job results prints all of them.
func (p *process) firstResults(id string, status client.Status, limit int) (first []client.Result) {
	for cursor := ""; len(first) < limit; {
		page, err := p.client.Results(p.ctx, id, status, limit-len(first), cursor)
		first = append(first, page.Data...)
		if err != nil || page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	return first
}

// formatFailed returns the first items of each outcome that is not good, and the commands that print all of them. It returns
// nothing for an expired job, whose items are deleted.
func (p *process) formatFailed(j client.Job) string {
	if j.State == client.JobExpired {
		return ""
	}
	var rows []client.Result
	var all strings.Builder
	id := printable(j.ID)
	for _, status := range occurred(j.Counts) {
		if status.Good() {
			continue
		}
		fmt.Fprintf(&all, "  rescind job results %s --status %s\n", id, printable(string(status)))
		rows = append(rows, p.firstResults(j.ID, status, shownRows)...)
	}
	if all.Len() == 0 {
		return ""
	}
	text := "Not revoked, the first of each outcome:\n" + formatResults(rows, true) + "All of them:\n" + all.String()
	if j.Ended() && j.Counts[client.StatusErrorRevoking] > 0 {
		text += fmt.Sprintf("Items with ERROR_REVOKING can be retried: rescind job retry %s --follow\n", id)
	}
	return text
}
