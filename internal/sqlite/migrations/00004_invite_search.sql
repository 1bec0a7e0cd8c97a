-- +goose Up

-- The indexes of the search for invites. No index has a column that a revocation changes.
CREATE INDEX invites_newest ON invites (account_id, sent_at DESC, report_id DESC);
CREATE INDEX invites_assessment_id ON invites (account_id, assessment_id, sent_at DESC, report_id DESC)
    WHERE assessment_id IS NOT NULL;
CREATE INDEX invites_name ON invites (account_id, name_folded, sent_at DESC, report_id DESC)
    WHERE name_folded IS NOT NULL;
CREATE INDEX invites_email ON invites (account_id, email_folded, sent_at DESC, report_id DESC)
    WHERE email_folded IS NOT NULL;
CREATE INDEX invites_assessment ON invites (account_id, assessment_folded, sent_at DESC, report_id DESC)
    WHERE assessment_folded IS NOT NULL;
-- Finds the invites whose texts are not folded yet, the newest first.
CREATE INDEX invites_unfolded ON invites (sent_at DESC) WHERE name_folded IS NULL;

-- +goose Down

DROP INDEX invites_unfolded;
DROP INDEX invites_assessment;
DROP INDEX invites_email;
DROP INDEX invites_name;
DROP INDEX invites_assessment_id;
DROP INDEX invites_newest;
