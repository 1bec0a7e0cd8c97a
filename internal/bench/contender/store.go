// Package contender is what the contenders have in common: the tables, which are the product's own, the
// statements on them, and the routes. The statements stand in files, so that those in other languages use them too.
package contender

import (
	"context"
	_ "embed" // for the statements
	"errors"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Account has the invites.
const Account = "bench"

// connections is what each process may hold of the database, as many as a process of the product's twice over: a
// row at a time, each holds one for as long as its statement takes.
const connections = 32

var (
	//go:embed submit.sql
	submit string
	//go:embed submit_many.sql
	submitMany string
	//go:embed carry_out.sql
	carryOut string
	//go:embed read.sql
	read string
)

// Revocation is one request, with its outcome when it has one.
type Revocation struct {
	Status      string     `json:"status"`
	Message     string     `json:"message"`
	ID          uuid.UUID  `json:"id"`
	ReportID    int64      `json:"report_id"`
	Notify      bool       `json:"notify_candidate"`
	Final       bool       `json:"final"`
	Attempts    int        `json:"attempts"`
	Timestamp   *string    `json:"timestamp,omitempty"`
	CompletedAt *time.Time `json:"completed_at"`
}

// Connect opens the pool of a process, or ends it.
func Connect(ctx context.Context) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	config.MinConns, config.MaxConns = connections, connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	return pool
}

// Execer is a pool or a transaction.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Submit writes one revocation that is not carried out yet.
func Submit(ctx context.Context, on Execer, r Revocation) error {
	_, err := on.Exec(ctx, submit, Account, r.ID, r.ReportID, r.Notify)
	return err
}

// SubmitMany writes several in one statement.
func SubmitMany(ctx context.Context, on Execer, all []Revocation) error {
	ids, reports, notify := make([]uuid.UUID, len(all)), make([]int64, len(all)), make([]bool, len(all))
	for i, r := range all {
		ids[i], reports[i], notify[i] = r.ID, r.ReportID, r.Notify
	}
	_, err := on.Exec(ctx, submitMany, Account, ids, reports, notify)
	return err
}

// CarryOut decides about one revocation and writes its outcome.
func CarryOut(ctx context.Context, on Execer, id uuid.UUID) error {
	_, err := on.Exec(ctx, carryOut, Account, id)
	return err
}

// find reads one; found is false when there is none.
func find(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID) (r Revocation, found bool, err error) {
	r.ID = id
	err = pool.QueryRow(ctx, read, Account, id).Scan(&r.ReportID, &r.Notify, &r.Status, &r.Attempts, &r.Timestamp, &r.CompletedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, false, nil
	}
	r.Final, r.Message = r.CompletedAt != nil, messages[r.Status]
	return r, err == nil, err
}

var messages = map[string]string{
	"PENDING":         "The revocation is queued.",
	"REVOKED":         "Invite Revoked successfully.",
	"NOT_ALLOWED":     "Invite was sent before the latest plan change",
	"ALREADY_REVOKED": "The invite has already been revoked.",
	"NOT_FOUND":       "No such invite in this account.",
}
