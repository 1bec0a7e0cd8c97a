package main

import (
	"fmt"
	"strconv"
	"strings"

	"rescind/internal/client"
)

// pageSize is the number of items in a request: the most that the API allows.
const pageSize = 1000

type jobShowCommand struct {
	ID     string `arg:"" help:"The job's id."`
	Follow bool   `help:"Wait for the end. Ctrl-C leaves the job running."`
}

// Run prints the job. It returns errOutcome for a job that has not ended, because its outcome is not known yet.
func (c *jobShowCommand) Run(p *process) error {
	job, err := p.client.Job(p.ctx, c.ID, 0)
	if err != nil {
		return err
	}
	if c.Follow && !job.Ended() {
		return p.follow(p.ctx, job)
	}
	return p.conclude(job)
}

type jobResultsCommand struct {
	ID     string `arg:"" help:"The job's id."`
	Status string `placeholder:"STATUS" help:"Print only the items with this status, such as NOT_FOUND."`
}

// resultLine is the format of a line. The message is last, because it can be long.
const resultLine = "%8s  %19s  %-15s  %-13s  %s\n"

// Run prints the items page by page. With --json it prints the body of each page on a line.
func (c *jobResultsCommand) Run(p *process) error {
	cursor := ""
	for first := true; ; first = false {
		page, err := p.client.Results(p.ctx, c.ID, client.Status(strings.ToUpper(c.Status)), pageSize, cursor)
		if err != nil {
			return err
		}
		if p.json {
			err = p.body(page.Body)
		} else {
			err = p.print("%s", formatResults(page.Data, first))
		}
		if err != nil || page.NextCursor == nil {
			return err
		}
		cursor = *page.NextCursor
	}
}

// formatResults returns a line for each item, with an optional heading.
func formatResults(results []client.Result, heading bool) string {
	var b strings.Builder
	if heading {
		fmt.Fprintf(&b, resultLine, "ROW", "REPORT", "STATUS", "EMAIL", "MESSAGE")
	}
	for _, r := range results {
		message := r.Message
		if r.Timestamp != "" {
			message = sentence(message) + " The plan changed at " + r.Timestamp + "."
		}
		fmt.Fprintf(&b, resultLine, strconv.Itoa(r.Row), reportOf(r), printable(string(r.Status)), printable(r.Notification), printable(message))
	}
	return b.String()
}

// reportOf returns the report_id of an item, and - where it could not be read.
func reportOf(r client.Result) string {
	if r.ReportID == nil {
		return "-"
	}
	return strconv.FormatInt(*r.ReportID, 10)
}
