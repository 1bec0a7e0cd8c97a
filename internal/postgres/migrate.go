package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"rescind/internal/revocation"
)

//go:embed migrations/*.sql
var embedded embed.FS

// files contains the migrations, numbered from 1 without a gap.
var files = func() fs.FS {
	dir, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	return dir
}()

// ErrNotMigrated reports that the database lacks tables that this program needs.
var ErrNotMigrated = errors.New("the database's tables are not up to date: run the migrate command")

const (
	// migrationLockTimeout bounds how long a step waits for the lock of a table. Later transactions wait behind it, even those
	// that only read, so it is shorter than their lock_timeout.
	migrationLockTimeout = "500ms"
	// migrationPause is the pause before the next try, in which these transactions get their locks.
	migrationPause = time.Second
	// migrationPatience is how long another transaction, such as a report or a backup, may keep a table locked.
	migrationPatience = 20 * time.Minute
)

// Migrate applies the missing migrations and returns their number. Several processes may call it at once: a session lock makes
// them run one after the other, so the URL must lead to PostgreSQL itself and not to a pooler of transactions. Processes of the
// previous version can run meanwhile. If a step cannot lock its tables soon, it is retried, for up to 20 minutes.
func Migrate(ctx context.Context, url string) (steps int, err error) { return migrate(ctx, url, files) }

func migrate(ctx context.Context, url string, files fs.FS) (steps int, err error) {
	db, provider, err := migrations(url, files)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for began := time.Now(); ; {
		results, err := provider.Up(ctx)
		steps += len(results)
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			steps += len(partial.Applied)
		}
		if err == nil {
			return steps, nil
		}
		if faultCode(err) != revocation.CodeLockTimeout || time.Since(began) > migrationPatience {
			return steps, fmt.Errorf("migrate the database: %w", err)
		}
		select {
		case <-time.After(migrationPause):
		case <-ctx.Done():
			return steps, fmt.Errorf("migrate the database: %w", err)
		}
	}
}

// CheckSchema returns ErrNotMigrated if migrations are missing. It accepts a database of a newer version, because migrations
// only add.
func (s *Store) CheckSchema(ctx context.Context) error {
	steps, err := fs.ReadDir(files, ".")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	var version int
	err = s.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == "42P01" || err == nil && version < len(steps) {
		return ErrNotMigrated
	}
	return fault("check the schema", err)
}

func migrations(url string, files fs.FS) (*sql.DB, *goose.Provider, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, nil, fmt.Errorf("DATABASE_URL is not a valid postgres:// URL")
	}
	config.ConnectTimeout = connectTimeout
	preferWritable(config, url)
	config.RuntimeParams["lock_timeout"] = migrationLockTimeout
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, nil, err
	}
	db := stdlib.OpenDB(*config)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, provider, nil
}
