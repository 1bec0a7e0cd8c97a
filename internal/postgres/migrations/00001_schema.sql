-- +goose Up

-- Every table is keyed by the account first, and no frequently written table refers to another one: the tables can be
-- sharded by account as they are, and no insert locks the account's row. Text keys compare by bytes (COLLATE "C"). That is
-- faster than the rules of a language, and it is the order in which the program sorts the rows that it locks.
--
-- Statements are planned once, and the plan is kept, perhaps from a time at which a table was nearly empty. Then reading
-- a whole index looks as cheap as one look-up. So each index beside a primary key is partial on a condition that always
-- holds, and only a statement that repeats the condition can use it.

-- A customer of the assessment platform. With an upstream_url its invites are at that upstream, and upstream_key is the
-- encrypted key for it. While upstream_hold names a reason, the upstream is not called before upstream_held_until.
CREATE TABLE accounts (
    account_id           text COLLATE "C" PRIMARY KEY CHECK (length(account_id) BETWEEN 1 AND 64),
    name                 text NOT NULL DEFAULT '',
    contact              text NOT NULL DEFAULT '',
    plan_changed_at      timestamptz,
    upstream_url         text,
    upstream_key         bytea,
    upstream_rate        double precision NOT NULL DEFAULT 0 CHECK (upstream_rate >= 0),
    upstream_concurrency integer NOT NULL DEFAULT 0 CHECK (upstream_concurrency >= 0),
    upstream_hold        text NOT NULL DEFAULT '',
    upstream_held_until  timestamptz,
    CONSTRAINT accounts_upstream_check CHECK ((upstream_url IS NULL) = (upstream_key IS NULL)),
    CONSTRAINT accounts_hold_check CHECK ((upstream_hold = '') = (upstream_held_until IS NULL))
);

CREATE INDEX accounts_upstream ON accounts (account_id) WHERE upstream_url IS NOT NULL;

-- An API key. The secret itself is not kept.
CREATE TABLE api_keys (
    account_id  text COLLATE "C" NOT NULL REFERENCES accounts,
    id          uuid  NOT NULL,
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    scopes      text[] NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz,
    PRIMARY KEY (account_id, id)
);

-- One candidate's invitation to one assessment. The pages are filled by half, and no index has a column that a revocation
-- changes: so the update stays within its page (a HOT update).
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

-- A bulk request. The counters are written in the transactions of the outcomes that they count.
CREATE TABLE jobs (
    account_id        text COLLATE "C" NOT NULL,
    id                uuid    NOT NULL,
    state             text    NOT NULL DEFAULT 'RECEIVING' CHECK (state IN
        ('RECEIVING', 'QUEUED', 'RUNNING', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'DROPPED')),
    label             text,
    -- What was recognised of the file that the job came in, as JSON. NULL for JSON and NDJSON.
    file              text,
    -- Whether the items that do not say it want an email.
    notify            boolean NOT NULL DEFAULT false,
    retry_of          uuid,
    requested_by      uuid    NOT NULL,
    route             text    NOT NULL,
    idempotency_key   text COLLATE "C",
    total             integer NOT NULL DEFAULT 0,
    retrying          integer NOT NULL DEFAULT 0 CHECK (retrying >= 0),
    revoked           integer NOT NULL DEFAULT 0,
    already_revoked   integer NOT NULL DEFAULT 0,
    not_allowed       integer NOT NULL DEFAULT 0,
    not_found         integer NOT NULL DEFAULT 0,
    error_revoking    integer NOT NULL DEFAULT 0,
    invalid           integer NOT NULL DEFAULT 0,
    cancelled         integer NOT NULL DEFAULT 0,
    -- The emails that this service was to send, and those that the upstream sends.
    mails             integer NOT NULL DEFAULT 0,
    delegated         integer NOT NULL DEFAULT 0,
    started_at        timestamptz,
    finished_at       timestamptz,
    -- When a chunk or an item of the job last ended. The job that was served longest ago comes first.
    served_at         timestamptz,
    -- Two recent moments, and how many items were final then. The speed is computed from the older one.
    older_sample_at   timestamptz,
    older_sample_done integer NOT NULL DEFAULT 0,
    newer_sample_at   timestamptz,
    newer_sample_done integer NOT NULL DEFAULT 0,
    -- An upload without a heartbeat until then is given up.
    lease_until       timestamptz,
    PRIMARY KEY (account_id, id),
    CHECK (total >= retrying + revoked + already_revoked + not_allowed + not_found + error_revoking + invalid + cancelled)
) WITH (fillfactor = 50);

