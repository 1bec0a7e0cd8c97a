package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

type invitesImportCommand struct {
	database
	Account  string `required:"" placeholder:"ID" help:"The account that the invites belong to."`
	File     string `arg:"" help:"A CSV file (separated by commas, semicolons, tabs or |, in UTF-8 or UTF-16) or an .xlsx workbook with the columns report_id, candidate_name, candidate_email, assessment_name and sent_at, such as 2025-01-15T10:32:45Z; - is standard input."`
	Timezone string `placeholder:"ZONE" help:"The zone of times in sent_at that name none, such as Europe/Berlin. Without it, a row with such a time is not taken."`
	Sheet    string `placeholder:"NAME" help:"The sheet of a workbook; by default the first one that has the columns."`
}

const (
	// importBatch is how many rows are written in one transaction: long enough to be fast, short enough to
	// let the submissions of a running service in between.
	importBatch = 5000
	// importPause lets others write between two transactions, where there is only one writer.
	importPause    = 5 * time.Millisecond
	importProgress = 5 * time.Second
)

// Run streams the file into the database. Rows that cannot be read are told by number, the others are kept.
func (c *invitesImportCommand) Run(p *process) error {
	zone, err := loadZone(c.Timezone)
	if err != nil {
		return err
	}
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
		written, bad, err := c.importInvites(p, s, zone, file)
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

// loadZone is the zone that a name stands for; nil for none.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // a zone is optional
	}
	zone, err := time.LoadLocation(name)
	if err != nil || zone == time.Local {
		return nil, errors.New("--timezone: there is no such zone; write it like Europe/Berlin")
	}
	return zone, nil
}

func (c *invitesImportCommand) importInvites(p *process, store adminStore, zone *time.Location, file io.Reader) (written, bad int, err error) {
	account := c.Account
	// An account that is not there is told before a long file is read.
	if err := store.UpsertInvites(p.ctx, account, nil); err != nil {
		return 0, 0, err
	}
	table, err := rows.Open(file, rows.Options{Columns: inviteColumns, Required: len(inviteColumns), Sheet: c.Sheet})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	p.say("%s", recognised(&table.Info))
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
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			return written, bad, flush()
		}
		_, unreadable := errors.AsType[rows.Error](err)
		if err != nil && !unreadable {
			return written, bad, fmt.Errorf("row %d: %w", row.Number, err)
		}
		var invite revocation.Invite
		if err == nil {
			invite, err = parseInvite(row.Cells, zone)
		}
		if err != nil {
			bad++
			p.say("row %d: %v (%s)", row.Number, err, strings.ToLower(table.Place(row)))
			continue
		}
		if batch = append(batch, invite); len(batch) == importBatch {
			if err := flush(); err != nil {
				return written, bad, err
			}
		}
		if time.Since(told) >= importProgress {
			told = time.Now()
			p.say("%d rows read, %d invites written", row.Number, written)
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

// recognised says what was recognised of a file.
func recognised(f *rows.Info) string {
	if f.Format == rows.FormatXLSX {
		return fmt.Sprintf("This is a workbook; the sheet is %q.", f.Sheet)
	}
	return fmt.Sprintf("This is CSV, separated by %q, in %s.", f.Separator, strings.ToUpper(f.Encoding))
}
