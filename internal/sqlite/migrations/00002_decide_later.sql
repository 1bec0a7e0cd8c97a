-- +goose Up

-- As in PostgreSQL, whose migration says what the columns are for. SQLite cannot change the constraints of a table, so three
-- tables are made anew.

ALTER TABLE accounts ADD COLUMN hold_seconds  INTEGER NOT NULL DEFAULT 0 CHECK (hold_seconds BETWEEN 0 AND 86400);
ALTER TABLE accounts ADD COLUMN confirm_above INTEGER CHECK (confirm_above >= 0);
ALTER TABLE accounts ADD COLUMN approve_above INTEGER CHECK (approve_above >= 0);
ALTER TABLE accounts ADD COLUMN spare_started INTEGER NOT NULL DEFAULT 0 CHECK (spare_started IN (0, 1));
ALTER TABLE accounts ADD COLUMN message_links INTEGER NOT NULL DEFAULT 0 CHECK (message_links IN (0, 1));
ALTER TABLE accounts ADD COLUMN single_events INTEGER NOT NULL DEFAULT 0 CHECK (single_events IN (0, 1));
ALTER TABLE accounts ADD COLUMN event_number  INTEGER NOT NULL DEFAULT 0;

ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';

ALTER TABLE invites ADD COLUMN state TEXT NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'STARTED', 'COMPLETED'));

CREATE TABLE new_jobs (
    account_id        TEXT    NOT NULL,
    id                TEXT    NOT NULL CHECK (length(id) = 36 AND id LIKE '%00000000'),
    state             TEXT    NOT NULL DEFAULT 'RECEIVING' CHECK (state IN
        ('RECEIVING', 'PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED', 'QUEUED', 'RUNNING', 'COMPLETED', 'CANCELLING',
         'CANCELLED', 'EXPIRED', 'DROPPED')),
    label             TEXT,
    -- What was recognised of the file that the job came in, as JSON. NULL for JSON and NDJSON.
    file              TEXT,
    -- Whether the items that do not say it want an email.
    notify            INTEGER NOT NULL DEFAULT 0 CHECK (notify IN (0, 1)),
    retry_of          TEXT,
    requested_by      TEXT    NOT NULL,
    route             TEXT    NOT NULL,
    idempotency_key   TEXT,
    total             INTEGER NOT NULL DEFAULT 0,
    retrying          INTEGER NOT NULL DEFAULT 0 CHECK (retrying >= 0),
    revoked           INTEGER NOT NULL DEFAULT 0,
    already_revoked   INTEGER NOT NULL DEFAULT 0,
    not_allowed       INTEGER NOT NULL DEFAULT 0,
    not_found         INTEGER NOT NULL DEFAULT 0,
    error_revoking    INTEGER NOT NULL DEFAULT 0,
    invalid           INTEGER NOT NULL DEFAULT 0,
    cancelled         INTEGER NOT NULL DEFAULT 0,
    -- The emails that this service was to send, and those that the upstream sends.
    mails             INTEGER NOT NULL DEFAULT 0,
    delegated         INTEGER NOT NULL DEFAULT 0,
    started_at        INTEGER,
    finished_at       INTEGER CHECK (state = 'DROPPED' OR (finished_at IS NULL) = (state NOT IN ('COMPLETED', 'CANCELLED', 'EXPIRED'))),
    -- When a chunk or an item of the job last ended. The job that was served longest ago comes first.
    served_at         INTEGER,
    -- Two recent moments, and how many items were final then. The speed is computed from the older one.
    older_sample_at   INTEGER,
    older_sample_done INTEGER NOT NULL DEFAULT 0,
    newer_sample_at   INTEGER,
    newer_sample_done INTEGER NOT NULL DEFAULT 0,
    -- An upload without a heartbeat until then is given up.
    lease_until       INTEGER CHECK ((lease_until IS NULL) = (state <> 'RECEIVING')),
    reason                    TEXT,
    candidate_message         TEXT,
    not_before                INTEGER,
    due_at                    INTEGER CHECK (state <> 'SCHEDULED' OR due_at IS NOT NULL),
    queued_at                 INTEGER,
    counted_at                INTEGER,
    expires_at                INTEGER CHECK ((expires_at IS NOT NULL) = (state IN ('PREVIEWED', 'AWAITING_APPROVAL'))),
    confirmed_by              TEXT,
    approved_by               TEXT,
    cancelled_by              TEXT,
    already_started           INTEGER NOT NULL DEFAULT 0,
    preview                   INTEGER NOT NULL DEFAULT 0 CHECK (preview IN (0, 1)),
    predicted_at              INTEGER,
    predicted_items           INTEGER NOT NULL DEFAULT 0,
    predicted_part            INTEGER NOT NULL DEFAULT 0,
    predicted_revoked         INTEGER NOT NULL DEFAULT 0,
    predicted_already_revoked INTEGER NOT NULL DEFAULT 0,
    predicted_not_allowed     INTEGER NOT NULL DEFAULT 0,
    predicted_not_found       INTEGER NOT NULL DEFAULT 0,
    predicted_already_started INTEGER NOT NULL DEFAULT 0,
    predicted_unknown         INTEGER NOT NULL DEFAULT 0,
    predicted_emails          INTEGER,
    -- Whether the items of an EXPIRED job are deleted.
    items_deleted             INTEGER NOT NULL DEFAULT 0 CHECK (items_deleted IN (0, 1)),
    PRIMARY KEY (account_id, id),
    CHECK (total >= retrying + revoked + already_revoked + not_allowed + already_started + not_found + error_revoking + invalid
        + cancelled)
) STRICT, WITHOUT ROWID;
INSERT INTO new_jobs (
    account_id, id, state, label, file, notify, retry_of, requested_by, route, idempotency_key, total, retrying,
    revoked, already_revoked, not_allowed, not_found, error_revoking, invalid, cancelled, mails, delegated,
    started_at, finished_at, served_at, older_sample_at, older_sample_done, newer_sample_at, newer_sample_done,
    lease_until, queued_at, counted_at)
