-- +goose Up

-- What an import says about an invite besides, and copies of its texts for search: folded by the program, so that they
-- compare without case. The copies of an invite are NULL until the program has made them: at its import, or, for one that
-- was there before, in the background. An empty assessment_id or language is none, like NULL. After forgotten_at the
-- candidate's name and address are gone.
ALTER TABLE invites
    ADD COLUMN assessment_id     text COLLATE "C" CHECK (length(assessment_id) <= 255),
    ADD COLUMN language          text,
    ADD COLUMN forgotten_at      timestamptz,
    ADD COLUMN name_folded       text COLLATE "C",
    ADD COLUMN email_folded      text COLLATE "C",
    ADD COLUMN assessment_folded text COLLATE "C";

-- A revoked invite is 24 bytes longer. With this the updates of all invites of a page fit into it, also in one transaction.
ALTER TABLE invites SET (fillfactor = 45);

-- +goose Down

ALTER TABLE invites SET (fillfactor = 50);

ALTER TABLE invites
    DROP COLUMN assessment_folded,
    DROP COLUMN email_folded,
    DROP COLUMN name_folded,
    DROP COLUMN forgotten_at,
    DROP COLUMN language,
    DROP COLUMN assessment_id;