CREATE INDEX jobs_active ON jobs (account_id, id) WHERE state IN ('QUEUED', 'RUNNING', 'CANCELLING');
CREATE INDEX jobs_hidden ON jobs (account_id, id) WHERE state IN ('RECEIVING', 'DROPPED');
-- Finds the retries of a job: only one of them may be live.
CREATE INDEX jobs_retries ON jobs (account_id, retry_of) WHERE retry_of IS NOT NULL;

-- A range of a job's items that waits for its first attempt. The worker that carries it out locks the row, and deletes it
-- in the same transaction. The n-th element of each array belongs to the n-th row from first_row on. An element of
-- report_ids is NULL for a row that cannot be read. An array that no item needs is NULL, and one that is shorter than
-- report_ids says nothing about the rest.
CREATE TABLE chunks (
    account_id        text COLLATE "C" NOT NULL,
    job_id            uuid     NOT NULL,
    first_row         integer  NOT NULL,
    end_row           integer  NOT NULL,
    report_ids        bigint[] NOT NULL,
    notify            boolean[],
    client_references text[],
    PRIMARY KEY (account_id, job_id, first_row)
);

-- Chunks are read once and deleted. To compress them would take four times as long as to write them.
ALTER TABLE chunks
    ALTER COLUMN report_ids SET STORAGE EXTERNAL,
    ALTER COLUMN notify SET STORAGE EXTERNAL,
    ALTER COLUMN client_references SET STORAGE EXTERNAL;

-- A request to revoke one invite, with its outcome. The id, a UUID of version 7, holds the time of its creation. The id of
-- a job's item is the job's id with the row in its last four bytes, so the items of a job are a range of the primary key
-- in the order of the input. A single submission, and an item in a chunk, becomes a row with its outcome. Only an item
-- that waits for another attempt or for an upstream is PENDING here and updated once; its state is in work_items. notify
-- is NULL where the default of the job applies. The error_detail of an INVALID row says what is wrong with it.
CREATE TABLE revocations (
    account_id       text COLLATE "C" NOT NULL,
    id               uuid    NOT NULL,
    report_id        bigint,
    notify           boolean,
    client_reference text,
    requested_by     uuid    NOT NULL,
    status           text    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED', 'INVALID')),
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    timestamp        text    CHECK (timestamp IS NULL OR status = 'NOT_ALLOWED'),
    error_code       text    CHECK (error_code IS NULL OR status = 'ERROR_REVOKING'),
    error_detail     text,
    completed_at     timestamptz CHECK ((completed_at IS NULL) = (status = 'PENDING')),
    job_id           uuid,
    inferred         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account_id, id),
    CONSTRAINT revocations_invalid_check CHECK ((report_id IS NULL) = (status = 'INVALID')),
    CONSTRAINT revocations_notify_check CHECK (notify IS NOT NULL OR job_id IS NOT NULL)
) WITH (fillfactor = 90);

CREATE INDEX revocations_report ON revocations (account_id, report_id, id) WHERE report_id > 0;

