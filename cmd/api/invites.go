package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"rescind/internal/invites"
	"rescind/internal/revocation"
	"rescind/internal/rows"
)

type invitesImportCommand struct {
	database
	Account  string `required:"" placeholder:"ID" help:"The account that the invites belong to."`
	File     string `arg:"" help:"A CSV file (separated by commas, semicolons, tabs or |, in UTF-8 or UTF-16), an .xlsx workbook, or NDJSON (an object on each line), each also packed by gzip, with the columns report_id, candidate_name, candidate_email, assessment_name, sent_at, such as 2025-01-15T10:32:45Z, and optionally assessment_id, language (such as pt-BR) and state (PENDING, STARTED or COMPLETED). A column that is not there leaves what is stored; - is standard input."`
	Timezone string `placeholder:"ZONE" help:"The zone of times in sent_at without a zone, such as Europe/Berlin. Without it, rows with such a time are not imported."`
	Sheet    string `placeholder:"NAME" help:"The sheet of a workbook; by default the first one with these columns."`
}

// importProgress is the time between two reports of the progress.
const importProgress = 5 * time.Second

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
		list := readUntilDone(p.ctx, file)
		defer func() { _ = list.Close() }() // it ends the reading
		written, bad, err := c.importInvites(p, s, zone, list)
		switch {
		case err != nil && p.ctx.Err() != nil:
			err = errors.New("stopped before the end of the list")
		case revocation.ErrorCode(err) == revocation.CodeNotFound:
			return fmt.Errorf("there is no account %q: create it with: account set %s", c.Account, c.Account)
		case revocation.ErrorCode(err) == revocation.CodeNotSupported:
			return errors.New("the account's invites are at its upstream: they cannot be imported here")
		}
		if err != nil && written > 0 {
			return fmt.Errorf("%w\n%s written before that; the same file can be imported again", err, counted(written, "invite was", "invites were"))
		}
		if err != nil {
			return err
		}
		p.say("%s written, %s could not be read.", counted(written, "invite is", "invites are"), counted(bad, "row", "rows"))
		if bad > 0 {
			return errReported
		}
		return nil
	})
}

// readUntilDone returns a reader of src whose reads also end when ctx is done, because a read of standard input may never end.
func readUntilDone(ctx context.Context, src io.Reader) io.ReadCloser {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) }) // it returns no error
	go func() {
		_, err := io.Copy(in, src)
		_ = in.CloseWithError(err) // likewise
	}()
	return out
}

// loadZone returns the time zone with a name; nil for an empty name.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // a zone is optional
	}
	zone, ok := invites.Zone(name)
	if !ok {
		return nil, errors.New("--timezone: there is no such zone; write it like Europe/Berlin")
	}
	return zone, nil
}

func (c *invitesImportCommand) importInvites(p *process, store adminStore, zone *time.Location, file io.Reader) (written, bad int, err error) {
	// Report a missing account before reading a long file.
	if err := store.UpsertInvites(p.ctx, c.Account, nil); err != nil {
		return 0, 0, err
	}
	content, isJSON, err := invites.Content(file)
	if err != nil {
		return 0, 0, err
	}
	if isJSON && c.Sheet != "" {
		return 0, 0, errors.New("--sheet: the file is text, which has no sheets")
	}
	list, err := invites.Open(content, invites.Options{
		JSON: isJSON, Zone: zone, Sheet: c.Sheet,
		IfJSON: "Write one object on each line, in UTF-8, and import that.", IfGzip: "It is packed twice: unpack it once and import that.",
	})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, list.Close()) }()
	p.say("%s", describeFile(list.Info()))
	writer := invites.NewWriter(store, c.Account, revocation.Actor{Type: revocation.ActorOperator})
	bad, err = c.readInvites(p, list, writer)
	// What was written has its event, also when the command was interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), importEnd)
	defer cancel()
	written, err = writer.Close(ctx, bad, err)
	return written, bad, err
}

// importEnd bounds the last transaction of an import.
const importEnd = 10 * time.Second

// readInvites gives the writer what can be read of a list, and reports the other rows.
func (c *invitesImportCommand) readInvites(p *process, list *invites.List, writer *invites.Writer) (bad int, err error) {
	reported := time.Now()
	for {
		invite, err := list.Next()
		unreadable, isBad := errors.AsType[*invites.RowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return bad, nil
		case isBad:
			bad++
			p.say("%v", unreadable)
			continue
		case err != nil:
			return bad, fmt.Errorf("after row %d: %w", list.Read(), err)
		}
		if writer.Add(invite) {
			if err := writer.Flush(p.ctx); err != nil {
				return bad, err
			}
		}
		if time.Since(reported) >= importProgress {
			reported = time.Now()
			p.say("%s read", counted(list.Read(), "row", "rows"))
		}
	}
}

// describeFile describes how the file is read.
func describeFile(f *rows.Info) string {
	if f == nil {
		return "This is JSON, with an object on each line."
	}
	if f.Format == rows.FormatXLSX {
		return fmt.Sprintf("This is a workbook; the sheet is %q.", f.Sheet)
	}
	return fmt.Sprintf("This is CSV, separated by %q, in %s.", f.Separator, strings.ToUpper(f.Encoding))
}
