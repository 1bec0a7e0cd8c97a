package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// PredictChunk implements revocation.BulkStore.
func (s *Store) PredictChunk(ctx context.Context, account string) (revocation.PreviewStep, error) {
	var step revocation.PreviewStep
	err := s.tx(ctx, "predict a chunk", func(ctx context.Context, tx *tx) error {
		p := previewChunk{account: account}
		batch := &pgx.Batch{}
		queueUnpredicted(batch, &p)
		if err := tx.send(ctx, batch); err != nil || p.job.IsZero() {
			return err
		}
		batch = &pgx.Batch{}
		var add predictedCounts
		queuePredict(batch, &p, &add)
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		queuePredicted(batch, account, p.job, add)
		step = revocation.PreviewStep{Job: p.job, Items: add.Sum()}
		return tx.commit(ctx, batch)
	})
	if err == nil && step.Job.IsZero() {
		step, err = s.findDuplicates(ctx, account)
	}
	if err == nil {
		return step, nil
	}
	if miscounted(err) { // the job is not PREVIEWING any more
		err = nil
	}
	return revocation.PreviewStep{}, err
}

// previewChunk is a chunk that this transaction has locked, with the facts on which its predictions depend.
type previewChunk struct {
	account       string
	job           revocation.ID
	first         int
	planChangedAt *time.Time
	spareStarted  bool
}

