package main

import (
	"errors"
	"fmt"
	"sync/atomic"

	"rescind/internal/client"
)

type bulkCommand struct {
	File   string `arg:"" help:"A table with the column report_id and, where they are wanted, notify_candidate and client_reference: .csv or .tsv (separated by commas, semicolons, tabs or |, in UTF-8 or UTF-16) or .xlsx; or .ndjson or .jsonl (a revocation a line) or .json (a job); each also with .gz. - is standard input. Its kind, and that of other files, is found by the first characters."`
	Notify bool   `help:"Tell the candidates by email whose rows do not say otherwise; a .json file says it itself."`
	Follow bool   `help:"Wait for the end and tell the outcomes. Without it, exit 0 means that the job is accepted."`
	Sheet  string `placeholder:"NAME" help:"The sheet of a workbook; by default the first one that has a column report_id."`
	Report string `placeholder:"OUT.csv" help:"Wait for the end, and write a file with the rows and columns of the table and, behind them, what became of each."`
}

// Run uploads the file. What it holds in memory does not grow with it.
func (c *bulkCommand) Run(p *process) error {
	in, err := openInput(p.ctx, c.File, p.stdin)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	if c.Notify && in.media == mediaJSON {
		return errors.New(`--notify: a job in JSON says it itself, in "notify_candidate": true`)
	}
	var outcomes *report
	if c.Report != "" {
		if outcomes, err = newReport(c.Report, in); err != nil {
			return err
		}
		defer outcomes.discard()
	}
	var sent atomic.Int64
	job, err := p.client.NewJob(p.ctx, client.Upload{
		Content: in, Size: in.size, MediaType: in.media, Gzip: in.gzip, Notify: c.Notify, Sheet: c.Sheet,
		Sent: func(n int64) {
			sent.Store(n)
			p.display.upload(n, in.size)
		},
	})
	p.display.end()
	switch {
	case err == nil:
		if job.File != nil {
			p.display.say("%s", recognised(job.File))
		}
		err := p.begun(job, c.Follow || outcomes != nil)
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
	case sent.Load() < in.size:
		return errors.New("stopped before all was uploaded: nothing of it is carried out")
	default:
		return errors.New("stopped before the answer: the job may have been accepted, and goes on then")
	}
}

// begun goes on with a job that has been accepted.
func (p *process) begun(job client.Job, follow bool) error {
	if follow {
		p.display.say("Job %s is accepted: %d items.", printable(job.ID), job.Total)
		return p.follow(job)
	}
	switch {
	case p.json:
		if err := p.body(job.Body); err != nil {
			return err
		}
	case job.Ended():
		return p.conclude(job)
	default:
		err := p.print("Job %s is accepted: %d items, of which %d could not be read.\nFollow it: rescind job show %s --follow\n",
			printable(job.ID), job.Total, job.Counts[client.StatusInvalid], printable(job.ID))
		if err != nil {
			return err
		}
	}
	if job.Ended() && !job.Good() {
		return errOutcome
	}
	return nil
}

// follow tells of a job until it has ended, and then how. Whoever stops that leaves the job running.
func (p *process) follow(job client.Job) error {
	last, err := p.client.Follow(p.ctx, job.ID, p.display.job)
	p.display.end()
	if last.ID != "" {
		job = last
	}
	if err == nil || job.Ended() {
		return p.conclude(job)
	}
	id := printable(job.ID)
	advice := fmt.Sprintf("Follow it: rescind job show %s --follow. Cancel it: rescind job cancel %s.", id, id)
	if p.ctx.Err() == nil {
		return fmt.Errorf("the job cannot be followed any more, and may go on: %w. %s", err, advice)
	}
	p.display.say("The job goes on. %s", advice)
	if p.json && job.Body != nil {
		if err := p.body(job.Body); err != nil {
			return err
		}
	}
	return errOutcome
}
