package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// errNoEvent is the error for a cursor that cannot be continued.
var errNoEvent = &revocation.Error{Code: revocation.CodeInvalid, Detail: "There is no such event, or events after it are deleted."}

// Events implements revocation.EventStore. It reads the cursor's event, the newest event and the page from one snapshot. The
// numbers follow the order of the commits, so no event with a number up to the newest can appear later.
func (s *Store) Events(ctx context.Context, f revocation.EventFilter) (page revocation.EventPage, err error) {
	err = s.readTx(ctx, "read events", func(ctx context.Context, tx *tx) error {
		page = revocation.EventPage{}
		var newest revocation.EventCursor
		from := int64(0)
		valid := true
		batch := &pgx.Batch{}
		batch.Queue(`
			SELECT a.event_number, e.id FROM accounts a
			CROSS JOIN LATERAL (SELECT id FROM events e WHERE e.account_id = $1 AND e.number = a.event_number OFFSET 0) AS e
			WHERE a.account_id = $1`, f.Account).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&newest.Number, (*uuid)(&newest.ID)}, func() error { return nil })
			return err
		})
		if f.After != nil {
			valid, from = f.After.Number == 0, f.After.Number
			// A zero cursor is valid if event 1 still exists, or if there was never an event.
			batch.Queue(`SELECT id FROM events WHERE account_id = $1 AND number = $2`, f.Account, max(from, 1)).
				Query(func(rows pgx.Rows) error {
					var id revocation.ID
					tag, err := pgx.ForEachRow(rows, []any{(*uuid)(&id)}, func() error { return nil })
					valid = tag.RowsAffected() == 1 && (from == 0 || id == f.After.ID) || from == 0 && newest.Number == 0
					return err
				})
		}
		if !f.From.IsZero() {
			first := int64(-1)
			batch.Queue(`
				SELECT number FROM events WHERE account_id = $1 AND occurred_at >= $2 AND number > 0
				ORDER BY occurred_at, number LIMIT 1`, f.Account, f.From).Query(func(rows pgx.Rows) error {
				_, err := pgx.ForEachRow(rows, []any{&first}, func() error { return nil })
				if first < 0 {
					first = newest.Number + 1
				}
				from = max(from, first-1)
				return err
			})
		}
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		if !valid {
			return errNoEvent
		}
		page.Next = newest
		batch = &pgx.Batch{}
		if !f.Latest {
			query, args := eventRows(f, from)
			batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
				page.Events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (revocation.Event, error) {
					return scanEvent(f.Account, row)
				})
				if n := len(page.Events); n == f.Limit {
					page.Next = revocation.EventCursor{Number: page.Events[n-1].Number, ID: page.Events[n-1].ID}
				}
				return err
			})
		}
		return tx.commit(ctx, batch)
	})
	if err != nil {
		return revocation.EventPage{}, err
	}
	return page, nil
}

const (
	eventColumns = `
		SELECT e.number, e.id, e.type, e.occurred_at, e.actor_type, e.actor_id,
			coalesce(nullif((SELECT k.name FROM api_keys k WHERE k.account_id = e.account_id AND k.id = e.actor_id), ''),
				left(e.actor_id::text, 13), ''),
			e.subject_type, e.subject_id, e.data `
	allEvents = eventColumns + `FROM events e WHERE e.account_id = $1 AND e.number > $2 ORDER BY e.number LIMIT $3`
	// One index has the events of each subject in order, and another the events of each type.
	subjectEvents = eventColumns + `
		FROM events e WHERE e.account_id = $1 AND e.subject_id = $4 AND e.number > $2 AND e.number > 0 ORDER BY e.number LIMIT $3`
	typedEvents = eventColumns + `
		FROM (
			SELECT n.number FROM unnest($4::text[]) AS t(type)
			CROSS JOIN LATERAL (
				SELECT number FROM events e WHERE e.account_id = $1 AND e.type = t.type AND e.number > $2 AND e.number > 0
				ORDER BY number LIMIT $3) AS n
			ORDER BY n.number LIMIT $3) AS n
		CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.account_id = $1 AND e.number = n.number OFFSET 0) AS e
		ORDER BY n.number`
	typedSubjectEvents = eventColumns + `
		FROM (
			SELECT n.number FROM unnest($4::text[]) AS t(type)
			CROSS JOIN LATERAL (
				SELECT number FROM events e
				WHERE e.account_id = $1 AND e.subject_id = $5 AND e.type = t.type AND e.number > $2 AND e.number > 0
				ORDER BY number LIMIT $3) AS n
			ORDER BY n.number LIMIT $3) AS n
		CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.account_id = $1 AND e.number = n.number OFFSET 0) AS e
		ORDER BY n.number`
)

// eventRows returns the statement that reads the events of f with numbers above from.
func eventRows(f revocation.EventFilter, from int64) (query string, args []any) {
	args = []any{f.Account, from, f.Limit}
	types := make([]string, len(f.Types))
	for i, t := range f.Types {
		types[i] = string(t)
	}
	switch {
	case len(types) > 0 && f.Subject != "":
		return typedSubjectEvents, append(args, types, f.Subject)
	case len(types) > 0:
		return typedEvents, append(args, types)
	case f.Subject != "":
		return subjectEvents, append(args, f.Subject)
	default:
		return allEvents, args
	}
}

func scanEvent(account string, row pgx.Row) (revocation.Event, error) {
	e := revocation.Event{Account: account}
	var key *uuid
	err := row.Scan(&e.Number, (*uuid)(&e.ID), &e.Type, &e.OccurredAt, &e.Actor.Type, &key, &e.Actor.Name,
		&e.Subject.Type, &e.Subject.ID, (*[]byte)(&e.Data))
	if err != nil {
		return revocation.Event{}, err
	}
	e.OccurredAt = e.OccurredAt.UTC()
	switch {
	case key != nil:
		e.Actor.Key = *key
	case e.Actor.Type == revocation.ActorOperator:
		e.Actor.Name = revocation.OperatorName
	}
	return e, nil
}

// EventNumbers implements revocation.EventStore.
func (s *Store) EventNumbers(ctx context.Context, accounts []string) (map[string]int64, error) {
	numbers := make(map[string]int64, len(accounts))
	batch := &pgx.Batch{}
	batch.Queue(`SELECT account_id, event_number FROM accounts WHERE account_id = ANY ($1)`, accounts).Query(func(rows pgx.Rows) error {
		var account string
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&account, &number}, func() error {
			numbers[account] = number
			return nil
		})
		return err
	})
	if err := s.readTx(ctx, "read numbers of events", committing(batch)); err != nil {
		return nil, err
	}
	return numbers, nil
}

// ExpireEvents implements revocation.JanitorStore.
func (s *Store) ExpireEvents(ctx context.Context, retention time.Duration, limit int) (deleted int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH old AS MATERIALIZED (
			SELECT e.place FROM accounts a
			CROSS JOIN LATERAL (
				SELECT e.ctid AS place FROM events e
				WHERE e.account_id = a.account_id AND e.occurred_at < now() - make_interval(secs => $1)
					AND e.number < a.event_number AND e.number > 0
				ORDER BY e.occurred_at, e.number LIMIT $2) AS e
			LIMIT $2)
		DELETE FROM events e USING old WHERE e.ctid = old.place`, retention.Seconds(), limit).
		Exec(func(tag pgconn.CommandTag) error {
			deleted = int(tag.RowsAffected())
			return nil
		})
	return deleted, s.run(ctx, "delete old events", batch)
}
