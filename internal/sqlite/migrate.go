package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
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

// migrate applies the migrations that the file has not seen yet, each in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB, files fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	// Another process may be migrating the same file. Then one of the two finds a table that it was about
	// to create; as long as the file gets further between two such failures, it is worth looking again.
	for reached := int64(-1); ; {
		_, err := provider.Up(ctx)
		if err == nil {
			return nil
		}
		version, versionErr := provider.GetDBVersion(ctx)
		if versionErr != nil || version <= reached {
			return err
		}
		reached = version
	}
}
