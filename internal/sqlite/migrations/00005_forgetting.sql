-- +goose Up

-- Emails that are not sent because the candidate was forgotten first are SKIPPED. SQLite cannot change the constraints of a
-- table, so this one is made anew.
ALTER TABLE job_mail_counts ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;

CREATE TABLE new_notifications (
    account_id     TEXT    NOT NULL,
    revocation_id  TEXT    NOT NULL,
    report_id      INTEGER NOT NULL,
    job_id         TEXT,
    status         TEXT    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN', 'SKIPPED', 'DELEGATED')),
    attempts       INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims         INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    dispatch_count INTEGER NOT NULL DEFAULT 0 CHECK (dispatch_count >= 0),
    next_check_at  INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    deferred_since INTEGER,
    blamed_at      INTEGER,
    PRIMARY KEY (account_id, revocation_id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_notifications (
    account_id, revocation_id, report_id, job_id, status, attempts, claims, dispatch_count, next_check_at, updated_at,
    deferred_since, blamed_at)
SELECT
    account_id, revocation_id, report_id, job_id, status, attempts, claims, dispatch_count, next_check_at, updated_at,
    deferred_since, blamed_at
FROM notifications;
DROP TABLE notifications;
ALTER TABLE new_notifications RENAME TO notifications;

CREATE INDEX notifications_due ON notifications (next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NULL;
CREATE INDEX notifications_job_due ON notifications (account_id, next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NOT NULL;

-- Finds the candidates that are to be forgotten because of their invites' age.
CREATE INDEX invites_unforgotten ON invites (sent_at) WHERE forgotten_at IS NULL;

-- +goose Down

DROP INDEX invites_unforgotten;

CREATE TABLE new_notifications (
    account_id     TEXT    NOT NULL,
    revocation_id  TEXT    NOT NULL,
    report_id      INTEGER NOT NULL,
    job_id         TEXT,
    status         TEXT    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN', 'DELEGATED')),
    attempts       INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims         INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    dispatch_count INTEGER NOT NULL DEFAULT 0 CHECK (dispatch_count >= 0),
    next_check_at  INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    deferred_since INTEGER,
    blamed_at      INTEGER,
    PRIMARY KEY (account_id, revocation_id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_notifications (
    account_id, revocation_id, report_id, job_id, status, attempts, claims, dispatch_count, next_check_at, updated_at,
    deferred_since, blamed_at)
SELECT
    account_id, revocation_id, report_id, job_id, iif(status = 'SKIPPED', 'FAILED', status), attempts, claims, dispatch_count, next_check_at, updated_at,
    deferred_since, blamed_at
FROM notifications;
DROP TABLE notifications;
ALTER TABLE new_notifications RENAME TO notifications;

CREATE INDEX notifications_due ON notifications (next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NULL;
CREATE INDEX notifications_job_due ON notifications (account_id, next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NOT NULL;

ALTER TABLE job_mail_counts DROP COLUMN skipped;
