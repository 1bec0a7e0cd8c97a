-- +goose Up

-- deferred_since is when the mail server first refused the email for now. blamed_at is when it last refused it for a
-- reason that seemed to be its own; null: it did not, or the refusal has turned out to be about the email.
ALTER TABLE notifications
    ADD COLUMN deferred_since timestamptz,
    ADD COLUMN blamed_at timestamptz;

-- One row a sender, with its server, that emails were refused because of: when that was first since the server had
-- accepted one, and when it last accepted one after that.
CREATE TABLE mail_senders (
    sender      text COLLATE "C" PRIMARY KEY,
    blamed_at   timestamptz NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

-- +goose Down

DROP TABLE mail_senders;
ALTER TABLE notifications DROP COLUMN deferred_since, DROP COLUMN blamed_at;
