package main

import (
	"errors"
	"fmt"
	"strings"

	"rescind/internal/client"
)

type jobListCommand struct {
	State string `placeholder:"STATE,…" help:"Print only the jobs in these states, such as PREVIEWED,AWAITING_APPROVAL."`
	Limit int    `default:"20" help:"How many jobs, the newest."`
}

// Run prints a line for each job.
func (c *jobListCommand) Run(p *process) error {
	if c.Limit < 1 {
		return errors.New("--limit must be 1 or more")
	}
	cursor, left := "", c.Limit
	for first := true; ; first = false {
		page, err := p.client.Jobs(p.ctx, strings.ToUpper(c.State), min(left, pageSize), cursor)
		if err != nil {
			return err
		}
		if p.json {
			err = p.body(page.Body)
		} else {
			err = p.print("%s", formatJobs(page.Data, first))
		}
		left -= len(page.Data)
		if err != nil || page.NextCursor == nil || left <= 0 {
			return err
		}
		cursor = *page.NextCursor
	}
}

// formatJobs returns a line for each job, with an optional heading.
func formatJobs(jobs []client.Job, heading bool) string {
	const line = "%-36s  %-17s  %9s  %9s  %-16s  %s\n"
	var b strings.Builder
	if heading {
		fmt.Fprintf(&b, line, "JOB", "STATE", "ITEMS", "FINAL", "CREATED", "LABEL")
	}
	for _, j := range jobs {
		label := ""
		if j.Label != nil {
			label = *j.Label
		}
		fmt.Fprintf(&b, line, printable(j.ID), printable(string(j.State)), fmt.Sprint(j.Total), fmt.Sprint(j.Done()),
			formatMinute(j.CreatedAt), printable(label))
	}
	return b.String()
}

// decision are the flags of the commands that confirm or approve a job.
type decision struct {
	ID     string `arg:"" help:"The job's id."`
	Count  *int   `placeholder:"N" help:"How many invites can be revoked at most, as the preview says. Without it, the preview is shown, and a person is asked."`
	Yes    bool   `help:"Do not ask: accept what the preview says now."`
	Follow bool   `help:"Wait for the job's end and print the outcomes."`
}

// count returns the number to send: the flag's, or the preview's if a person or --yes accepts it.
func (c *decision) count(p *process, state client.JobState) (int, error) {
	if c.Count != nil {
		return *c.Count, nil
	}
	job, err := p.client.Job(p.ctx, c.ID, 0)
	if err == nil {
		job, err = p.previewed(job)
	}
	switch {
	case err != nil:
		return 0, err
	case job.Preview == nil || job.State != state:
		return 0, fmt.Errorf("the job is %s: there is nothing to decide", printable(string(job.State)))
	}
	p.display.say("%s", strings.TrimSuffix(p.formatPreview(job), "\n"))
	if c.Yes {
		return job.Preview.Confirmable(), nil
	}
	answers := p.asker(false)
	if answers == nil {
		return 0, fmt.Errorf("there is no terminal to ask at: name the number, --count %d", job.Preview.Confirmable())
	}
	agreed, err := p.confirmed(answers, question(job))
	if err == nil && !agreed {
		p.display.say("Nothing is changed.")
		err = errOutcome
	}
	return job.Preview.Confirmable(), err
}

// decided prints or follows the job after the request. It returns errOutcome if the job waits for an approval now.
func (c *decision) decided(p *process, job client.Job) error {
	if job.NeedsPerson() {
		return p.conclude(job)
	}
	return p.accepted(job, c.Follow)
}

type jobConfirmCommand struct{ decision }

// Run confirms the job.
func (c *jobConfirmCommand) Run(p *process) error {
	count, err := c.count(p, client.JobPreviewed)
	if err != nil {
		return err
	}
	job, err := p.client.Confirm(p.ctx, c.ID, count)
	if err != nil {
		return err
	}
	return c.decided(p, job)
}

type jobApproveCommand struct{ decision }

// Run approves the job.
func (c *jobApproveCommand) Run(p *process) error {
	count, err := c.count(p, client.JobAwaitingApproval)
	if err != nil {
		return err
	}
	job, err := p.client.Approve(p.ctx, c.ID, count)
	if err != nil {
		return err
	}
	return c.decided(p, job)
}

type jobStartCommand struct {
	ID     string `arg:"" help:"The job's id."`
	Follow bool   `help:"Wait for the job's end and print the outcomes."`
}

// Run begins the job.
func (c *jobStartCommand) Run(p *process) error {
	job, err := p.client.Start(p.ctx, c.ID)
	if err != nil {
		return err
	}
	return p.accepted(job, c.Follow)
}

type jobCancelCommand struct {
	ID string `arg:"" help:"The job's id."`
}

// Run cancels the job.
func (c *jobCancelCommand) Run(p *process) error {
	job, err := p.client.Cancel(p.ctx, c.ID)
	if err != nil {
		return err
	}
	if p.json {
		return p.body(job.Body)
	}
	return p.print("Job %s: %s, %s.\n", printable(job.ID), printable(string(job.State)), finalItems(job))
}

type jobRetryCommand struct {
	ID     string `arg:"" help:"The id of a job that has ended."`
	Follow bool   `help:"Wait for the new job's end and print the outcomes."`
}

// Run creates the new job. The limits of the account can want a preview of it: then it prints the preview and the command that
// confirms it.
func (c *jobRetryCommand) Run(p *process) error {
	job, err := p.client.Retry(p.ctx, c.ID)
	if err != nil {
		return err
	}
	job, continues, err := p.decidePreview(job, false, nil, false)
	if !continues {
		return err
	}
	return p.accepted(job, c.Follow)
}
