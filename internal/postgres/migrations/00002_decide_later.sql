-- +goose Up

-- Settings of an account: how long after a request its work may begin, and the numbers of items above which a job is
-- previewed or needs another key's approval. event_number is the number of the account's newest event.
ALTER TABLE accounts
    ADD COLUMN hold_seconds  integer NOT NULL DEFAULT 0 CHECK (hold_seconds BETWEEN 0 AND 86400),
    ADD COLUMN confirm_above integer CHECK (confirm_above >= 0),
    ADD COLUMN approve_above integer CHECK (approve_above >= 0),
    ADD COLUMN spare_started boolean NOT NULL DEFAULT false,
    ADD COLUMN message_links boolean NOT NULL DEFAULT false,
    ADD COLUMN single_events boolean NOT NULL DEFAULT false,
    ADD COLUMN event_number  bigint  NOT NULL DEFAULT 0;

ALTER TABLE accounts SET (fillfactor = 50);

ALTER TABLE api_keys ADD COLUMN name text NOT NULL DEFAULT '';

-- How far the candidate has come.
ALTER TABLE invites
    ADD COLUMN state text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'STARTED', 'COMPLETED'));

-- not_before is what the caller asked for, and due_at when a SCHEDULED job begins. queued_at is when the job began: NULL
-- for one that has not reached QUEUED. counted_at is when a job without a preview was accepted, or one with a preview
-- confirmed; the account's limits add up the jobs by it. expires_at is when the job expires in its present state.
--
-- With preview, predicted_items is how many items are predicted, and predicted_revoked and the following columns count
-- them by outcome. predicted_part is how many parts of the ids were searched for duplicates. Of an account on an upstream
-- every readable item counts as predicted_unknown, and predicted_emails is NULL.
ALTER TABLE jobs
    ADD COLUMN reason                    text,
    ADD COLUMN candidate_message         text,
    ADD COLUMN not_before                timestamptz,
    ADD COLUMN due_at                    timestamptz,
    ADD COLUMN queued_at                 timestamptz,
    ADD COLUMN counted_at                timestamptz,
    ADD COLUMN expires_at                timestamptz,
    ADD COLUMN confirmed_by              uuid,
    ADD COLUMN approved_by               uuid,
    ADD COLUMN cancelled_by              uuid,
    ADD COLUMN already_started           integer NOT NULL DEFAULT 0,
    ADD COLUMN preview                   boolean NOT NULL DEFAULT false,
    ADD COLUMN predicted_at              timestamptz,
    ADD COLUMN predicted_items           integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_part            integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_revoked         integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_already_revoked integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_not_allowed     integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_not_found       integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_already_started integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_unknown         integer NOT NULL DEFAULT 0,
    ADD COLUMN predicted_emails          integer,
    -- Whether the items of an EXPIRED job are deleted.
    ADD COLUMN items_deleted             boolean NOT NULL DEFAULT false;

UPDATE jobs SET queued_at = coalesce(started_at, finished_at, now()), counted_at = coalesce(started_at, finished_at, now())
WHERE state NOT IN ('RECEIVING', 'DROPPED');

ALTER TABLE jobs
    DROP CONSTRAINT jobs_state_check,
    DROP CONSTRAINT jobs_check,
    ADD CONSTRAINT jobs_state_check CHECK (state IN ('RECEIVING', 'PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED',
        'QUEUED', 'RUNNING', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'EXPIRED', 'DROPPED')),
    ADD CONSTRAINT jobs_total_check CHECK (total >= retrying + revoked + already_revoked + not_allowed + already_started
        + not_found + error_revoking + invalid + cancelled),
    ADD CONSTRAINT jobs_due_check CHECK (state <> 'SCHEDULED' OR due_at IS NOT NULL),
    ADD CONSTRAINT jobs_expires_check CHECK ((expires_at IS NOT NULL) = (state IN ('PREVIEWED', 'AWAITING_APPROVAL')));

-- The jobs that have not begun.
CREATE INDEX jobs_waiting ON jobs (account_id, id) WHERE state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED');
CREATE INDEX jobs_previewing ON jobs (account_id, id) WHERE state = 'PREVIEWING';
CREATE INDEX jobs_scheduled ON jobs (due_at) WHERE state = 'SCHEDULED';
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE state IN ('PREVIEWED', 'AWAITING_APPROVAL');
CREATE INDEX jobs_expired ON jobs (account_id, id) WHERE state = 'EXPIRED' AND NOT items_deleted;
CREATE INDEX jobs_counted ON jobs (account_id, counted_at) WHERE counted_at IS NOT NULL;

-- predictions has a byte for each element of report_ids, see Prediction in package revocation; it is NULL until the chunk
-- is predicted, and in jobs without a preview. predicted_plan is the plan change that the prediction used.
ALTER TABLE chunks
    ADD COLUMN reasons        text[],
    ADD COLUMN predictions    bytea,
    ADD COLUMN predicted_plan timestamptz,
    ALTER COLUMN reasons SET STORAGE EXTERNAL,
    ALTER COLUMN predictions SET STORAGE EXTERNAL;

CREATE INDEX chunks_unpredicted ON chunks (account_id, job_id, first_row) WHERE predictions IS NULL;

