-- +goose Up

-- What was submitted singly is one row while it is not final, and another from then on: until now it had both from
-- the start, and each submission wrote two. Processes of the version before cannot work on these tables.
ALTER TABLE outstanding ADD COLUMN client_reference text, ADD COLUMN requested_by uuid;

UPDATE outstanding o SET client_reference = r.client_reference, requested_by = r.requested_by, notify = o.notify OR r.notify
FROM revocations r WHERE o.single AND r.account_id = o.account_id AND r.id = o.revocation_id;

DELETE FROM revocations r USING outstanding o WHERE o.single AND r.account_id = o.account_id AND r.id = o.revocation_id;

ALTER TABLE outstanding
    ADD CONSTRAINT outstanding_requested_check CHECK (single = (requested_by IS NOT NULL)) NOT VALID;

-- +goose Down

INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by)
SELECT account_id, revocation_id, report_id, notify, client_reference, requested_by FROM outstanding WHERE single;

ALTER TABLE outstanding DROP COLUMN client_reference, DROP COLUMN requested_by;
