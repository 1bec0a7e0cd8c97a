package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

type invitesImportCommand struct {
	database
	Account string `required:"" placeholder:"ID" help:"The account that the invites belong to."`
	File    string `arg:"" help:"A CSV file with the columns report_id, candidate_name, candidate_email, assessment_name and sent_at (RFC 3339); - is standard input."`
}

const (
	// importBatch is how many rows are written in one transaction: long enough to be fast, short enough to
	// let the submissions of a running service in between.
	importBatch = 5000
	// importPause lets others write between two transactions, where there is only one writer.
	importPause    = 5 * time.Millisecond
	importProgress = 5 * time.Second
	maxText        = 500 // characters of a name
)

var inviteColumns = []string{"report_id", "candidate_name", "candidate_email", "assessment_name", "sent_at"}

// Run streams the file into the database. Rows that cannot be read are told by number, the others are kept.
func (c *invitesImportCommand) Run(p *process) error {
	file := p.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		file = f
	}
	return c.withStore(p.ctx, func(s adminStore) error {
		written, bad, err := importInvites(p, s, c.Account, file)
		if revocation.ErrorCode(err) == revocation.CodeNotFound {
			return fmt.Errorf("there is no account %q: create it with: account set %s", c.Account, c.Account)
		}
		if err != nil && written > 0 {
			return fmt.Errorf("%w\n%d invites were written before that; the same file can be imported again", err, written)
		}
		if err != nil {
			return err
		}
		p.say("%d invites are written, %d rows could not be read.", written, bad)
		if bad > 0 {
			return errTold
		}
		return nil
	})
}

func importInvites(p *process, store adminStore, account string, file io.Reader) (written, bad int, err error) {
	// An account that is not there is told before a long file is read.
	if err := store.UpsertInvites(p.ctx, account, nil); err != nil {
		return 0, 0, err
	}
	reader := rows.NewCSV(file)
	heading, err := reader.Next()
	if errors.Is(err, io.EOF) {
		return 0, 0, fmt.Errorf("the file is empty: its first line must name the columns %s", strings.Join(inviteColumns, ","))
	}
	if err != nil {
		return 0, 0, fmt.Errorf("first line: %w", err)
	}
	columns, err := findColumns(heading)
	if err != nil {
		return 0, 0, err
	}
	batch := make([]revocation.Invite, 0, importBatch)
	flush := func() error {
		if err := store.UpsertInvites(p.ctx, account, batch); err != nil {
			return err
		}
		written += len(batch)
		batch = batch[:0]
		return pause(p.ctx, importPause)
	}
	told := time.Now()
	for row := 1; ; row++ {
		record, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return written, bad, flush()
		}
		_, unreadable := errors.AsType[rows.Error](err)
		if err != nil && !unreadable {
			return written, bad, fmt.Errorf("row %d: %w", row, err)
		}
		var invite revocation.Invite
		if err == nil {
			invite, err = parseInvite(record, columns)
		}
		if err != nil {
			bad++
			p.say("row %d: %v", row, err)
			continue
		}
		if batch = append(batch, invite); len(batch) == importBatch {
			if err := flush(); err != nil {
				return written, bad, err
			}
		}
		if time.Since(told) >= importProgress {
			told = time.Now()
			p.say("%d rows read, %d invites written", row, written)
		}
	}
}

// pause waits, and gives the reason when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// findColumns gives the place of each of inviteColumns in the heading; other columns are passed over.
func findColumns(heading []string) ([]int, error) {
	places := make([]int, len(inviteColumns))
	for i, name := range inviteColumns {
		places[i] = slices.Index(heading, name)
		if places[i] < 0 {
			return nil, fmt.Errorf("the first line lacks the column %s", name)
		}
	}
	return places, nil
}

// parseInvite reads a row. Its errors name the column and never the cell, which can hold a candidate's data.
func parseInvite(record []string, columns []int) (revocation.Invite, error) {
	cells := make([]string, len(columns))
	for i, at := range columns {
		if at >= len(record) {
			return revocation.Invite{}, fmt.Errorf("%s: the row is too short", inviteColumns[i])
		}
		if cells[i] = record[at]; !utf8.ValidString(cells[i]) {
			return revocation.Invite{}, fmt.Errorf("%s: not valid UTF-8", inviteColumns[i])
		}
	}
	id, err := strconv.ParseInt(cells[0], 10, 64)
	if err != nil || id < 1 {
		return revocation.Invite{}, fmt.Errorf("report_id: must be a whole number from 1 to 9223372036854775807")
	}
	name, assessment := withoutControls(cells[1]), withoutControls(cells[3])
	if utf8.RuneCountInString(name) > maxText {
		return revocation.Invite{}, fmt.Errorf("candidate_name: at most %d characters", maxText)
	}
	if utf8.RuneCountInString(assessment) > maxText {
		return revocation.Invite{}, fmt.Errorf("assessment_name: at most %d characters", maxText)
	}
	address, err := mail.ParseAddress(cells[2])
	if err != nil || address.Address != cells[2] || len(cells[2]) > 254 {
		return revocation.Invite{}, fmt.Errorf("candidate_email: not an email address")
	}
	sent, err := parseTime(cells[4])
	if err != nil {
		return revocation.Invite{}, fmt.Errorf("sent_at: %w", err)
	}
	return revocation.Invite{
		ReportID: id, CandidateName: name, CandidateEmail: cells[2], AssessmentName: assessment, SentAt: sent,
	}, nil
}

// parseTime takes times whose years stay four digits in every zone.
func parseTime(s string) (time.Time, error) {
	t, ok := revocation.ParseTime(s)
	if !ok || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		return time.Time{}, errors.New("write it like 2025-01-15T10:32:45Z, from 1970 on")
	}
	return t, nil
}

// withoutControls turns control characters, line breaks among them, into spaces: these texts go into the
// headers of emails.
func withoutControls(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}