-- An item has a reason of its own only where it differs from the job's. predicted is a Prediction of package revocation,
-- and NULL in jobs without a preview.
ALTER TABLE revocations
    ADD COLUMN reason            text,
    ADD COLUMN candidate_message text,
    ADD COLUMN not_before        timestamptz,
    ADD COLUMN predicted         "char",
    DROP CONSTRAINT revocations_status_check,
    ADD CONSTRAINT revocations_status_check CHECK (status IN ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED',
        'ALREADY_STARTED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED', 'INVALID'));

-- With attempt 0, due_at is the time before which a single revocation must not be carried out. A duplicate is an item that a
-- preview predicted to end as another item of the job does.
ALTER TABLE work_items
    ADD COLUMN duplicate         boolean NOT NULL DEFAULT false,
    ADD COLUMN reason            text,
    ADD COLUMN candidate_message text,
    ADD COLUMN not_before        timestamptz,
    DROP CONSTRAINT work_items_check1,
    ADD CONSTRAINT work_items_due_check CHECK (attempt = 0 OR due_at IS NOT NULL);

-- What happened in an account. The numbers of an account's events have no gaps. They follow the order of the commits: the
-- account's row gives them, and is locked until the commit.
CREATE TABLE events (
    account_id   text COLLATE "C" NOT NULL,
    number       bigint  NOT NULL CHECK (number > 0),
    id           uuid    NOT NULL,
    type         text COLLATE "C" NOT NULL,
    occurred_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_type   text    NOT NULL CHECK (actor_type IN ('key', 'operator', 'service')),
    actor_id     uuid    CHECK ((actor_id IS NOT NULL) = (actor_type = 'key')),
    subject_type text COLLATE "C" NOT NULL,
    subject_id   text COLLATE "C" NOT NULL,
    data         json    NOT NULL,
    PRIMARY KEY (account_id, number)
);

CREATE INDEX events_type ON events (account_id, type, number) WHERE number > 0;
CREATE INDEX events_subject ON events (account_id, subject_id, number) WHERE number > 0;
CREATE INDEX events_subject_type ON events (account_id, subject_id, type, number) WHERE number > 0;
CREATE INDEX events_age ON events (account_id, occurred_at, number) WHERE number > 0;

-- +goose Down

DROP TABLE events;
DROP INDEX chunks_unpredicted, jobs_waiting, jobs_previewing, jobs_scheduled, jobs_expiring, jobs_expired, jobs_counted;
DELETE FROM jobs WHERE state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED', 'EXPIRED');
UPDATE work_items SET due_at = NULL WHERE attempt = 0;
ALTER TABLE work_items
    DROP CONSTRAINT work_items_due_check,
    ADD CONSTRAINT work_items_check1 CHECK ((attempt = 0) = (due_at IS NULL)),
    DROP COLUMN duplicate, DROP COLUMN reason, DROP COLUMN candidate_message, DROP COLUMN not_before;
DELETE FROM revocations WHERE status = 'ALREADY_STARTED';
ALTER TABLE revocations
    DROP CONSTRAINT revocations_status_check,
    ADD CONSTRAINT revocations_status_check CHECK (status IN
        ('PENDING', 'REVOKED', 'NOT_ALLOWED', 'ALREADY_REVOKED', 'ERROR_REVOKING', 'NOT_FOUND', 'CANCELLED', 'INVALID')),
    DROP COLUMN reason, DROP COLUMN candidate_message, DROP COLUMN not_before, DROP COLUMN predicted;
ALTER TABLE chunks DROP COLUMN reasons, DROP COLUMN predictions, DROP COLUMN predicted_plan;
ALTER TABLE jobs
    DROP CONSTRAINT jobs_state_check, DROP CONSTRAINT jobs_total_check, DROP CONSTRAINT jobs_due_check,
    DROP CONSTRAINT jobs_expires_check,
    ADD CONSTRAINT jobs_state_check CHECK (state IN
        ('RECEIVING', 'QUEUED', 'RUNNING', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'DROPPED')),
    ADD CONSTRAINT jobs_check CHECK (total >= retrying + revoked + already_revoked + not_allowed + not_found
        + error_revoking + invalid + cancelled),
    DROP COLUMN reason, DROP COLUMN candidate_message, DROP COLUMN not_before, DROP COLUMN due_at, DROP COLUMN queued_at,
    DROP COLUMN counted_at, DROP COLUMN expires_at, DROP COLUMN confirmed_by, DROP COLUMN approved_by,
    DROP COLUMN cancelled_by, DROP COLUMN already_started, DROP COLUMN preview, DROP COLUMN predicted_at,
    DROP COLUMN predicted_items, DROP COLUMN predicted_part, DROP COLUMN predicted_revoked,
    DROP COLUMN predicted_already_revoked, DROP COLUMN predicted_not_allowed, DROP COLUMN predicted_not_found,
    DROP COLUMN predicted_already_started, DROP COLUMN predicted_unknown, DROP COLUMN predicted_emails,
    DROP COLUMN items_deleted;
ALTER TABLE invites DROP COLUMN state;
ALTER TABLE api_keys DROP COLUMN name;
ALTER TABLE accounts
    RESET (fillfactor),
    DROP COLUMN hold_seconds, DROP COLUMN confirm_above, DROP COLUMN approve_above, DROP COLUMN spare_started,
    DROP COLUMN message_links, DROP COLUMN single_events, DROP COLUMN event_number;
