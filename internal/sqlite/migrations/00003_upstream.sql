-- +goose Up

-- An account with an upstream_url has its invites at that upstream. upstream_key is encrypted. While
-- upstream_hold names a reason, no calls are made before upstream_held_until.
ALTER TABLE accounts ADD COLUMN upstream_url TEXT;
ALTER TABLE accounts ADD COLUMN upstream_key BLOB CHECK ((upstream_url IS NULL) = (upstream_key IS NULL));
ALTER TABLE accounts ADD COLUMN upstream_rate REAL NOT NULL DEFAULT 0 CHECK (upstream_rate >= 0);
ALTER TABLE accounts ADD COLUMN upstream_concurrency INTEGER NOT NULL DEFAULT 0 CHECK (upstream_concurrency >= 0);
ALTER TABLE accounts ADD COLUMN upstream_hold TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN upstream_held_until INTEGER CHECK ((upstream_hold = '') = (upstream_held_until IS NULL));

-- claimed tells that somebody has the row in hand until look_at.
ALTER TABLE outstanding ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1));

-- A DELEGATED email is the upstream's to send: its row only tells so.
CREATE TABLE new_notifications (
    account_id    TEXT    NOT NULL,
    revocation_id TEXT    NOT NULL,
    report_id     INTEGER NOT NULL,
    status        TEXT    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN', 'DELEGATED')),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims        INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    epoch         INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    look_at       INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    job_id        TEXT,
    PRIMARY KEY (account_id, revocation_id)
) STRICT, WITHOUT ROWID;

INSERT INTO new_notifications
SELECT account_id, revocation_id, report_id, status, attempts, claims, epoch, look_at, updated_at, job_id
FROM notifications;

DROP TABLE notifications;
ALTER TABLE new_notifications RENAME TO notifications;
CREATE INDEX notifications_look ON notifications (look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NULL;
CREATE INDEX notifications_pulled ON notifications (account_id, look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NOT NULL;

-- +goose Down

CREATE TABLE old_notifications (
    account_id    TEXT    NOT NULL,
    revocation_id TEXT    NOT NULL,
    report_id     INTEGER NOT NULL,
    status        TEXT    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN')),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims        INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    epoch         INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    look_at       INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    job_id        TEXT,
    PRIMARY KEY (account_id, revocation_id)
) STRICT, WITHOUT ROWID;

INSERT INTO old_notifications
SELECT account_id, revocation_id, report_id, status, attempts, claims, epoch, look_at, updated_at, job_id
FROM notifications WHERE status <> 'DELEGATED';

DROP TABLE notifications;
ALTER TABLE old_notifications RENAME TO notifications;
CREATE INDEX notifications_look ON notifications (look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NULL;
CREATE INDEX notifications_pulled ON notifications (account_id, look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NOT NULL;

ALTER TABLE outstanding DROP COLUMN claimed;

ALTER TABLE accounts DROP COLUMN upstream_held_until;
ALTER TABLE accounts DROP COLUMN upstream_hold;
ALTER TABLE accounts DROP COLUMN upstream_concurrency;
ALTER TABLE accounts DROP COLUMN upstream_rate;
ALTER TABLE accounts DROP COLUMN upstream_key;
ALTER TABLE accounts DROP COLUMN upstream_url;
