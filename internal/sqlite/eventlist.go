package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"rescind/internal/revocation"
)

// Events implements revocation.EventStore. One snapshot has all that it reads.
func (s *Store) Events(ctx context.Context, f revocation.EventFilter) (page revocation.EventPage, err error) {
	err = s.readTx(ctx, "read events", func(ctx context.Context, tx *sql.Tx) error {
		if page.Next, err = newestEvent(ctx, tx, f.Account); err != nil {
			return err
		}
		from, err := eventsFrom(ctx, tx, f, page.Next)
		if err != nil || f.Latest {
			return err
		}
		statement, args := eventRows(f, from)
		page.Events, err = query(ctx, tx, scanEvent, statement, args...)
		if n := len(page.Events); err == nil && n == f.Limit {
			page.Next = revocation.EventCursor{Number: page.Events[n-1].Number, ID: page.Events[n-1].ID}
		}
		return err
	})
	if err != nil {
		return revocation.EventPage{}, err
	}
	return page, nil
}

func newestEvent(ctx context.Context, tx *sql.Tx, account string) (newest revocation.EventCursor, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT e.number, e.id FROM accounts AS a JOIN events AS e ON e.account_id = a.account_id AND e.number = a.event_number
		WHERE a.account_id = ?1`, account).Scan(&newest.Number, scannedID{&newest.ID})
	if errors.Is(err, sql.ErrNoRows) {
		return revocation.EventCursor{}, nil
	}
	return newest, err
}

// eventsFrom returns the number after which a page begins.
func eventsFrom(ctx context.Context, tx *sql.Tx, f revocation.EventFilter, newest revocation.EventCursor) (from int64, err error) {
	if f.After != nil {
		from = f.After.Number
		var id revocation.ID
		// After the zero cursor comes the event with the number 1, if there is any.
		err := tx.QueryRowContext(ctx, `SELECT id FROM events WHERE account_id = ?1 AND number = ?2`, f.Account, max(from, 1)).
			Scan(scannedID{&id})
		none := errors.Is(err, sql.ErrNoRows)
		if err != nil && !none {
			return 0, err
		}
		if none && (from > 0 || newest.Number > 0) || from > 0 && id != f.After.ID {
			return 0, &revocation.Error{Code: revocation.CodeInvalid, Detail: "There is no such event, or events after it are deleted."}
		}
	}
	if f.From.IsZero() {
		return from, nil
	}
	var first int64
	err = tx.QueryRowContext(ctx, `
		SELECT number FROM events INDEXED BY events_age WHERE account_id = ?1 AND occurred_at >= ?2
		ORDER BY occurred_at, number LIMIT 1`, f.Account, micros(f.From)).Scan(&first)
	if errors.Is(err, sql.ErrNoRows) {
		return max(from, newest.Number), nil
	}
	return max(from, first-1), err
}

const selectEvents = `
	SELECT e.account_id, e.number, e.id, e.type, e.occurred_at, e.actor_type, e.actor_id,
	       coalesce(nullif(k.name, ''), substr(e.actor_id, 1, 13), ''), e.subject_type, e.subject_id, e.data
	FROM events AS e
	LEFT JOIN api_keys AS k ON k.account_id = e.account_id AND k.id = e.actor_id
	WHERE e.account_id = ?1 AND e.number `

// eventRows returns the statement that reads the events of f with numbers above from. The events of a subject are ordered in
// an index of their own, and so are those of each type.
func eventRows(f revocation.EventFilter, from int64) (statement string, args []any) {
	args = []any{f.Account, from, f.Limit, f.Subject}
	numbers := func(index, condition string) string {
		return `SELECT * FROM (SELECT number FROM events INDEXED BY ` + index + `
			WHERE account_id = ?1` + condition + ` AND number > ?2 ORDER BY number LIMIT ?3)`
	}
	const end = `) ORDER BY e.number LIMIT ?3`
	switch {
	case len(f.Types) > 0:
		index, condition := "events_type", ` AND type = ?`
		if f.Subject != "" {
			index, condition = "events_subject_type", ` AND subject_id = ?4 AND type = ?`
		}
		parts := make([]string, len(f.Types))
		for i, t := range f.Types {
			args = append(args, string(t))
			parts[i] = numbers(index, condition+strconv.Itoa(len(args)))
		}
		return selectEvents + `IN (` + strings.Join(parts, ` UNION ALL `) + end, args
	case f.Subject != "":
		return selectEvents + `IN (` + numbers("events_subject", ` AND subject_id = ?4`) + end, args
	default:
		return selectEvents + `> ?2 ORDER BY e.number LIMIT ?3`, args[:3]
	}
}

func scanEvent(rows *sql.Rows) (e revocation.Event, err error) {
	var at int64
	var data string
	err = rows.Scan(&e.Account, &e.Number, scannedID{&e.ID}, &e.Type, &at, &e.Actor.Type, optionalID{&e.Actor.Key}, &e.Actor.Name,
		&e.Subject.Type, &e.Subject.ID, &data)
	e.OccurredAt, e.Data = time.UnixMicro(at).UTC(), []byte(data)
	if e.Actor.Type == revocation.ActorOperator {
		e.Actor.Name = revocation.OperatorName
	}
	return e, err
}

// EventNumbers implements revocation.EventStore.
func (s *Store) EventNumbers(ctx context.Context, accounts []string) (map[string]int64, error) {
	type number struct {
		account string
		newest  int64
	}
	scan := func(rows *sql.Rows) (n number, err error) {
		err = rows.Scan(&n.account, &n.newest)
		return n, err
	}
	found, err := query(ctx, s.readers, scan, `
		SELECT account_id, event_number FROM accounts WHERE account_id IN (SELECT value FROM json_each(?1))`, parameter(accounts))
	if err != nil {
		return nil, fault("read numbers of events", err)
	}
	numbers := make(map[string]int64, len(found))
	for _, n := range found {
		numbers[n.account] = n.newest
	}
	return numbers, nil
}

// ExpireEvents implements revocation.JanitorStore.
func (s *Store) ExpireEvents(ctx context.Context, retention time.Duration, limit int) (deleted int, err error) {
	err = s.write(ctx, "delete old events", func(tx *sql.Tx, now time.Time) error {
		n, err := change(ctx, tx, `
			DELETE FROM events WHERE (account_id, number) IN (
				SELECT e.account_id, e.number FROM accounts AS a
				CROSS JOIN events AS e INDEXED BY events_age ON e.account_id = a.account_id
				WHERE e.occurred_at < ?1 AND e.number < a.event_number
				ORDER BY a.account_id, e.occurred_at, e.number LIMIT ?2)`, micros(now.Add(-retention)), limit)
		deleted = int(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}
