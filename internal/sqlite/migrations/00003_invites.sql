-- +goose Up

-- What an import says about an invite besides, and copies of its texts for search: folded by the program, so that they
-- compare without case. The copies of an invite are NULL until the program has made them: at its import, or, for one that
-- was there before, in the background. An empty assessment_id or language is none, like NULL. After forgotten_at the
-- candidate's name and address are gone.
ALTER TABLE invites ADD COLUMN assessment_id TEXT CHECK (length(assessment_id) <= 255);
ALTER TABLE invites ADD COLUMN language TEXT;
ALTER TABLE invites ADD COLUMN forgotten_at INTEGER;
ALTER TABLE invites ADD COLUMN name_folded TEXT;
ALTER TABLE invites ADD COLUMN email_folded TEXT;
ALTER TABLE invites ADD COLUMN assessment_folded TEXT;

-- +goose Down

ALTER TABLE invites DROP COLUMN assessment_folded;
ALTER TABLE invites DROP COLUMN email_folded;
ALTER TABLE invites DROP COLUMN name_folded;
ALTER TABLE invites DROP COLUMN forgotten_at;
ALTER TABLE invites DROP COLUMN language;
ALTER TABLE invites DROP COLUMN assessment_id;
