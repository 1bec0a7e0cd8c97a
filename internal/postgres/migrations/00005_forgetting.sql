-- +goose NO TRANSACTION

-- +goose Up

-- Emails that are not sent because the candidate was forgotten first are SKIPPED. Rows that are there already cannot break the
-- wider condition, so it is not checked for them.
ALTER TABLE job_mail_counts ADD COLUMN IF NOT EXISTS skipped integer NOT NULL DEFAULT 0;
ALTER TABLE notifications
    DROP CONSTRAINT IF EXISTS notifications_status_check,
    ADD CONSTRAINT notifications_status_check CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN', 'SKIPPED', 'DELEGATED')) NOT VALID;

-- Finds the candidates that are to be forgotten because of their invites' age.
SET lock_timeout = '10min';
DROP INDEX CONCURRENTLY IF EXISTS invites_unforgotten;
CREATE INDEX CONCURRENTLY invites_unforgotten ON invites (sent_at) WHERE forgotten_at IS NULL;
RESET lock_timeout;

-- +goose Down

DROP INDEX invites_unforgotten;
UPDATE notifications SET status = 'FAILED' WHERE status = 'SKIPPED';
ALTER TABLE notifications
    DROP CONSTRAINT notifications_status_check,
    ADD CONSTRAINT notifications_status_check CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN', 'DELEGATED'));
ALTER TABLE job_mail_counts DROP COLUMN skipped;
