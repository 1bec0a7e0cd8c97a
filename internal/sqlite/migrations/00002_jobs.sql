-- +goose Up

-- A job's items are revocations whose ids are the job's own, with the row in the last four bytes: a range of
-- the primary key, in the order of the input. PENDING items have no work row; chunks says which rows of a job
-- have not had their first pass.

CREATE TABLE jobs (
    account_id      TEXT    NOT NULL,
    id              TEXT    NOT NULL CHECK (length(id) = 36 AND id LIKE '%00000000'),
    state           TEXT    NOT NULL DEFAULT 'RECEIVING' CHECK (state IN
        ('RECEIVING', 'QUEUED', 'RUNNING', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'DROPPED')),
    label           TEXT,
    notify          INTEGER NOT NULL DEFAULT 0 CHECK (notify IN (0, 1)),
    retry_of        TEXT,
    requested_by    TEXT    NOT NULL,
    route           TEXT    NOT NULL,
    idempotency_key TEXT,
    total           INTEGER NOT NULL DEFAULT 0,
    retrying        INTEGER NOT NULL DEFAULT 0 CHECK (retrying >= 0),
    revoked         INTEGER NOT NULL DEFAULT 0,
    already_revoked INTEGER NOT NULL DEFAULT 0,
    not_allowed     INTEGER NOT NULL DEFAULT 0,
    not_found       INTEGER NOT NULL DEFAULT 0,
    error_revoking  INTEGER NOT NULL DEFAULT 0,
    invalid         INTEGER NOT NULL DEFAULT 0,
    cancelled       INTEGER NOT NULL DEFAULT 0,
    -- The emails that were to be sent, and those that an upstream sends.
    mails           INTEGER NOT NULL DEFAULT 0,
    delegated       INTEGER NOT NULL DEFAULT 0,
    started_at      INTEGER,
    finished_at     INTEGER CHECK (state = 'DROPPED' OR (finished_at IS NULL) = (state NOT IN ('COMPLETED', 'CANCELLED'))),
    -- When a chunk or an item of the job last ended: who waits longest comes first.
    served_at       INTEGER,
    -- Two moments of late, and how many items were final then: the speed is reckoned from the older one.
    since           INTEGER,
    since_done      INTEGER NOT NULL DEFAULT 0,
    mark_at         INTEGER,
    mark_done       INTEGER NOT NULL DEFAULT 0,
    -- Until when an upload may be silent.
    lease_until     INTEGER CHECK ((lease_until IS NULL) = (state <> 'RECEIVING')),
    PRIMARY KEY (account_id, id),
    CHECK (total >= retrying + revoked + already_revoked + not_allowed + not_found + error_revoking + invalid + cancelled)
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_active ON jobs (account_id, id) WHERE state IN ('QUEUED', 'RUNNING', 'CANCELLING');
CREATE INDEX jobs_hidden ON jobs (account_id, id) WHERE state IN ('RECEIVING', 'DROPPED');

-- One row a range that has not had its first pass; who carries it out deletes the row with that.
CREATE TABLE chunks (
    account_id TEXT    NOT NULL,
    job_id     TEXT    NOT NULL,
    first_row  INTEGER NOT NULL CHECK (first_row > 0),
    last_row   INTEGER NOT NULL CHECK (last_row >= first_row),
    PRIMARY KEY (account_id, job_id, first_row)
) STRICT, WITHOUT ROWID;

-- How many emails of a job were settled. One slot is enough where there is one writer.
CREATE TABLE mail_tallies (
    account_id TEXT    NOT NULL,
    job_id     TEXT    NOT NULL,
    slot       INTEGER NOT NULL,
    sent       INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    unknown    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, job_id, slot)
) STRICT, WITHOUT ROWID;

