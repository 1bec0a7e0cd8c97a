package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"rescind/internal/client"
)

type bulkCommand struct {
	File    string `arg:"" help:"A table with the column report_id and optionally notify_candidate, client_reference and reason: .csv or .tsv (separated by commas, semicolons, tabs or |, in UTF-8 or UTF-16) or .xlsx; or .ndjson or .jsonl (a revocation a line) or .json (a job); each also with .gz. - is standard input. For standard input and other names, the first characters decide the kind."`
	Notify  bool   `help:"Email the candidates of rows without a value in notify_candidate."`
	Follow  bool   `help:"Wait for the end and print the outcomes. Without it, exit 0 means that the job is accepted."`
	Preview bool   `xor:"confirmation" help:"Only show what would happen, and print the command that confirms it."`
	Yes     bool   `xor:"confirmation" help:"Do not ask: confirm what a preview shows."`
	wishFlags
	Sheet  string `placeholder:"NAME" help:"The sheet of a workbook; by default the first one with a column report_id."`
	Report string `placeholder:"OUT.csv" help:"Wait for the end, and write a file with the rows and columns of the table followed by the outcome of each row."`
}

// Run uploads the file. Its memory does not grow with the size of the file.
func (c *bulkCommand) Run(p *process) error {
	in, err := openInput(p.ctx, c.File, p.stdin)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	answers := p.asker(c.File == "-")
	if answers != nil {
		defer func() { _ = answers.Close() }() // it was only read
	}
	options := client.JobOptions{
		Notify: c.Notify, Preview: c.Preview || answers != nil, Sheet: c.Sheet, Wishes: c.wishes(),
	}
	if in.media == mediaJSON {
		if err := in.addMembers(p.ctx, options); err != nil {
			return err
		}
		options = client.JobOptions{}
	}
	var outcomes *report
	if c.Report != "" {
		if outcomes, err = newReport(c.Report, in); err != nil {
			return err
		}
		defer outcomes.discard()
	}
	var complete atomic.Bool
	job, err := p.client.NewJob(p.ctx, client.Upload{
		Content: in, Size: in.size, MediaType: in.media, Gzip: in.gzip, Options: options,
		Sent: func(n, all int64) {
			if n == all {
				complete.Store(true) // stays so if an attempt follows, because the service may have accepted this one
			}
			p.display.upload(n, all)
		},
	})
	p.display.end()
	switch {
	case err == nil:
		if job.File != nil {
			p.display.say("%s", describeFile(job.File))
		}
		job, continues, err := p.decidePreview(job, c.Yes, answers, c.Preview)
		if !continues {
			return err
		}
		err = p.accepted(job, c.Follow || outcomes != nil)
		if outcomes == nil || err != nil && !errors.Is(err, errOutcome) || p.ctx.Err() != nil {
			return err
		}
		if failed := outcomes.write(p, in, c.Sheet, job); failed != nil {
			return fmt.Errorf("the report is not written: %w", failed)
		}
		p.display.say("The report is in %s.", c.Report)
		return err
	case p.ctx.Err() == nil:
		return err
	case !complete.Load():
		return errors.New("stopped before the upload was complete: nothing is carried out")
	default:
		return errors.New("stopped before the answer: the job may have been accepted, and is then carried out")
	}
}

// Validate implements kong's check of arguments.
func (c *bulkCommand) Validate() error {
	if c.Preview && c.Report != "" {
		return errors.New("--report: a preview has no outcomes; use it with the command that carries the list out")
	}
	return nil
}

// accepted prints or follows a job that the service has accepted and that waits for nobody.
func (p *process) accepted(job client.Job, follow bool) error {
	if follow {
		p.display.say("Job %s is accepted: %s.", printable(job.ID), plural(job.Total, "item"))
		return p.follow(p.ctx, job)
	}
	switch {
	case p.json:
		if err := p.body(job.Body); err != nil {
			return err
		}
	case job.Ended():
		return p.conclude(job)
	case job.State == client.JobScheduled:
		if err := p.print("Job %s is accepted: %s. %s\n", printable(job.ID), plural(job.Total, "item"), nextStep(job)); err != nil {
			return err
		}
	default:
		err := p.print("Job %s is accepted: %s, of which %d could not be read.\nFollow it: rescind job show %s --follow\n",
			printable(job.ID), plural(job.Total, "item"), job.Counts[client.StatusInvalid], printable(job.ID))
		if err != nil {
			return err
		}
	}
	if job.Ended() && !job.Good() {
		return errOutcome
	}
	return nil
}

// follow shows the progress of a job until it has ended, and then its outcomes. The end of ctx ends follow and not the job.
func (p *process) follow(ctx context.Context, job client.Job) error {
	last, err := p.client.Follow(ctx, job.ID, p.display.job)
	p.display.end()
	if last.ID != "" {
		job = last
	}
	if err == nil || job.Ended() {
		return p.conclude(job)
	}
	id := printable(job.ID)
	advice := fmt.Sprintf("Follow it: rescind job show %s --follow. Cancel it: rescind job cancel %s.", id, id)
	if ctx.Err() == nil {
		return fmt.Errorf("the job cannot be followed any more, but may still run: %w. %s", err, advice)
	}
	p.display.say("The job continues. %s", advice)
	if p.json && job.Body != nil {
		if err := p.body(job.Body); err != nil {
			return err
		}
	}
	return errOutcome
}
