-- +goose Up

-- Finds the retries of a job, of which only one may be live.
CREATE INDEX jobs_retries ON jobs (account_id, retry_of) WHERE retry_of IS NOT NULL;

-- +goose Down

DROP INDEX jobs_retries;
