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

// files contains the migrations, numbered from 1 without a gap.
var files = func() fs.FS {
	dir, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	return dir
}()

// migrate applies the missing migrations, each in its own transaction.
func migrate(ctx context.Context, db *sql.DB, files fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	// Another process may be migrating the same file. Then a migration fails here, because its table exists already. migrate
	// tries again as long as the version has increased since the previous failure.
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