// queueUnpredicted locks a chunk without predictions.
func queueUnpredicted(batch *pgx.Batch, p *previewChunk) {
	batch.Queue(`
		SELECT c.job_id, c.first_row, a.plan_changed_at, a.spare_started
		FROM (
			SELECT id FROM jobs WHERE account_id = $1 AND state = 'PREVIEWING'
			ORDER BY served_at NULLS FIRST, id OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT job_id, first_row FROM chunks c WHERE c.account_id = $1 AND c.job_id = j.id AND c.predictions IS NULL
			ORDER BY c.first_row LIMIT 1 FOR UPDATE SKIP LOCKED) AS c
		CROSS JOIN LATERAL (SELECT * FROM accounts WHERE account_id = $1 OFFSET 0) AS a
		LIMIT 1`, p.account).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan((*uuid)(&p.job), &p.first, &p.planChangedAt, &p.spareStarted); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// predictedCounts contains the numbers that a step adds to a preview.
type predictedCounts struct {
	revocation.PredictedCounts
	emails int
}

// predictionNames replaces the names of predictions in a statement by their numbers.
var predictionNames = strings.NewReplacer(
	"{revoked}", predictionByte(revocation.PredictedRevoked),
	"{already revoked}", predictionByte(revocation.PredictedAlreadyRevoked),
	"{not allowed}", predictionByte(revocation.PredictedNotAllowed),
	"{not found}", predictionByte(revocation.PredictedNotFound),
	"{already started}", predictionByte(revocation.PredictedAlreadyStarted),
	"{unknown}", predictionByte(revocation.PredictedUnknown),
	"{duplicate}", predictionByte(revocation.PredictedDuplicate),
)

func predictionByte(p revocation.Prediction) string { return strconv.Itoa(int(p)) }

// predictChunk is revocation.PredictItems in SQL; the conformance suite of the stores checks that both lead to the same
// predictions. The byte of an INVALID row is 0. findDuplicates finds duplicates of items in other chunks.
var predictChunk = predictionNames.Replace(`
	WITH item AS MATERIALIZED (
		SELECT u.n, u.report_id, coalesce(u.notify, c.by_default) AS notify
		FROM (
			SELECT c.report_ids, c.notify, j.notify AS by_default
			FROM chunks c
			CROSS JOIN LATERAL (SELECT notify FROM jobs WHERE account_id = $1 AND id = $2 OFFSET 0) AS j
			WHERE c.account_id = $1 AND c.job_id = $2 AND c.first_row = $3 OFFSET 0) AS c
		CROSS JOIN LATERAL unnest(c.report_ids, c.notify) WITH ORDINALITY AS u(report_id, notify, n)
	), fact AS MATERIALIZED (
		SELECT item.*, CASE
			WHEN item.report_id IS NULL THEN 0
			WHEN i.revoked IS NULL THEN {not found}
			WHEN i.revoked THEN {already revoked}
			WHEN i.spared THEN {already started}
			WHEN NOT i.allowed THEN {not allowed}
			ELSE {revoked} END AS outcome
		FROM item
		LEFT JOIN LATERAL (
			SELECT revoked_at IS NOT NULL AS revoked, $5 AND state <> 'PENDING' AS spared,
				$4::timestamptz IS NULL OR sent_at >= $4 AS allowed
			FROM invites i WHERE i.account_id = $1 AND i.report_id = item.report_id OFFSET 0) AS i ON true
	), predicted AS MATERIALIZED (
		SELECT n, notify, CASE
			WHEN outcome = {revoked} AND row_number() OVER (PARTITION BY report_id ORDER BY n) > 1 THEN {duplicate}
			ELSE outcome END AS prediction
		FROM fact
	), written AS (
		UPDATE chunks SET predicted_plan = $4,
			predictions = (SELECT string_agg(set_byte('\x00', 0, prediction), '' ORDER BY n) FROM predicted)
		WHERE account_id = $1 AND job_id = $2 AND first_row = $3
	)
	SELECT prediction, count(*), count(*) FILTER (WHERE notify) FROM predicted WHERE prediction > 0 GROUP BY prediction`)

func queuePredict(batch *pgx.Batch, p *previewChunk, add *predictedCounts) {
	batch.Queue(predictChunk, p.account, uuid(p.job), p.first, p.planChangedAt, p.spareStarted).Query(func(rows pgx.Rows) error {
		var prediction, n, wished int
		_, err := pgx.ForEachRow(rows, []any{&prediction, &n, &wished}, func() error {
			p := revocation.Prediction(prediction) //nolint:gosec // one byte
			add.Add(p, n)
			if p == revocation.PredictedRevoked {
				add.emails += wished
			}
			return nil
		})
		return err
	})
}

// queuePredicted adds to the numbers of a preview. It aborts the transaction if the job is not PREVIEWING.
func queuePredicted(batch *pgx.Batch, account string, job revocation.ID, add predictedCounts) {
	exactly(batch, 1, `
		UPDATE jobs SET served_at = clock_timestamp(), predicted_items = predicted_items + $3,
			predicted_revoked = predicted_revoked + $4, predicted_already_revoked = predicted_already_revoked + $5,
			predicted_not_allowed = predicted_not_allowed + $6, predicted_not_found = predicted_not_found + $7,
			predicted_already_started = predicted_already_started + $8, predicted_emails = coalesce(predicted_emails, 0) + $9
		WHERE account_id = $1 AND id = $2 AND state = 'PREVIEWING'`,
		account, uuid(job), add.Sum(), add.Revoked, add.AlreadyRevoked, add.NotAllowed, add.NotFound, add.AlreadyStarted, add.emails)
}

// previewPart is a part of a job's items, in which one transaction finds duplicates.
type previewPart struct {
	account     string
	job         revocation.ID
	part, parts int
}

// findDuplicates finds duplicates in different chunks of a job, in one part of its items. Items with the same report are in the
// same part.
func (s *Store) findDuplicates(ctx context.Context, account string) (step revocation.PreviewStep, err error) {
	p := previewPart{account: account}
	err = s.tx(ctx, "find duplicates", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		queuePart(batch, &p)
		if err := tx.send(ctx, batch); err != nil || p.job.IsZero() {
			return err
		}
		step = revocation.PreviewStep{Job: p.job, Complete: p.part+1 >= p.parts}
		if p.part >= p.parts {
			return tx.commit(ctx, &pgx.Batch{})
		}
		found := map[int][]int{}
		add := predictedCounts{}
		batch = &pgx.Batch{}
		queueDuplicates(batch, p, found, &add)
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		if err := markDuplicates(ctx, tx, p, found); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		exactly(batch, 1, `
			UPDATE jobs SET served_at = clock_timestamp(), predicted_part = $3::integer + 1,
				predicted_revoked = predicted_revoked - $4, predicted_already_revoked = predicted_already_revoked + $4,
				predicted_emails = predicted_emails - $5
			WHERE account_id = $1 AND id = $2 AND state = 'PREVIEWING' AND predicted_part = $3`,
			account, uuid(p.job), p.part, add.AlreadyRevoked, add.emails)
		return tx.commit(ctx, batch)
	})
	return step, err
}

