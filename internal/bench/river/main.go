// Command river is the same service on River, whose queue is a table of the same database: a request and its job
// are written in one transaction. `river api` has one a request, `river batched` one for all requests that came
// while the last one was under way.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"rescind/internal/bench/contender"
)

const (
	workers = 100
	// cooldown is River's minimum time between two polls of the queue. A notification starts a poll at once.
	cooldown = time.Millisecond
	poll     = 100 * time.Millisecond
)

type revoke struct {
	ID uuid.UUID `json:"id"`
}

func (revoke) Kind() string { return "revoke" }

type worker struct {
	river.WorkerDefaults[revoke]
	pool *pgxpool.Pool
}

func (w *worker) Work(ctx context.Context, job *river.Job[revoke]) error {
	return contender.CarryOut(ctx, w.pool, job.Args.ID)
}

func main() {
	ctx := context.Background()
	pool := contender.Connect(ctx)
	driver := riverpgxv5.New(pool)
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	config := &river.Config{
		// Who inserts needs it too: it is how often a notice goes out.
		FetchCooldown: cooldown, FetchPollInterval: poll,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	role := ""
	if len(os.Args) == 2 {
		role = os.Args[1]
	}
	switch role {
	case "migrate":
		migrator, err := rivermigrate.New(driver, nil)
		must(err)
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		must(err)
	case "api":
		client, err := river.NewClient(driver, config)
		must(err)
		contender.Serve(pool, func(ctx context.Context, r contender.Revocation) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				if err := contender.Submit(ctx, tx, r); err != nil {
					return err
				}
				_, err := client.InsertTx(ctx, tx, revoke{r.ID}, nil)
				return err
			})
		})
	case "batched":
		client, err := river.NewClient(driver, config)
		must(err)
		group := newGroup(func(ctx context.Context, all []contender.Revocation) error {
			jobs := make([]river.InsertManyParams, len(all))
			for i, r := range all {
				jobs[i].Args = revoke{r.ID}
			}
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				if err := contender.SubmitMany(ctx, tx, all); err != nil {
					return err
				}
				_, err := client.InsertManyFastTx(ctx, tx, jobs)
				return err
			})
		})
		contender.Serve(pool, group.accept)
	case "worker":
		config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}
		config.Workers = river.NewWorkers()
		river.AddWorker(config.Workers, &worker{pool: pool})
		client, err := river.NewClient(driver, config)
		must(err)
		must(client.Start(ctx))
		<-client.Stopped()
	default:
		log.Fatal("usage: river migrate|api|batched|worker")
	}
}
