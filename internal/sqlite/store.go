// Package sqlite implements the stores with one SQLite file: the embedded database. It passes the same conformance suite as
// package postgres, internal/storetest.
//
// SQLite has one writer at a time. Every write is one short transaction that takes the file's write lock at its start, so what
// it reads cannot change before it commits. No row is contended or locked, and a transaction waits for a lock only at its
// start.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the driver

	"rescind/internal/revocation"
)

const (
	// readers is how many reads run at once beside the writer. Reads of pages and jobs have other connections, so that they do
	// not delay the look-up of API keys and the search for work.
	readers = 4
	pages   = 4
	// busyTimeout bounds the wait for another process that writes to the same file.
	busyTimeout = 5 * time.Second
)

// Store is the service's data in one file. Other processes may use the same file at the same time.
type Store struct {
	path    string
	writer  *sql.DB // of one connection
	readers *sql.DB
	pages   *sql.DB
	// selecting has room for the one selection that may read at a time. It can take seconds, and pages need connections too.
	selecting chan struct{}
}

var (
	_ revocation.SubmissionStore   = (*Store)(nil)
	_ revocation.SingleStore       = (*Store)(nil)
	_ revocation.ReadStore         = (*Store)(nil)
	_ revocation.JobStore          = (*Store)(nil)
	_ revocation.ExecutionStore    = (*Store)(nil)
	_ revocation.DispatchStore     = (*Store)(nil)
	_ revocation.NotificationStore = (*Store)(nil)
	_ revocation.BulkStore         = (*Store)(nil)
	_ revocation.CallStore         = (*Store)(nil)
	_ revocation.JanitorStore      = (*Store)(nil)
	_ revocation.InviteStore       = (*Store)(nil)
	_ revocation.EventStore        = (*Store)(nil)
)

// Open opens the file at path and applies the missing migrations. It creates the file if it does not exist; the directory must
// exist.
func Open(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault("open database", err)
	}
	// The file contains names and addresses. SQLite gives its other files the same mode.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &revocation.Error{Code: revocation.CodeUnavailable, Err: err}
	}
	if err := file.Close(); err != nil {
		return nil, &revocation.Error{Code: revocation.CodeUnavailable, Err: err}
	}
	// With synchronous=FULL, the write-ahead log is on the disk before a commit returns.
	writer, err := open(path, 1, url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_foreign_keys": {"1"}, "_txlock": {"immediate"},
	})
	if err != nil {
		return nil, fault("open database", err)
	}
	if err := migrate(ctx, writer, files); err != nil {
		return nil, errors.Join(fault("migrate database", err), writer.Close())
	}
	reading, err := open(path, readers, url.Values{"_query_only": {"1"}})
	if err != nil {
		return nil, errors.Join(fault("open database", err), writer.Close())
	}
	paging, err := open(path, pages, url.Values{"_query_only": {"1"}})
	if err != nil {
		return nil, errors.Join(fault("open database", err), reading.Close(), writer.Close())
	}
	return &Store{path: path, writer: writer, readers: reading, pages: paging, selecting: make(chan struct{}, 1)}, nil
}

func open(path string, connections int, settings url.Values) (*sql.DB, error) {
	settings.Set("_busy_timeout", strconv.FormatInt(busyTimeout.Milliseconds(), 10))
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: settings.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Close closes the file. The last process that closes it writes the write-ahead log back into it.
func (s *Store) Close() error {
	// The writer is closed last, because a connection that only reads cannot write the log back.
	return fault("close database", errors.Join(s.readers.Close(), s.pages.Close(), s.writer.Close()))
}

// Resume makes everything due that was enqueued or claimed. A process must call it only at its start, if no other process uses
// the file and its queue is empty: the tasks of the previous process are lost. Attempts that wait for a later time still wait.
// A committed email becomes UNKNOWN. Resume drops the uploads that had not ended, and frees their idempotency keys.
func (s *Store) Resume(ctx context.Context) error {
	return s.write(ctx, "resume", func(tx *sql.Tx, now time.Time) error {
		if err := exec(ctx, tx, `
			UPDATE work_items SET next_check_at = max(coalesce(due_at, ?1), ?1), claimed = 0`, micros(now)); err != nil {
			return err
		}
		if _, err := dropUploads(ctx, tx, endOfTime); err != nil {
			return err
		}
		if err := exec(ctx, tx, `
			INSERT INTO job_mail_counts (account_id, job_id, slot, unknown)
			SELECT account_id, job_id, 0, count(*) FROM notifications
			WHERE `+unsettled+` AND job_id IS NOT NULL AND status = 'COMMITTED'
			GROUP BY account_id, job_id`+addToMailCount); err != nil {
			return err
		}
		for _, index := range []string{`job_id IS NULL`, `job_id IS NOT NULL`} {
			if err := exec(ctx, tx, `
				UPDATE notifications
				SET status = CASE status WHEN 'COMMITTED' THEN 'UNKNOWN' ELSE 'PENDING' END,
				    next_check_at = ?1, updated_at = ?1
				WHERE `+unsettled+` AND `+index, micros(now)); err != nil {
				return err
			}
		}
		return nil
	})
}
