-- +goose Up

-- What was recognised of the file that a job came in, as JSON; NULL for one that came in another form. It is written
-- once, when the job is sealed.
ALTER TABLE jobs ADD COLUMN file TEXT;

-- +goose Down

ALTER TABLE jobs DROP COLUMN file;