// queuePart reads the next part of a job whose chunks are all predicted. It locks the job's first chunk, so that no other
// worker takes the same part. It does not lock the job, which can be cancelled meanwhile.
func queuePart(batch *pgx.Batch, p *previewPart) {
	batch.Queue(`
		SELECT j.id, j.predicted_part, (j.total - 1) / $2 + 1
		FROM (
			SELECT * FROM jobs WHERE account_id = $1 AND state = 'PREVIEWING'
			ORDER BY served_at NULLS FIRST, id OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT 1 FROM chunks c WHERE c.account_id = $1 AND c.job_id = j.id AND c.first_row = (
				SELECT f.first_row FROM chunks f WHERE f.account_id = $1 AND f.job_id = j.id ORDER BY f.first_row LIMIT 1)
			FOR UPDATE SKIP LOCKED) AS c
		WHERE j.predicted_items = j.total - j.invalid
		LIMIT 1`, p.account, revocation.PreviewPart).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan((*uuid)(&p.job), &p.part, &p.parts); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// selectDuplicates selects the items that are predicted REVOKED and follow another such item with the same report.
// queueDuplicates raises work_mem, because sorting a part in memory is several times as fast as on disk. For the
// concatenation of the predictions see takenItems.
var selectDuplicates = predictionNames.Replace(`
	SELECT first_row, array_agg(n), count(*) FILTER (WHERE notify)
	FROM (
		SELECT c.first_row, u.n::integer AS n, coalesce(u.notify, j.notify) AS notify,
			row_number() OVER (PARTITION BY u.report_id ORDER BY c.first_row, u.n) AS nth
		FROM (SELECT notify FROM jobs WHERE account_id = $1 AND id = $2 OFFSET 0) AS j
		CROSS JOIN (
			SELECT first_row, report_ids, notify, predictions || '' AS predictions
			FROM chunks WHERE account_id = $1 AND job_id = $2 OFFSET 0) AS c
		CROSS JOIN LATERAL unnest(c.report_ids, c.notify) WITH ORDINALITY AS u(report_id, notify, n)
		WHERE u.report_id % $4 = $3 AND get_byte(c.predictions, u.n::integer - 1) = {revoked}) AS item
	WHERE nth > 1 GROUP BY first_row`)

func queueDuplicates(batch *pgx.Batch, p previewPart, found map[int][]int, add *predictedCounts) {
	batch.Queue(`SELECT set_config('work_mem', '128MB', true)`)
	batch.Queue(selectDuplicates, p.account, uuid(p.job), p.part, p.parts).Query(func(rows pgx.Rows) error {
		var first, wished int
		var places []int
		_, err := pgx.ForEachRow(rows, []any{&first, &places, &wished}, func() error {
			found[first] = places
			add.AlreadyRevoked += len(places)
			add.emails += wished
			places = nil
			return nil
		})
		return err
	})
}

// markDuplicates stores the prediction of duplicates. found contains their numbers in their chunk, by the chunk's first row.
func markDuplicates(ctx context.Context, tx *tx, p previewPart, found map[int][]int) error {
	if len(found) == 0 {
		return nil
	}
	var firsts []int
	var predictions [][]byte
	for first := range found {
		firsts = append(firsts, first)
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT c.first_row, c.predictions
		FROM unnest($3::integer[]) AS t(first_row)
		CROSS JOIN LATERAL (
			SELECT * FROM chunks c WHERE c.account_id = $1 AND c.job_id = $2 AND c.first_row = t.first_row OFFSET 0) AS c`,
		p.account, uuid(p.job), firsts).Query(func(rows pgx.Rows) error {
		firsts = firsts[:0]
		var first int
		var bytes []byte
		_, err := pgx.ForEachRow(rows, []any{&first, &bytes}, func() error {
			for _, n := range found[first] {
				bytes[n-1] = byte(revocation.PredictedDuplicate)
			}
			firsts, predictions = append(firsts, first), append(predictions, bytes)
			bytes = nil
			return nil
		})
		return err
	})
	if err := tx.send(ctx, batch); err != nil {
		return err
	}
	batch = &pgx.Batch{}
	batch.Queue(`
		UPDATE chunks c SET predictions = t.predictions
		FROM unnest($3::integer[], $4::bytea[]) AS t(first_row, predictions)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM chunks c
			WHERE c.account_id = $1 AND c.job_id = $2 AND c.first_row = t.first_row OFFSET 0) AS held
		WHERE c.ctid = held.place`, p.account, uuid(p.job), firsts, predictions)
	return tx.send(ctx, batch)
}
