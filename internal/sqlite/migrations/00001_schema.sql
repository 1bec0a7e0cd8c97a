-- +goose Up

-- The same tables and columns as in PostgreSQL, whose migrations say more about why. Every table is keyed by the account
-- first. Ids are UUIDs in their canonical text, which sorts as they do. Times are microseconds since 1970, UTC. Booleans are
-- 0 and 1.

-- A customer of the assessment platform. With an upstream_url its invites are at that upstream, and upstream_key is the
-- encrypted key for it. While upstream_hold names a reason, the upstream is not called before upstream_held_until.
CREATE TABLE accounts (
    account_id           TEXT NOT NULL PRIMARY KEY CHECK (length(account_id) BETWEEN 1 AND 64),
    name                 TEXT NOT NULL DEFAULT '',
    contact              TEXT NOT NULL DEFAULT '',
    plan_changed_at      INTEGER,
    upstream_url         TEXT,
    upstream_key         BLOB    CHECK ((upstream_url IS NULL) = (upstream_key IS NULL)),
    upstream_rate        REAL    NOT NULL DEFAULT 0 CHECK (upstream_rate >= 0),
    upstream_concurrency INTEGER NOT NULL DEFAULT 0 CHECK (upstream_concurrency >= 0),
    upstream_hold        TEXT    NOT NULL DEFAULT '',
    upstream_held_until  INTEGER CHECK ((upstream_hold = '') = (upstream_held_until IS NULL))
) STRICT, WITHOUT ROWID;

-- An API key. The secret itself is not kept. Scopes are separated by spaces.
CREATE TABLE api_keys (
    account_id  TEXT NOT NULL REFERENCES accounts,
    id          TEXT NOT NULL CHECK (length(id) = 36),
    secret_hash BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    scopes      TEXT NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER,
    PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

-- One candidate's invitation to one assessment.
CREATE TABLE invites (
    account_id      TEXT    NOT NULL REFERENCES accounts,
    report_id       INTEGER NOT NULL CHECK (report_id > 0),
    candidate_name  TEXT    NOT NULL,
    candidate_email TEXT    NOT NULL,
    assessment_name TEXT    NOT NULL,
    sent_at         INTEGER NOT NULL,
    revoked_at      INTEGER,
    revoked_by      TEXT,
    PRIMARY KEY (account_id, report_id),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
) STRICT, WITHOUT ROWID;

-- A bulk request. The counters are written in the transactions of the outcomes that they count.
CREATE TABLE jobs (
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

CREATE INDEX jobs_active ON jobs (account_id, id) WHERE state IN ('QUEUED', 'RUNNING', 'CANCELLING');
CREATE INDEX jobs_hidden ON jobs (account_id, id) WHERE state IN ('RECEIVING', 'DROPPED');
-- Finds the retries of a job: only one of them may be live.
CREATE INDEX jobs_retries ON jobs (account_id, retry_of) WHERE retry_of IS NOT NULL;

-- A range of a job's items that waits for its first attempt, which deletes the row. Unlike in PostgreSQL, the items are
-- rows of revocations from the start: with one writer, to write them twice costs less than arrays.
CREATE TABLE chunks (
    account_id TEXT    NOT NULL,
    job_id     TEXT    NOT NULL,
    first_row  INTEGER NOT NULL CHECK (first_row > 0),
    end_row    INTEGER NOT NULL CHECK (end_row >= first_row),
    PRIMARY KEY (account_id, job_id, first_row)
) STRICT, WITHOUT ROWID;

-- A request to revoke one invite, with its outcome. The id, a UUID of version 7, holds the time of its creation. The id of
-- a job's item is the job's id with the row in its last four bytes, so the items of a job are a range of the primary key in
-- the order of the input. PENDING here means not final: work_items or chunks says more. notify is NULL where the default of
-- the job applies. The error_detail of an INVALID row says what is wrong with it.
CREATE TABLE revocations (
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

CREATE INDEX revocations_report ON revocations (account_id, report_id, id) WHERE report_id IS NOT NULL;

-- A revocation that is not final, unless a chunk holds it. It is deleted in the transaction that writes the outcome.
-- due_at is the time of the next attempt after one that failed. A dispatcher checks the row at next_check_at: at due_at, or
-- when its task counts as lost. dispatch_count is how often it was enqueued. Rows with account_scheduled are not enqueued
-- one by one: the account's tasks find them. A row with claimed belongs to one worker until next_check_at. With in_doubt, a
-- call to the upstream may have been made whose outcome is not known.
CREATE TABLE work_items (
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

-- An invite has one single revocation at a time that is not final.
CREATE UNIQUE INDEX work_items_single ON work_items (account_id, report_id) WHERE single;
CREATE INDEX work_items_due ON work_items (next_check_at) WHERE NOT account_scheduled;
CREATE INDEX work_items_account_due ON work_items (account_id, single, next_check_at) WHERE account_scheduled;

-- What a caller's Idempotency-Key is bound to: the revocation or the job of its first request.
CREATE TABLE idempotency_keys (
    account_id  TEXT    NOT NULL,
    route       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    target_id   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account_id, route, key)
) STRICT, WITHOUT ROWID;

-- Finds the keys that are old enough to be deleted.
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- The email about one revocation. claims is how often a worker has claimed it. A dispatcher checks the row at next_check_at,
-- and dispatch_count is how often it was enqueued. Emails of jobs are not enqueued one by one: the account's tasks find
-- them. A DELEGATED email is sent by the upstream. deferred_since is when the mail server first refused the email for now.
-- blamed_at is when the server last refused it for a reason that seemed to be the server's own; NULL when it did not, or
-- when the refusal has turned out to be about the email.
CREATE TABLE notifications (
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

CREATE INDEX notifications_due ON notifications (next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NULL;
CREATE INDEX notifications_job_due ON notifications (account_id, next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND job_id IS NOT NULL;

-- How many emails of a job were settled, by outcome. One slot is enough where there is one writer.
CREATE TABLE job_mail_counts (
    account_id TEXT    NOT NULL,
    job_id     TEXT    NOT NULL,
    slot       INTEGER NOT NULL,
    sent       INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    unknown    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, job_id, slot)
) STRICT, WITHOUT ROWID;

-- A sender at a mail server for which emails were refused. blamed_at is the first refusal since the server last accepted an
-- email, and accepted_at is when it last accepted one after a refusal.
CREATE TABLE mail_senders (
    sender      TEXT    NOT NULL,
    blamed_at   INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sender)
) STRICT, WITHOUT ROWID;

-- +goose Down

DROP TABLE mail_senders;
DROP TABLE job_mail_counts;
DROP TABLE notifications;
DROP TABLE idempotency_keys;
DROP TABLE work_items;
DROP TABLE revocations;
DROP TABLE chunks;
DROP TABLE jobs;
DROP TABLE invites;
DROP TABLE api_keys;
DROP TABLE accounts;