-- Of an INVALID row, error_detail says what is wrong with it. notify is null where the job's default counts.
CREATE TABLE new_revocations (
    account_id       TEXT    NOT NULL,
    id               TEXT    NOT NULL CHECK (length(id) = 36),
    report_id        INTEGER CHECK (report_id > 0),
    notify           INTEGER CHECK (notify IN (0, 1)),
    client_reference TEXT,
    requested_by     TEXT    NOT NULL,
    status           TEXT    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED', 'INVALID')),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    timestamp        TEXT    CHECK (timestamp IS NULL OR status = 'NOT_ALLOWED'),
    error_code       TEXT    CHECK (error_code IS NULL OR status = 'ERROR_REVOKING'),
    error_detail     TEXT    CHECK ((error_detail IS NULL) = (error_code IS NULL AND status <> 'INVALID')),
    completed_at     INTEGER CHECK ((completed_at IS NULL) = (status = 'PENDING')),
    job_id           TEXT,
    inferred         INTEGER NOT NULL DEFAULT 0 CHECK (inferred IN (0, 1)),
    PRIMARY KEY (account_id, id),
    CHECK ((report_id IS NULL) = (status = 'INVALID')),
    CHECK (job_id IS NOT NULL OR notify IS NOT NULL AND report_id IS NOT NULL)
) STRICT, WITHOUT ROWID;

INSERT INTO new_revocations (account_id, id, report_id, notify, client_reference, requested_by,
                             status, attempts, timestamp, error_code, error_detail, completed_at)
SELECT account_id, id, report_id, notify, client_reference, requested_by,
       status, attempts, timestamp, error_code, error_detail, completed_at
FROM revocations;

DROP TABLE revocations;
ALTER TABLE new_revocations RENAME TO revocations;
CREATE INDEX revocations_report ON revocations (account_id, report_id, id) WHERE report_id IS NOT NULL;

-- pulled rows are not sent to the queue one by one: whoever has a turn of the account looks for them. in_doubt
-- tells that a call to the upstream may have been made whose answer is not known.
ALTER TABLE outstanding ADD COLUMN job_id TEXT;
ALTER TABLE outstanding ADD COLUMN pulled INTEGER NOT NULL DEFAULT 0 CHECK (pulled IN (0, 1));
ALTER TABLE outstanding ADD COLUMN in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1));
DROP INDEX outstanding_look;
CREATE INDEX outstanding_look ON outstanding (look_at) WHERE NOT pulled;
CREATE INDEX outstanding_pulled ON outstanding (account_id, single, look_at) WHERE pulled;

ALTER TABLE notifications ADD COLUMN job_id TEXT;
DROP INDEX notifications_look;
CREATE INDEX notifications_look ON notifications (look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NULL;
CREATE INDEX notifications_pulled ON notifications (account_id, look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NOT NULL;

-- Keys go by their age, whatever they are.
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- +goose Down

DROP INDEX idempotency_keys_created;
DELETE FROM idempotency_keys WHERE route IN ('jobs', 'retry');

DELETE FROM notifications WHERE job_id IS NOT NULL;
DROP INDEX notifications_pulled;
DROP INDEX notifications_look;
ALTER TABLE notifications DROP COLUMN job_id;
CREATE INDEX notifications_look ON notifications (look_at) WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED');

DELETE FROM outstanding WHERE job_id IS NOT NULL;
DROP INDEX outstanding_pulled;
DROP INDEX outstanding_look;
ALTER TABLE outstanding DROP COLUMN in_doubt;
ALTER TABLE outstanding DROP COLUMN pulled;
ALTER TABLE outstanding DROP COLUMN job_id;
CREATE INDEX outstanding_look ON outstanding (look_at);

CREATE TABLE old_revocations (
    account_id       TEXT    NOT NULL,
    id               TEXT    NOT NULL CHECK (length(id) = 36),
    report_id        INTEGER NOT NULL CHECK (report_id > 0),
    notify           INTEGER NOT NULL CHECK (notify IN (0, 1)),
    client_reference TEXT,
    requested_by     TEXT    NOT NULL,
    status           TEXT    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED')),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    timestamp        TEXT    CHECK (timestamp IS NULL OR status = 'NOT_ALLOWED'),
    error_code       TEXT    CHECK (error_code IS NULL OR status = 'ERROR_REVOKING'),
    error_detail     TEXT    CHECK ((error_detail IS NULL) = (error_code IS NULL)),
    completed_at     INTEGER CHECK ((completed_at IS NULL) = (status = 'PENDING')),
    PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

INSERT INTO old_revocations
SELECT account_id, id, report_id, notify, client_reference, requested_by,
       status, attempts, timestamp, error_code, error_detail, completed_at
FROM revocations WHERE job_id IS NULL;

DROP TABLE revocations;
ALTER TABLE old_revocations RENAME TO revocations;
CREATE INDEX revocations_report ON revocations (account_id, report_id, id);

DROP TABLE mail_tallies;
DROP TABLE chunks;
DROP TABLE jobs;