-- A revocation that is not final, unless a chunk holds it. It is deleted in the transaction that writes the outcome. A row
-- with single is the whole revocation, which has no row in revocations before its outcome. due_at is the time of the next
-- attempt after one that failed. A dispatcher checks the row at next_check_at: at due_at, or when its task counts as lost.
-- dispatch_count is how often it was enqueued. Rows with account_scheduled are not enqueued one by one: the account's
-- tasks find them. A row with claimed belongs to one worker until next_check_at. With in_doubt, a call to the upstream may
-- have been made whose outcome is not known.
CREATE TABLE work_items (
    account_id        text COLLATE "C" NOT NULL,
    revocation_id     uuid    NOT NULL,
    report_id         bigint  NOT NULL,
    single            boolean NOT NULL,
    notify            boolean NOT NULL,
    attempt           integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    dispatch_count    integer NOT NULL DEFAULT 0 CHECK (dispatch_count >= 0),
    due_at            timestamptz,
    next_check_at     timestamptz NOT NULL,
    error_code        text,
    error_detail      text,
    updated_at        timestamptz,
    job_id            uuid,
    account_scheduled boolean NOT NULL DEFAULT false,
    claimed           boolean NOT NULL DEFAULT false,
    in_doubt          boolean NOT NULL DEFAULT false,
    client_reference  text,
    requested_by      uuid,
    PRIMARY KEY (account_id, revocation_id),
    CHECK ((attempt = 0) = (error_code IS NULL)),
    CHECK ((attempt = 0) = (due_at IS NULL)),
    CONSTRAINT work_items_requested_check CHECK (single = (requested_by IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- An invite has one single revocation at a time that is not final.
CREATE UNIQUE INDEX work_items_single ON work_items (account_id, report_id) WHERE single;
CREATE INDEX work_items_due ON work_items (next_check_at) WHERE NOT account_scheduled AND dispatch_count >= 0;
CREATE INDEX work_items_account_due ON work_items (account_id, single, next_check_at)
    WHERE account_scheduled AND dispatch_count >= 0;

-- What a caller's Idempotency-Key is bound to: the revocation or the job of its first request.
CREATE TABLE idempotency_keys (
    account_id  text COLLATE "C" NOT NULL,
    route       text  NOT NULL,
    key         text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    target_id   uuid  NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, route, key)
);

-- Finds the keys that are old enough to be deleted.
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at) WHERE length(key) > 0;

-- The email about one revocation. claims is how often a worker has claimed it. A dispatcher checks the row at
-- next_check_at, and dispatch_count is how often it was enqueued. Emails of jobs are not enqueued one by one: the
-- account's tasks find them. A DELEGATED email is sent by the upstream. deferred_since is when the mail server first
-- refused the email for now. blamed_at is when the server last refused it for a reason that seemed to be the server's
-- own; NULL when it did not, or when the refusal has turned out to be about the email.
CREATE TABLE notifications (
    account_id     text COLLATE "C" NOT NULL,
    revocation_id  uuid    NOT NULL,
    report_id      bigint  NOT NULL,
    job_id         uuid,
    status         text    NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN', 'DELEGATED')),
    attempts       integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims         integer NOT NULL DEFAULT 0 CHECK (claims >= 0),
    dispatch_count integer NOT NULL DEFAULT 0 CHECK (dispatch_count >= 0),
    next_check_at  timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    deferred_since timestamptz,
    blamed_at      timestamptz,
    PRIMARY KEY (account_id, revocation_id)
);

CREATE INDEX notifications_due ON notifications (next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND dispatch_count >= 0 AND job_id IS NULL;
CREATE INDEX notifications_job_due ON notifications (account_id, next_check_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND dispatch_count >= 0 AND job_id IS NOT NULL;

-- How many emails of a job were settled, by outcome. A job has several rows, so that workers that send its emails do not
-- wait for each other or for the job's row.
CREATE TABLE job_mail_counts (
    account_id text COLLATE "C" NOT NULL,
    job_id     uuid     NOT NULL,
    slot       smallint NOT NULL,
    sent       integer  NOT NULL DEFAULT 0,
    failed     integer  NOT NULL DEFAULT 0,
    unknown    integer  NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, job_id, slot)
) WITH (fillfactor = 50);

-- A sender at a mail server for which emails were refused. blamed_at is the first refusal since the server last accepted
-- an email, and accepted_at is when it last accepted one after a refusal.
CREATE TABLE mail_senders (
    sender      text COLLATE "C" PRIMARY KEY,
    blamed_at   timestamptz NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

-- +goose Down

DROP TABLE mail_senders, job_mail_counts, notifications, idempotency_keys, work_items, revocations, chunks, jobs, invites,
    api_keys, accounts;