SELECT
    account_id, id, state, label, file, notify, retry_of, requested_by, route, idempotency_key, total, retrying,
    revoked, already_revoked, not_allowed, not_found, error_revoking, invalid, cancelled, mails, delegated,
    started_at, finished_at, served_at, older_sample_at, older_sample_done, newer_sample_at, newer_sample_done,
    lease_until,
    CASE WHEN state NOT IN ('RECEIVING', 'DROPPED') THEN coalesce(started_at, finished_at, served_at, 0) END,
    CASE WHEN state NOT IN ('RECEIVING', 'DROPPED') THEN coalesce(started_at, finished_at, served_at, 0) END
FROM jobs;
DROP TABLE jobs;
ALTER TABLE new_jobs RENAME TO jobs;
CREATE INDEX jobs_active ON jobs (account_id, id) WHERE state IN ('QUEUED', 'RUNNING', 'CANCELLING');
CREATE INDEX jobs_hidden ON jobs (account_id, id) WHERE state IN ('RECEIVING', 'DROPPED');
CREATE INDEX jobs_retries ON jobs (account_id, retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (account_id, id) WHERE state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED');
CREATE INDEX jobs_previewing ON jobs (account_id, id) WHERE state = 'PREVIEWING';
CREATE INDEX jobs_scheduled ON jobs (due_at) WHERE state = 'SCHEDULED';
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE state IN ('PREVIEWED', 'AWAITING_APPROVAL');
CREATE INDEX jobs_expired ON jobs (account_id, id) WHERE state = 'EXPIRED' AND NOT items_deleted;
CREATE INDEX jobs_counted ON jobs (account_id, counted_at) WHERE counted_at IS NOT NULL;

-- The items' predictions stand in revocations. predicted_timestamp is the timestamp of those that are NOT_ALLOWED.
ALTER TABLE chunks ADD COLUMN predicted INTEGER NOT NULL DEFAULT 0 CHECK (predicted IN (0, 1));
ALTER TABLE chunks ADD COLUMN predicted_timestamp TEXT;
CREATE INDEX chunks_unpredicted ON chunks (account_id, job_id, first_row) WHERE NOT predicted;

CREATE TABLE new_revocations (
    account_id       TEXT    NOT NULL,
    id               TEXT    NOT NULL CHECK (length(id) = 36),
    report_id        INTEGER CHECK (report_id > 0),
    notify           INTEGER CHECK (notify IN (0, 1)),
    client_reference TEXT,
    requested_by     TEXT    NOT NULL,
    status           TEXT    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ALREADY_STARTED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED',
         'INVALID')),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    timestamp        TEXT    CHECK (timestamp IS NULL OR status = 'NOT_ALLOWED'),
    error_code       TEXT    CHECK (error_code IS NULL OR status = 'ERROR_REVOKING'),
    error_detail     TEXT    CHECK ((error_detail IS NULL) = (error_code IS NULL AND status <> 'INVALID')),
    completed_at     INTEGER CHECK ((completed_at IS NULL) = (status = 'PENDING')),
    job_id           TEXT,
    inferred         INTEGER NOT NULL DEFAULT 0 CHECK (inferred IN (0, 1)),
    reason            TEXT,
    candidate_message TEXT,
    not_before        INTEGER,
    predicted         INTEGER,
    PRIMARY KEY (account_id, id),
    CHECK ((report_id IS NULL) = (status = 'INVALID')),
    CHECK (job_id IS NOT NULL OR notify IS NOT NULL AND report_id IS NOT NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO new_revocations (
    account_id, id, report_id, notify, client_reference, requested_by, status, attempts, timestamp, error_code,
    error_detail, completed_at, job_id, inferred)
SELECT
    account_id, id, report_id, notify, client_reference, requested_by, status, attempts, timestamp, error_code,
    error_detail, completed_at, job_id, inferred
FROM revocations;
DROP TABLE revocations;
ALTER TABLE new_revocations RENAME TO revocations;
CREATE INDEX revocations_report ON revocations (account_id, report_id, id) WHERE report_id IS NOT NULL;

CREATE TABLE new_work_items (
    account_id        TEXT    NOT NULL,
    revocation_id     TEXT    NOT NULL,
    report_id         INTEGER NOT NULL,
    single            INTEGER NOT NULL CHECK (single IN (0, 1)),
    notify            INTEGER NOT NULL CHECK (notify IN (0, 1)),
    attempt           INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    dispatch_count    INTEGER NOT NULL DEFAULT 0 CHECK (dispatch_count >= 0),
    due_at            INTEGER,
    next_check_at     INTEGER NOT NULL,
    error_code        TEXT,
    error_detail      TEXT,
    updated_at        INTEGER,
    job_id            TEXT,
    account_scheduled INTEGER NOT NULL DEFAULT 0 CHECK (account_scheduled IN (0, 1)),
    claimed           INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
    in_doubt          INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
    PRIMARY KEY (account_id, revocation_id),
    CHECK ((attempt = 0) = (error_code IS NULL)),
    CHECK ((attempt = 0) = (error_detail IS NULL)),
    CHECK (attempt = 0 OR due_at IS NOT NULL),
    CHECK ((attempt = 0) = (updated_at IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO new_work_items (
    account_id, revocation_id, report_id, single, notify, attempt, dispatch_count, due_at, next_check_at, error_code,
    error_detail, updated_at, job_id, account_scheduled, claimed, in_doubt)
SELECT
    account_id, revocation_id, report_id, single, notify, attempt, dispatch_count, due_at, next_check_at, error_code,
    error_detail, updated_at, job_id, account_scheduled, claimed, in_doubt
FROM work_items;
DROP TABLE work_items;
ALTER TABLE new_work_items RENAME TO work_items;
CREATE UNIQUE INDEX work_items_single ON work_items (account_id, report_id) WHERE single;
CREATE INDEX work_items_due ON work_items (next_check_at) WHERE NOT account_scheduled;
CREATE INDEX work_items_account_due ON work_items (account_id, single, next_check_at) WHERE account_scheduled;

CREATE TABLE events (
    account_id   TEXT    NOT NULL,
    number       INTEGER NOT NULL CHECK (number > 0),
    id           TEXT    NOT NULL CHECK (length(id) = 36),
    type         TEXT    NOT NULL,
    occurred_at  INTEGER NOT NULL,
    actor_type   TEXT    NOT NULL CHECK (actor_type IN ('key', 'operator', 'service')),
    actor_id     TEXT    CHECK ((actor_id IS NOT NULL) = (actor_type = 'key')),
    subject_type TEXT    NOT NULL,
    subject_id   TEXT    NOT NULL,
    data         TEXT    NOT NULL,
    PRIMARY KEY (account_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_type ON events (account_id, type, number);
CREATE INDEX events_subject ON events (account_id, subject_id, number);
CREATE INDEX events_subject_type ON events (account_id, subject_id, type, number);
CREATE INDEX events_age ON events (account_id, occurred_at, number);

-- +goose Down

DROP TABLE events;

UPDATE work_items SET due_at = NULL WHERE attempt = 0;
CREATE TABLE new_work_items (
    account_id        TEXT    NOT NULL,
    revocation_id     TEXT    NOT NULL,
    report_id         INTEGER NOT NULL,
    single            INTEGER NOT NULL CHECK (single IN (0, 1)),
    notify            INTEGER NOT NULL CHECK (notify IN (0, 1)),
    attempt           INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    dispatch_count    INTEGER NOT NULL DEFAULT 0 CHECK (dispatch_count >= 0),
    due_at            INTEGER,
    next_check_at     INTEGER NOT NULL,
    error_code        TEXT,
    error_detail      TEXT,
    updated_at        INTEGER,
    job_id            TEXT,
    account_scheduled INTEGER NOT NULL DEFAULT 0 CHECK (account_scheduled IN (0, 1)),
    claimed           INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
    in_doubt          INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
    PRIMARY KEY (account_id, revocation_id),
    CHECK ((attempt = 0) = (error_code IS NULL)),
    CHECK ((attempt = 0) = (error_detail IS NULL)),
    CHECK ((attempt = 0) = (due_at IS NULL)),
    CHECK ((attempt = 0) = (updated_at IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO new_work_items (
    account_id, revocation_id, report_id, single, notify, attempt, dispatch_count, due_at, next_check_at, error_code,
    error_detail, updated_at, job_id, account_scheduled, claimed, in_doubt)
SELECT
    account_id, revocation_id, report_id, single, notify, attempt, dispatch_count, due_at, next_check_at, error_code,
    error_detail, updated_at, job_id, account_scheduled, claimed, in_doubt
FROM work_items;
DROP TABLE work_items;
ALTER TABLE new_work_items RENAME TO work_items;
CREATE UNIQUE INDEX work_items_single ON work_items (account_id, report_id) WHERE single;
CREATE INDEX work_items_due ON work_items (next_check_at) WHERE NOT account_scheduled;
CREATE INDEX work_items_account_due ON work_items (account_id, single, next_check_at) WHERE account_scheduled;

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
INSERT INTO new_revocations (
    account_id, id, report_id, notify, client_reference, requested_by, status, attempts, timestamp, error_code,
    error_detail, completed_at, job_id, inferred)
SELECT
    account_id, id, report_id, notify, client_reference, requested_by, status, attempts, timestamp, error_code,
    error_detail, completed_at, job_id, inferred
FROM revocations WHERE status <> 'ALREADY_STARTED';
DROP TABLE revocations;
ALTER TABLE new_revocations RENAME TO revocations;
CREATE INDEX revocations_report ON revocations (account_id, report_id, id) WHERE report_id IS NOT NULL;

DROP INDEX chunks_unpredicted;
ALTER TABLE chunks DROP COLUMN predicted_timestamp;
ALTER TABLE chunks DROP COLUMN predicted;

CREATE TABLE new_jobs (
    account_id        TEXT    NOT NULL,
    id                TEXT    NOT NULL CHECK (length(id) = 36 AND id LIKE '%00000000'),
    state             TEXT    NOT NULL DEFAULT 'RECEIVING' CHECK (state IN
        ('RECEIVING', 'QUEUED', 'RUNNING', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'DROPPED')),
    label             TEXT,
    -- What was recognised of the file that the job came in, as JSON. NULL for JSON and NDJSON.
    file              TEXT,
    -- Whether the items that do not say it want an email.
    notify            INTEGER NOT NULL DEFAULT 0 CHECK (notify IN (0, 1)),
    retry_of          TEXT,
    requested_by      TEXT    NOT NULL,
    route             TEXT    NOT NULL,
    idempotency_key   TEXT,
    total             INTEGER NOT NULL DEFAULT 0,
    retrying          INTEGER NOT NULL DEFAULT 0 CHECK (retrying >= 0),
    revoked           INTEGER NOT NULL DEFAULT 0,
    already_revoked   INTEGER NOT NULL DEFAULT 0,
    not_allowed       INTEGER NOT NULL DEFAULT 0,
    not_found         INTEGER NOT NULL DEFAULT 0,
    error_revoking    INTEGER NOT NULL DEFAULT 0,
    invalid           INTEGER NOT NULL DEFAULT 0,
    cancelled         INTEGER NOT NULL DEFAULT 0,
    -- The emails that this service was to send, and those that the upstream sends.
    mails             INTEGER NOT NULL DEFAULT 0,
    delegated         INTEGER NOT NULL DEFAULT 0,
    started_at        INTEGER,
    finished_at       INTEGER CHECK (state = 'DROPPED' OR (finished_at IS NULL) = (state NOT IN ('COMPLETED', 'CANCELLED'))),
    -- When a chunk or an item of the job last ended. The job that was served longest ago comes first.
    served_at         INTEGER,
    -- Two recent moments, and how many items were final then. The speed is computed from the older one.
    older_sample_at   INTEGER,
    older_sample_done INTEGER NOT NULL DEFAULT 0,
    newer_sample_at   INTEGER,
    newer_sample_done INTEGER NOT NULL DEFAULT 0,
    -- An upload without a heartbeat until then is given up.
    lease_until       INTEGER CHECK ((lease_until IS NULL) = (state <> 'RECEIVING')),
    PRIMARY KEY (account_id, id),
    CHECK (total >= retrying + revoked + already_revoked + not_allowed + not_found + error_revoking + invalid + cancelled)
) STRICT, WITHOUT ROWID;
INSERT INTO new_jobs (
    account_id, id, state, label, file, notify, retry_of, requested_by, route, idempotency_key, total, retrying,
    revoked, already_revoked, not_allowed, not_found, error_revoking, invalid, cancelled, mails, delegated,
    started_at, finished_at, served_at, older_sample_at, older_sample_done, newer_sample_at, newer_sample_done,
    lease_until)
SELECT
    account_id, id, state, label, file, notify, retry_of, requested_by, route, idempotency_key, total, retrying,
    revoked, already_revoked, not_allowed, not_found, error_revoking, invalid, cancelled, mails, delegated,
    started_at, finished_at, served_at, older_sample_at, older_sample_done, newer_sample_at, newer_sample_done,
    lease_until
FROM jobs WHERE state NOT IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED', 'EXPIRED');
DROP TABLE jobs;
ALTER TABLE new_jobs RENAME TO jobs;
CREATE INDEX jobs_active ON jobs (account_id, id) WHERE state IN ('QUEUED', 'RUNNING', 'CANCELLING');
CREATE INDEX jobs_hidden ON jobs (account_id, id) WHERE state IN ('RECEIVING', 'DROPPED');
CREATE INDEX jobs_retries ON jobs (account_id, retry_of) WHERE retry_of IS NOT NULL;

ALTER TABLE invites DROP COLUMN state;
ALTER TABLE api_keys DROP COLUMN name;
ALTER TABLE accounts DROP COLUMN event_number;
ALTER TABLE accounts DROP COLUMN single_events;
ALTER TABLE accounts DROP COLUMN message_links;
ALTER TABLE accounts DROP COLUMN spare_started;
ALTER TABLE accounts DROP COLUMN approve_above;
ALTER TABLE accounts DROP COLUMN confirm_above;
ALTER TABLE accounts DROP COLUMN hold_seconds;
