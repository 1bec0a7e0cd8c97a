package postgres

import (
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// queueEvents writes events. Its statements must be the last of their transaction. The number of an event comes from the row
// of its account, which stays locked until the commit. So the numbers follow the order of the commits, and a rollback leaves
// no gap. The accounts are locked in the order of their ids. The events of an account keep their order.
func queueEvents(batch *pgx.Batch, events []revocation.Event) {
	byAccount := groupEvents(events)
	for _, account := range slices.Sorted(maps.Keys(byAccount)) {
		queueAccountEvents(batch, byAccount[account], "")
	}
}

func groupEvents(events []revocation.Event) map[string][]revocation.Event {
	groups := make(map[string][]revocation.Event)
	for _, e := range events {
		groups[e.Account] = append(groups[e.Account], e)
	}
	return groups
}

// occurredAt is the time of an event that follows event number c.before. It is read after the account's row is locked, and is
// never before the time of the previous event, so that the times have the same order as the numbers.
const occurredAt = `greatest(clock_timestamp(), (
		SELECT occurred_at FROM events e WHERE e.account_id = $1 AND e.number = c.before))`

// ifSingleEvents is the condition that an account has events for its final single revocations.
const ifSingleEvents = ` AND single_events`

// queueAccountEvents writes events of one account, if the account meets the condition.
func queueAccountEvents(batch *pgx.Batch, events []revocation.Event, condition string) {
	n := len(events)
	ids, keys := make([]uuid, n), make([]*uuid, n)
	types, actors, subjectTypes, subjects, data := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i := range events {
		e := &events[i]
		ids[i], types[i], actors[i], data[i] = uuid(uuidv7.New()), string(e.Type), string(e.Actor.Type), string(e.Data)
		subjectTypes[i], subjects[i] = string(e.Subject.Type), e.Subject.ID
		if e.Actor.Type == revocation.ActorKey {
			keys[i] = (*uuid)(&e.Actor.Key)
		}
	}
	batch.Queue(`
		WITH counted AS MATERIALIZED (
			UPDATE accounts SET event_number = event_number + $2 WHERE account_id = $1`+condition+`
			RETURNING event_number - $2 AS before)
		INSERT INTO events (account_id, number, id, type, occurred_at, actor_type, actor_id, subject_type, subject_id, data)
		SELECT $1, c.before + t.place, t.id, t.type, `+occurredAt+`, t.actor_type, t.actor_id, t.subject_type, t.subject_id, t.data::json
		FROM counted c CROSS JOIN unnest($3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::text[])
			WITH ORDINALITY AS t(id, type, actor_type, actor_id, subject_type, subject_id, data, place)`,
		events[0].Account, n, ids, types, actors, keys, subjectTypes, subjects, data)
}

// queueFinished writes an event for each job of counts that has ended in this transaction. The statements before it have
// updated the jobs' counters. Only the database knows whether a job has ended, so the statement also builds the event's data,
// like revocation.JobEvents. It also writes the events singles, for accounts that have such events.
func queueFinished(batch *pgx.Batch, counts []revocation.JobCount, singles []revocation.Event) {
	type jobs struct{ ids, events []uuid }
	ended := make(map[string]jobs)
	for _, c := range counts {
		j := ended[c.Account]
		ended[c.Account] = jobs{append(j.ids, uuid(c.Job)), append(j.events, uuid(uuidv7.New()))}
	}
	finished := groupEvents(singles)
	accounts := slices.AppendSeq(slices.Collect(maps.Keys(ended)), maps.Keys(finished))
	slices.Sort(accounts)
	for _, account := range slices.Compact(accounts) {
		if j := ended[account]; len(j.ids) > 0 {
			batch.Queue(writeFinished, account, j.ids, j.events, string(revocation.EventJobFinished),
				string(revocation.ActorService), string(revocation.SubjectJob))
		}
		if len(finished[account]) > 0 {
			queueAccountEvents(batch, finished[account], ifSingleEvents)
		}
	}
}

const writeFinished = `
	WITH ended AS MATERIALIZED (
		SELECT t.event, j.*
		FROM unnest($2::uuid[], $3::uuid[]) AS t(id, event)
		CROSS JOIN LATERAL (
			SELECT * FROM jobs j WHERE j.account_id = $1 AND j.id = t.id AND j.finished_at IS NOT NULL OFFSET 0) AS j
	), counted AS MATERIALIZED (
		UPDATE accounts SET event_number = event_number + (SELECT count(*) FROM ended)
		WHERE account_id = $1 AND (SELECT count(*) FROM ended) > 0
		RETURNING event_number - (SELECT count(*) FROM ended) AS before)
	INSERT INTO events (account_id, number, id, type, occurred_at, actor_type, subject_type, subject_id, data)
	SELECT $1, c.before + row_number() OVER (), j.event, $4, ` + occurredAt + `, $5, $6, j.id::text, json_build_object(
		'state', j.state, 'total', j.total,
		'counts', json_build_object('REVOKED', j.revoked, 'ALREADY_REVOKED', j.already_revoked,
			'NOT_ALLOWED', j.not_allowed, 'ALREADY_STARTED', j.already_started, 'NOT_FOUND', j.not_found,
			'ERROR_REVOKING', j.error_revoking, 'INVALID', j.invalid, 'CANCELLED', j.cancelled),
		'predicted', CASE WHEN j.predicted_at IS NOT NULL THEN json_build_object('REVOKED', j.predicted_revoked,
			'ALREADY_REVOKED', j.predicted_already_revoked, 'NOT_ALLOWED', j.predicted_not_allowed,
			'NOT_FOUND', j.predicted_not_found, 'ALREADY_STARTED', j.predicted_already_started,
			'INVALID', j.invalid, 'UNKNOWN', j.predicted_unknown) END,
		'emails', CASE WHEN j.predicted_at IS NOT NULL THEN j.predicted_emails END)
	FROM counted c CROSS JOIN ended j`
