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
	File     string `arg:"" help:"A CSV file (separated by commas, semicolons, tabs or |, in UTF-8 or UTF-16) or an .xlsx workbook with the columns report_id, candidate_name, candidate_email, assessment_name, sent_at, such as 2025-01-15T10:32:45Z, and optionally state: PENDING, STARTED or COMPLETED; - is standard input."`
	Timezone string `placeholder:"ZONE" help:"The zone of times in sent_at without a zone, such as Europe/Berlin. Without it, rows with such a time are not imported."`
	Sheet    string `placeholder:"NAME" help:"The sheet of a workbook; by default the first one with these columns."`
}

const (
	// importBatch is the number of rows in one transaction: large enough to be fast, small enough that the submissions of a
	// running service do not wait long.
	importBatch = 5000
	// importPause lets other processes write between two transactions on a database with only one writer.
	importPause    = 5 * time.Millisecond
	importProgress = 5 * time.Second
)

// Run streams the file into the database. It reports rows that cannot be read by number and imports the others.
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
			return errReported
		}
		return nil
	})
}

// loadZone returns the time zone with a name; nil for an empty name.
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
	// Report a missing account before reading a long file.
	if err := store.UpsertInvites(p.ctx, account, nil); err != nil {
		return 0, 0, err
	}
	table, err := rows.Open(file, rows.Options{Columns: inviteColumns, Required: requiredColumns, Sheet: c.Sheet})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	p.say("%s", describeFile(&table.Info))
	batch := make([]revocation.Invite, 0, importBatch)
	flush := func() error {
		if err := store.UpsertInvites(p.ctx, account, batch); err != nil {
			return err
		}
		written += len(batch)
		batch = batch[:0]
		return pause(p.ctx, importPause)
	}
	reported := time.Now()
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			counts := revocation.Import{Written: written + len(batch), Bad: bad}
			if err := store.FinishImport(p.ctx, account, batch, counts); err != nil {
				return written, bad, err
			}
			return counts.Written, bad, nil
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
		if time.Since(reported) >= importProgress {
			reported = time.Now()
			p.say("%d rows read, %d invites written", row.Number, written)
		}
	}
}

// pause waits for d. It returns the error of ctx if ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// describeFile describes how the file is read.
func describeFile(f *rows.Info) string {
	if f.Format == rows.FormatXLSX {
		return fmt.Sprintf("This is a workbook; the sheet is %q.", f.Sheet)
	}
	return fmt.Sprintf("This is CSV, separated by %q, in %s.", f.Separator, strings.ToUpper(f.Encoding))
}
