-- +goose Up

-- A job's items are revocations whose ids are the job's own, with the row in the last four bytes: a range of
-- the primary key, in the order of the input. PENDING items have no work row; chunks says which rows of a job
-- have not had their first pass.

CREATE TABLE jobs (
    account_id      text COLLATE "C" NOT NULL,
    id              uuid    NOT NULL,
    state           text    NOT NULL DEFAULT 'RECEIVING' CHECK (state IN
        ('RECEIVING', 'QUEUED', 'RUNNING', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'DROPPED')),
    label           text,
    notify          boolean NOT NULL DEFAULT false,
    retry_of        uuid,
    requested_by    uuid    NOT NULL,
    route           text    NOT NULL,
    idempotency_key text COLLATE "C",
    total           integer NOT NULL DEFAULT 0,
    retrying        integer NOT NULL DEFAULT 0 CHECK (retrying >= 0),
    revoked         integer NOT NULL DEFAULT 0,
    already_revoked integer NOT NULL DEFAULT 0,
    not_allowed     integer NOT NULL DEFAULT 0,
    not_found       integer NOT NULL DEFAULT 0,
    error_revoking  integer NOT NULL DEFAULT 0,
    invalid         integer NOT NULL DEFAULT 0,
    cancelled       integer NOT NULL DEFAULT 0,
    -- The emails that were to be sent, and those that an upstream sends.
    mails           integer NOT NULL DEFAULT 0,
    delegated       integer NOT NULL DEFAULT 0,
    started_at      timestamptz,
    finished_at     timestamptz,
    -- When a chunk or an item of the job last ended: who waits longest comes first.
    served_at       timestamptz,
    -- Two moments of late, and how many items were final then: the speed is reckoned from the older one.
    since           timestamptz,
    since_done      integer NOT NULL DEFAULT 0,
    mark_at         timestamptz,
    mark_done       integer NOT NULL DEFAULT 0,
    -- Until when an upload may be silent.
    lease_until     timestamptz,
    PRIMARY KEY (account_id, id),
    CHECK (total >= retrying + revoked + already_revoked + not_allowed + not_found + error_revoking + invalid + cancelled)
) WITH (fillfactor = 50);

CREATE INDEX jobs_active ON jobs (account_id, id) WHERE state IN ('QUEUED', 'RUNNING', 'CANCELLING');
CREATE INDEX jobs_hidden ON jobs (account_id, id) WHERE state IN ('RECEIVING', 'DROPPED');

-- One row a range that has not had its first pass; who carries it out holds the row, and deletes it with that.
CREATE TABLE chunks (
    account_id text COLLATE "C" NOT NULL,
    job_id     uuid    NOT NULL,
    first_row  integer NOT NULL,
    last_row   integer NOT NULL,
    PRIMARY KEY (account_id, job_id, first_row)
);

-- How many emails of a job were settled, apart from the job's row and in several rows, so that those who send
-- them do not wait for each other.
CREATE TABLE mail_tallies (
    account_id text COLLATE "C" NOT NULL,
    job_id     uuid     NOT NULL,
    slot       smallint NOT NULL,
    sent       integer  NOT NULL DEFAULT 0,
    failed     integer  NOT NULL DEFAULT 0,
    unknown    integer  NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, job_id, slot)
) WITH (fillfactor = 50);

-- Of an INVALID row, error_detail says what is wrong with it. notify is null where the job's default counts.
ALTER TABLE revocations
    ADD COLUMN job_id uuid,
    ADD COLUMN inferred boolean NOT NULL DEFAULT false,
    ALTER COLUMN report_id DROP NOT NULL,
    ALTER COLUMN notify DROP NOT NULL,
    DROP CONSTRAINT revocations_status_check,
    ADD CONSTRAINT revocations_status_check CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED', 'INVALID')) NOT VALID,
    ADD CONSTRAINT revocations_invalid_check CHECK ((report_id IS NULL) = (status = 'INVALID')) NOT VALID,
    ADD CONSTRAINT revocations_notify_check CHECK (notify IS NOT NULL OR job_id IS NOT NULL) NOT VALID;

-- pulled rows are not sent to the queue one by one: whoever has a turn of the account looks for them. in_doubt
-- tells that a call to the upstream may have been made whose answer is not known.
ALTER TABLE outstanding
    ADD COLUMN job_id uuid,
    ADD COLUMN pulled boolean NOT NULL DEFAULT false,
    ADD COLUMN in_doubt boolean NOT NULL DEFAULT false;
DROP INDEX outstanding_look;
CREATE INDEX outstanding_look ON outstanding (look_at) WHERE NOT pulled AND epoch >= 0;
CREATE INDEX outstanding_pulled ON outstanding (account_id, single, look_at) WHERE pulled AND epoch >= 0;

-- Old keys are looked for by their age.
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at) WHERE length(key) > 0;

ALTER TABLE notifications ADD COLUMN job_id uuid;
DROP INDEX notifications_look;
CREATE INDEX notifications_look ON notifications (look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND epoch >= 0 AND job_id IS NULL;
CREATE INDEX notifications_pulled ON notifications (account_id, look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND epoch >= 0 AND job_id IS NOT NULL;

-- +goose Down

DELETE FROM notifications WHERE job_id IS NOT NULL;
DELETE FROM outstanding WHERE job_id IS NOT NULL;
DELETE FROM revocations WHERE job_id IS NOT NULL;
DROP INDEX notifications_pulled, notifications_look, outstanding_pulled, outstanding_look, idempotency_keys_age;
CREATE INDEX notifications_look ON notifications (look_at)
    WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND epoch >= 0;
CREATE INDEX outstanding_look ON outstanding (look_at) WHERE epoch >= 0;
ALTER TABLE notifications DROP COLUMN job_id;
ALTER TABLE outstanding DROP COLUMN job_id, DROP COLUMN pulled, DROP COLUMN in_doubt;
ALTER TABLE revocations
    DROP CONSTRAINT revocations_invalid_check, DROP CONSTRAINT revocations_notify_check,
    DROP CONSTRAINT revocations_status_check,
    ADD CONSTRAINT revocations_status_check CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED')),
    DROP COLUMN job_id, DROP COLUMN inferred,
    ALTER COLUMN report_id SET NOT NULL, ALTER COLUMN notify SET NOT NULL;
DROP TABLE mail_tallies, chunks, jobs;
