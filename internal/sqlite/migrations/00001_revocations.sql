-- +goose Up

-- Every table is keyed by the account first. Ids are UUIDs in their canonical text, which sorts as they do;
-- times are microseconds since the epoch, UTC.

CREATE TABLE accounts (
    account_id      TEXT NOT NULL PRIMARY KEY CHECK (length(account_id) BETWEEN 1 AND 64),
    name            TEXT NOT NULL DEFAULT '',
    contact         TEXT NOT NULL DEFAULT '',
    plan_changed_at INTEGER
) STRICT, WITHOUT ROWID;

-- scopes are separated by spaces.
CREATE TABLE api_keys (
    account_id  TEXT NOT NULL REFERENCES accounts,
    id          TEXT NOT NULL CHECK (length(id) = 36),
    secret_hash BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    scopes      TEXT NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER,
    PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

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

-- Written once and updated once, to the final outcome; PENDING here means not final, whatever the work row
-- says. The creation is part of the id.
CREATE TABLE revocations (
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

CREATE INDEX revocations_report ON revocations (account_id, report_id, id);

-- What is not final: deleted in the transaction that writes the outcome. due_at is when the next attempt
-- becomes due, after one that failed. look_at is when a dispatcher must look at the row: then, or after the
-- time in which its task counts as under way.
CREATE TABLE outstanding (
    account_id    TEXT    NOT NULL,
    revocation_id TEXT    NOT NULL,
    report_id     INTEGER NOT NULL,
    single        INTEGER NOT NULL CHECK (single IN (0, 1)),
    notify        INTEGER NOT NULL CHECK (notify IN (0, 1)),
    attempt       INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    epoch         INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    due_at        INTEGER,
    look_at       INTEGER NOT NULL,
    error_code    TEXT,
    error_detail  TEXT,
    updated_at    INTEGER,
    PRIMARY KEY (account_id, revocation_id),
    CHECK ((attempt = 0) = (error_code IS NULL)),
    CHECK ((attempt = 0) = (error_detail IS NULL)),
    CHECK ((attempt = 0) = (due_at IS NULL)),
    CHECK ((attempt = 0) = (updated_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX outstanding_single ON outstanding (account_id, report_id) WHERE single;
CREATE INDEX outstanding_look ON outstanding (look_at);

CREATE TABLE idempotency_keys (
    account_id  TEXT    NOT NULL,
    route       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    target_id   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account_id, route, key)
) STRICT, WITHOUT ROWID;

-- One row an email that is to be sent, named by its revocation.
CREATE TABLE notifications (
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
    PRIMARY KEY (account_id, revocation_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX notifications_look ON notifications (look_at) WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED');

-- +goose Down

DROP TABLE notifications;
DROP TABLE idempotency_keys;
DROP TABLE outstanding;
DROP TABLE revocations;
DROP TABLE invites;
DROP TABLE api_keys;
DROP TABLE accounts;
