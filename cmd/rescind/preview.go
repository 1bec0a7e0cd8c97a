package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"rescind/internal/client"
)

// shownItems is how many items a job may have for its preview to name them.
const shownItems = 20

// formatPreview returns what a job would do, as a table, with the items of a job that has few.
func (p *process) formatPreview(j client.Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Job %s would end like this:\n", printable(j.ID))
	for _, status := range occurred(j.Preview.Predicted) {
		fmt.Fprintf(&b, "%10d  %s\n", j.Preview.Predicted[status], printable(string(status)))
	}
	if j.Preview.Emails != nil {
		fmt.Fprintf(&b, "%10d  %s at most\n", *j.Preview.Emails, emailWord(*j.Preview.Emails))
	} else {
		b.WriteString("The upstream decides about each UNKNOWN item, and sends the emails.\n")
	}
	if j.Total <= shownItems {
		b.WriteString(formatPredicted(p.firstResults(j.ID, "", j.Total)))
	}
	return b.String()
}

// formatPredicted returns a line for each item with its predicted outcome, and a heading; nothing without items.
func formatPredicted(results []client.Result) string {
	if len(results) == 0 {
		return ""
	}
	const line = "%8s  %19s  %s\n"
	var b strings.Builder
	fmt.Fprintf(&b, line, "ROW", "REPORT", "PREDICTED")
	for _, r := range results {
		fmt.Fprintf(&b, line, strconv.Itoa(r.Row), reportOf(r), printable(string(r.Predicted)))
	}
	return b.String()
}

// nothingRevoked is what is said of a job that would revoke no invite.
const nothingRevoked = "Nothing would be revoked."

// question asks for the confirmation of a preview.
func question(j client.Job) string {
	if j.Preview.Confirmable() == 0 {
		return nothingRevoked + " End the items like this?"
	}
	what := fmt.Sprintf("Revoke %s", plural(j.Preview.Confirmable(), "invite"))
	if j.Preview.Emails != nil && *j.Preview.Emails > 0 {
		what += fmt.Sprintf(" and send up to %s", plural(*j.Preview.Emails, "email"))
	}
	if j.NotBefore != nil {
		what += ", not before " + formatTime(*j.NotBefore)
	}
	return what + "?"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// previewed waits until the preview of a job is complete. It returns the job as it is if the job has no preview.
func (p *process) previewed(job client.Job) (client.Job, error) {
	for job.State == client.JobPreviewing {
		last, err := p.client.Follow(p.ctx, job.ID, p.display.job)
		p.display.end()
		if last.ID != "" {
			job = last
		}
		if err != nil {
			return job, fmt.Errorf("the preview cannot be followed any more: %w. Look at it: rescind job show %s", err, printable(job.ID))
		}
	}
	return job, nil
}

// decidePreview waits for the preview of a job that was just submitted. With yes it confirms the job at once; otherwise it
// asks for the decision and reads it from from. It leaves the job as it is if only is true, or if there is neither. It reports
// whether the job continues by itself. If not, it has printed the job, and err is the outcome of the command.
func (p *process) decidePreview(job client.Job, yes bool, from io.Reader, only bool) (_ client.Job, continues bool, err error) {
	job, err = p.previewed(job)
	if err == nil && job.State == client.JobPreviewed && !only && (yes || from != nil) {
		job, err = p.decide(job, yes, from)
	}
	switch {
	case errors.Is(err, errNotConfirmed):
		return job, false, cmp.Or(p.cancelled(job), errOutcome)
	case errors.Is(err, errAllRevoked):
		return job, false, p.cancelled(job)
	case err != nil:
		return job, false, err
	case job.NeedsPerson() && only:
		return job, false, p.show(job)
	case job.NeedsPerson():
		return job, false, cmp.Or(p.show(job), errOutcome)
	}
	return job, true, nil
}

var (
	// errNotConfirmed is the outcome of a job that a person has looked at and refused, or that would revoke nothing.
	errNotConfirmed = errors.New("not confirmed")
	// errAllRevoked is the outcome of a job whose invites are all revoked before it begins.
	errAllRevoked = errors.New("all invites are revoked already")
)

// decide shows the preview of a job and confirms the job: with yes at once, and otherwise if the person at the other end of
// from says so. It cancels a job that the person refuses, and returns errNotConfirmed. It asks nobody about a job that would
// revoke no invite, and cancels it too.
func (p *process) decide(job client.Job, yes bool, from io.Reader) (client.Job, error) {
	p.display.say("%s", strings.TrimSuffix(p.formatPreview(job), "\n"))
	if !yes && job.Preview.Confirmable() == 0 {
		outcome := errNotConfirmed
		if job.Preview.Predicted[client.StatusAlreadyRevoked] == job.Total {
			outcome = errAllRevoked
		}
		return p.cancelPreview(job, nothingRevoked, outcome)
	}
	if !yes {
		agreed, err := p.confirmed(from, question(job))
		if err != nil {
			return job, fmt.Errorf("%w: nothing is carried out. %s", err, nextStep(job))
		}
		if !agreed {
			return p.cancelPreview(job, "Nothing is revoked.", errNotConfirmed)
		}
	}
	confirmed, err := p.client.Confirm(p.ctx, job.ID, job.Preview.Confirmable())
	if err != nil {
		return job, fmt.Errorf("the job is not confirmed: %w. %s", err, nextStep(job))
	}
	return confirmed, nil
}

// cancelPreview cancels a job that is not to be carried out, says why, and returns the outcome as the error.
func (p *process) cancelPreview(job client.Job, why string, outcome error) (client.Job, error) {
	cancelled, err := p.client.Cancel(p.ctx, job.ID)
	if err != nil {
		return job, fmt.Errorf("nothing is carried out, but the job is not cancelled: %w", err)
	}
	p.display.say("%s The job is cancelled.", why)
	return cancelled, outcome
}

// cancelled prints the body of a job that was cancelled after its preview, if --json is given.
func (p *process) cancelled(job client.Job) error {
	if p.json {
		return p.body(job.Body)
	}
	return nil
}

// nextStep returns the command with which a waiting job continues, and what to do about an expired one; empty for any other
// job.
func nextStep(j client.Job) string {
	id := printable(j.ID)
	until := ""
	if j.ExpiresAt != nil {
		until = fmt.Sprintf(" (until %s)", formatTime(*j.ExpiresAt))
	}
	switch j.State {
	case client.JobPreviewing:
		return fmt.Sprintf("Look at the preview: rescind job show %s --follow", id)
	case client.JobPreviewed:
		return fmt.Sprintf("Confirm it%s: rescind job confirm %s --count %d", until, id, j.Preview.Confirmable())
	case client.JobAwaitingApproval:
		return fmt.Sprintf("It needs the approval of another key%s: rescind job approve %s --count %d", until, id, j.Preview.Confirmable())
	case client.JobExpired:
		return "It was not confirmed or approved in time, and nothing is revoked. Submit the list again."
	case client.JobScheduled:
		begins := "It begins by itself"
		if j.NotBefore != nil {
			begins += ", not before " + formatTime(*j.NotBefore)
		}
		return fmt.Sprintf("%s. Begin it now: rescind job start %s. Take it back: rescind job cancel %s", begins, id, id)
	default:
		return ""
	}
}
