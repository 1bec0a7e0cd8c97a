-- +goose NO TRANSACTION

-- +goose Up

-- The indexes of the search for invites. They are made while the table is in use. A step that was interrupted leaves an
-- index that is not valid, and begins anew. Making an index waits for older transactions and blocks none, so it may wait
-- longer than the steps that lock a table.
--
-- No index has a column that a revocation changes, so that its update stays within its page (a HOT update).

SET lock_timeout = '10min';

DROP INDEX CONCURRENTLY IF EXISTS invites_newest;
CREATE INDEX CONCURRENTLY invites_newest ON invites (account_id, sent_at DESC, report_id DESC) WHERE report_id > 0;
DROP INDEX CONCURRENTLY IF EXISTS invites_assessment_id;
CREATE INDEX CONCURRENTLY invites_assessment_id ON invites (account_id, assessment_id, sent_at DESC, report_id DESC)
    WHERE assessment_id IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS invites_name;
CREATE INDEX CONCURRENTLY invites_name ON invites (account_id, name_folded, sent_at DESC, report_id DESC)
    WHERE name_folded IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS invites_email;
CREATE INDEX CONCURRENTLY invites_email ON invites (account_id, email_folded, sent_at DESC, report_id DESC)
    WHERE email_folded IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS invites_assessment;
CREATE INDEX CONCURRENTLY invites_assessment ON invites (account_id, assessment_folded, sent_at DESC, report_id DESC)
    WHERE assessment_folded IS NOT NULL;
-- Finds the invites whose texts are not folded yet, the newest first.
DROP INDEX CONCURRENTLY IF EXISTS invites_unfolded;
CREATE INDEX CONCURRENTLY invites_unfolded ON invites (sent_at DESC) WHERE name_folded IS NULL;

RESET lock_timeout;

-- +goose Down

DROP INDEX invites_newest, invites_assessment_id, invites_name, invites_email, invites_assessment, invites_unfolded;
