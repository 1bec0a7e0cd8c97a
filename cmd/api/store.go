package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"rescind/internal/config"
	"rescind/internal/invites"
	"rescind/internal/postgres"
	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/standalone"
)

// adminStore is the set of store methods that the administrative commands call.
type adminStore interface {
	SetAccount(ctx context.Context, change revocation.AccountChange) error
	Accounts(ctx context.Context) ([]revocation.Account, error)
	AddKey(ctx context.Context, key revocation.APIKey) error
	Keys(ctx context.Context, account string) ([]revocation.APIKey, error)
	RevokeKey(ctx context.Context, account string, id revocation.ID) error
	invites.Store
	ForgetAddress(ctx context.Context, account, address string, limit int, by revocation.Actor) (forgotten int, err error)
	FoldInvites(ctx context.Context, limit int) (done int, err error)
	Close() error
}

// database is the flag that selects a command's database: an embedded one in a directory, or PostgreSQL.
type database struct {
	Data string `placeholder:"DIR" help:"Use the embedded database in DIR, which is created if it does not exist; without it, use DATABASE_URL."`
}

// withStore opens the database, calls use, and closes the database.
func (d database) withStore(ctx context.Context, use func(adminStore) error) (err error) {
	store, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return use(store)
}

func (d database) open(ctx context.Context) (adminStore, error) {
	if d.Data != "" {
		return openEmbedded(ctx, d.Data)
	}
	url, err := config.DatabaseURL(os.Environ())
	if err != nil {
		return nil, err
	}
	store, err := postgres.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := store.CheckSchema(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

func openEmbedded(ctx context.Context, dir string) (*sqlite.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, filepath.Join(dir, standalone.DatabaseFile))
}

type migrateCommand struct {
	database
}

// Run migrates the tables and prints the number of migrations that were needed.
func (c *migrateCommand) Run(p *process) error {
	if c.Data != "" {
		store, err := openEmbedded(p.ctx, c.Data) // opening migrates the tables
		if err != nil {
			return err
		}
		p.say("The embedded database is up to date.")
		return store.Close()
	}
	url, err := config.DatabaseURL(os.Environ())
	if err != nil {
		return err
	}
	steps, err := postgres.Migrate(p.ctx, url)
	if err != nil {
		return err
	}
	p.say("The database is up to date: %s taken.", counted(steps, "step", "steps"))
	return nil
}
