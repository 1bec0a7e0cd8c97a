-- +goose Up

-- A job's items stand in their chunks until they are carried out, and each is written once, with its outcome: until
-- now each was a row from the start, and was written twice. Processes of the version before cannot work on these
-- tables, and an upload that has not ended with them is given up.

-- A process of the version before would take a chunk for one of which nothing is left: it does not find end_row.
ALTER TABLE chunks RENAME COLUMN last_row TO end_row;

-- The n-th element of each array is of the n-th row from first_row on. Of a row that cannot be read, report_ids has
-- nothing. Where no item says whether it wants an email, or none has a reference, there is no array; one that is
-- shorter than report_ids says nothing of the rest.
ALTER TABLE chunks
    ADD COLUMN report_ids bigint[],
    ADD COLUMN notify boolean[],
    ADD COLUMN client_references text[];

-- They stand for as long as a job takes. To compress them takes four times as long as to write them.
ALTER TABLE chunks
    ALTER COLUMN report_ids SET STORAGE EXTERNAL,
    ALTER COLUMN notify SET STORAGE EXTERNAL,
    ALTER COLUMN client_references SET STORAGE EXTERNAL;

-- Rows are written with their outcome now, but for those that wait for another attempt or an upstream: pages are full,
-- but for some of these. Half-empty ones cost no time on a processor, but twice the pages to write and to read.
ALTER TABLE revocations SET (fillfactor = 90);

UPDATE chunks c SET (report_ids, notify, client_references) = (
    SELECT array_agg(r.report_id ORDER BY n), array_agg(r.notify ORDER BY n), array_agg(r.client_reference ORDER BY n)
    FROM generate_series(c.first_row, c.end_row) AS n
    LEFT JOIN LATERAL (
        SELECT * FROM revocations r
        WHERE r.account_id = c.account_id AND r.id = overlay(c.job_id::text PLACING lpad(to_hex(n), 8, '0') FROM 29)::uuid
            AND r.status = 'PENDING'
            AND NOT EXISTS (SELECT FROM outstanding o WHERE o.account_id = r.account_id AND o.revocation_id = r.id)
        OFFSET 0) AS r ON true);

DELETE FROM revocations r USING chunks c, unnest(c.report_ids) WITH ORDINALITY AS u(report_id, n)
WHERE u.report_id IS NOT NULL AND r.account_id = c.account_id
    AND r.id = overlay(c.job_id::text PLACING lpad(to_hex(c.first_row + n::integer - 1), 8, '0') FROM 29)::uuid;

DELETE FROM chunks WHERE array_remove(report_ids, NULL) = '{}';

UPDATE jobs SET state = 'DROPPED' WHERE state = 'RECEIVING';

ALTER TABLE chunks ALTER COLUMN report_ids SET NOT NULL;

-- +goose Down

UPDATE jobs SET state = 'DROPPED' WHERE state = 'RECEIVING';

DELETE FROM chunks c USING jobs j WHERE j.account_id = c.account_id AND j.id = c.job_id AND j.state = 'DROPPED';

INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by, job_id)
SELECT c.account_id, overlay(c.job_id::text PLACING lpad(to_hex(c.first_row + u.n::integer - 1), 8, '0') FROM 29)::uuid,
    u.report_id, u.notify, u.client_reference, j.requested_by, c.job_id
FROM chunks c
JOIN jobs j ON j.account_id = c.account_id AND j.id = c.job_id
CROSS JOIN LATERAL unnest(c.report_ids, c.notify, c.client_references) WITH ORDINALITY
    AS u(report_id, notify, client_reference, n)
WHERE u.report_id IS NOT NULL;

ALTER TABLE revocations SET (fillfactor = 50);
ALTER TABLE chunks DROP COLUMN report_ids, DROP COLUMN notify, DROP COLUMN client_references;
ALTER TABLE chunks RENAME COLUMN end_row TO last_row;
