-- +goose Up

-- A note on the indexes beside the primary keys. Statements are planned once and kept, perhaps while a table
-- is nearly empty, when reading a whole index looks as cheap as one look-up. So that no plan can become that
-- of a large table, those indexes are partial on a condition that always holds: only the statement that says
-- so can use them.

-- Every table is keyed by the account first, and no hot table refers to another: the tables can be sharded
-- by account as they are, and no insert locks an account's row. Keys compare by bytes: that is faster than by
-- any language's rules, and it is the order in which the program sorts what it locks.

CREATE TABLE accounts (
    account_id      text COLLATE "C" PRIMARY KEY CHECK (length(account_id) BETWEEN 1 AND 64),
    name            text NOT NULL DEFAULT '',
    contact         text NOT NULL DEFAULT '',
    plan_changed_at timestamptz
);

CREATE TABLE api_keys (
    account_id  text COLLATE "C" NOT NULL REFERENCES accounts,
    id          uuid  NOT NULL,
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    scopes      text[] NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz,
    PRIMARY KEY (account_id, id)
);

-- Half-empty pages and no index on what a revocation changes keep its update within the page.
CREATE TABLE invites (
    account_id      text COLLATE "C" NOT NULL REFERENCES accounts,
    report_id       bigint NOT NULL CHECK (report_id > 0),
    candidate_name  text   NOT NULL,
    candidate_email text   NOT NULL,
    assessment_name text   NOT NULL,
    sent_at         timestamptz NOT NULL,
    revoked_at      timestamptz,
    revoked_by      uuid,
    PRIMARY KEY (account_id, report_id)
) WITH (fillfactor = 50);

-- Written once and updated once, to the final outcome; PENDING here means not final, whatever the work row
-- says. The creation is part of the id.
CREATE TABLE revocations (
    account_id       text COLLATE "C" NOT NULL,
    id               uuid    NOT NULL,
    report_id        bigint  NOT NULL,
    notify           boolean NOT NULL,
    client_reference text,
    requested_by     uuid    NOT NULL,
    status           text    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED')),
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    timestamp        text    CHECK (timestamp IS NULL OR status = 'NOT_ALLOWED'),
    error_code       text    CHECK (error_code IS NULL OR status = 'ERROR_REVOKING'),
    error_detail     text,
    completed_at     timestamptz CHECK ((completed_at IS NULL) = (status = 'PENDING')),
    PRIMARY KEY (account_id, id)
) WITH (fillfactor = 50);

CREATE INDEX revocations_report ON revocations (account_id, report_id, id) WHERE report_id > 0;

-- What is not final: deleted in the transaction that writes the outcome. look_at is when a dispatcher must
-- look at the row: the next attempt's time, or the time after which its task counts as lost.
CREATE TABLE outstanding (
    account_id    text COLLATE "C" NOT NULL,
    revocation_id uuid    NOT NULL,
    report_id     bigint  NOT NULL,
    single        boolean NOT NULL,
    notify        boolean NOT NULL,
    attempt       integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    epoch         integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    due_at        timestamptz,
    look_at       timestamptz NOT NULL,
    error_code    text,
    error_detail  text,
    updated_at    timestamptz,
    PRIMARY KEY (account_id, revocation_id),
    CHECK ((attempt = 0) = (error_code IS NULL)),
    CHECK ((attempt = 0) = (due_at IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

CREATE UNIQUE INDEX outstanding_single ON outstanding (account_id, report_id) WHERE single;
CREATE INDEX outstanding_look ON outstanding (look_at) WHERE epoch >= 0;

CREATE TABLE idempotency_keys (
    account_id  text COLLATE "C" NOT NULL,
    route       text  NOT NULL,
    key         text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    target_id   uuid  NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, route, key)
);

-- One row an email that is to be sent, named by its revocation.
CREATE TABLE notifications (
    account_id    text COLLATE "C" NOT NULL,
    revocation_id uuid    NOT NULL,
    report_id     bigint  NOT NULL,
    status        text    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN')),
    attempts      integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims        integer NOT NULL DEFAULT 0 CHECK (claims >= 0),
    epoch         integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    look_at       timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, revocation_id)
);

CREATE INDEX notifications_look ON notifications (look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND epoch >= 0;

-- +goose Down

DROP TABLE notifications, idempotency_keys, outstanding, revocations, invites, api_keys, accounts;
