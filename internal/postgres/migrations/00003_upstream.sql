-- +goose Up

-- An account with an upstream_url has its invites at that upstream. upstream_key is encrypted. While
-- upstream_hold names a reason, no calls are made before upstream_held_until.
ALTER TABLE accounts
    ADD COLUMN upstream_url text,
    ADD COLUMN upstream_key bytea,
    ADD COLUMN upstream_rate double precision NOT NULL DEFAULT 0 CHECK (upstream_rate >= 0),
    ADD COLUMN upstream_concurrency integer NOT NULL DEFAULT 0 CHECK (upstream_concurrency >= 0),
    ADD COLUMN upstream_hold text NOT NULL DEFAULT '',
    ADD COLUMN upstream_held_until timestamptz,
    ADD CONSTRAINT accounts_upstream_check CHECK ((upstream_url IS NULL) = (upstream_key IS NULL)),
    ADD CONSTRAINT accounts_hold_check CHECK ((upstream_hold = '') = (upstream_held_until IS NULL));

CREATE INDEX accounts_upstream ON accounts (account_id) WHERE upstream_url IS NOT NULL;

-- claimed tells that somebody has the row in hand until look_at.
ALTER TABLE outstanding ADD COLUMN claimed boolean NOT NULL DEFAULT false;

-- A DELEGATED email is the upstream's to send: its row only tells so.
ALTER TABLE notifications
    DROP CONSTRAINT notifications_status_check,
    ADD CONSTRAINT notifications_status_check CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN', 'DELEGATED')) NOT VALID;

-- +goose Down

DELETE FROM notifications WHERE status = 'DELEGATED';
ALTER TABLE notifications
    DROP CONSTRAINT notifications_status_check,
    ADD CONSTRAINT notifications_status_check CHECK (status IN
        ('PENDING', 'CLAIMED', 'COMMITTED', 'SENT', 'FAILED', 'UNKNOWN'));
ALTER TABLE outstanding DROP COLUMN claimed;
ALTER TABLE accounts
    DROP COLUMN upstream_url, DROP COLUMN upstream_key, DROP COLUMN upstream_rate,
    DROP COLUMN upstream_concurrency, DROP COLUMN upstream_hold, DROP COLUMN upstream_held_until;
