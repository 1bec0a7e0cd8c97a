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

// files are the migrations, from 1 on without a gap.
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
	// migrationLockTimeout bounds the wait of a step for a table. A transaction that comes later waits behind it, one that only
	// read too, so it is shorter than what they wait for a lock.
	migrationLockTimeout = "500ms"
	// migrationPause lets those pass.
	migrationPause = time.Second
	// migrationPatience is how long a table may be held by others, such as a report or a backup.
	migrationPatience = 20 * time.Minute
)

// Migrate brings the tables up to date and gives the number of steps that it took. Any number may run at
// once: a lock that belongs to the session lets one go first, so the URL must lead to PostgreSQL itself and
// not to a pooler of transactions. Processes of the version before can work meanwhile. A step that does not get its tables
// soon gives way and is tried again, for up to 20 minutes.
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

// CheckSchema gives ErrNotMigrated when steps are missing. A database that is ahead of this program is taken for one
// that is being upgraded: steps only add.
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
