-- The test suite adds two things to the service's database: triggers that check every change, and a switch that makes
-- changes fail with errors of PostgreSQL.

CREATE SCHEMA chaos;

-- One row for each revocation of an invite. A trigger on the invites writes it, so it does not depend on other rows.
CREATE TABLE chaos.effects (account_id text, report_id bigint, revoked_by uuid);
CREATE TABLE chaos.violations (what text, account_id text, id text);

CREATE FUNCTION chaos.see_invite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL THEN
        INSERT INTO chaos.violations VALUES ('a revoked invite was revoked anew or restored', OLD.account_id, OLD.report_id::text);
    ELSIF NEW.revoked_at IS NOT NULL THEN
        INSERT INTO chaos.effects VALUES (NEW.account_id, NEW.report_id, NEW.revoked_by);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER UPDATE OF revoked_at, revoked_by ON invites
    FOR EACH ROW EXECUTE FUNCTION chaos.see_invite();

CREATE FUNCTION chaos.see_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'PENDING' AND NEW IS DISTINCT FROM OLD THEN
        INSERT INTO chaos.violations VALUES (format('final %s became %s', OLD.status, NEW.status), OLD.account_id, OLD.id::text);
    END IF;
    IF NEW.attempts < OLD.attempts OR NEW.report_id <> OLD.report_id OR OLD.notify AND NOT NEW.notify THEN
        INSERT INTO chaos.violations VALUES ('a revocation went back', OLD.account_id, OLD.id::text);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER UPDATE ON revocations FOR EACH ROW EXECUTE FUNCTION chaos.see_revocation();

-- A work item is deleted only in the transaction that writes its outcome. A single revocation has either a work item or a
-- row with an outcome.
CREATE FUNCTION chaos.see_work_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.attempt < OLD.attempt OR NEW.dispatch_count < OLD.dispatch_count AND NEW.attempt = OLD.attempt OR OLD.notify AND NOT NEW.notify THEN
            INSERT INTO chaos.violations VALUES ('a work item went back', OLD.account_id, OLD.revocation_id::text);
        END IF;
    ELSIF (SELECT r.status FROM revocations r WHERE r.account_id = OLD.account_id AND r.id = OLD.revocation_id)
            IS NOT DISTINCT FROM (CASE WHEN OLD.single THEN NULL ELSE 'PENDING' END) THEN
        INSERT INTO chaos.violations VALUES ('a work item was deleted without an outcome', OLD.account_id, OLD.revocation_id::text);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER see AFTER UPDATE OR DELETE ON work_items DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION chaos.see_work_item();

CREATE FUNCTION chaos.see_notification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM revocations r
                WHERE r.account_id = NEW.account_id AND r.id = NEW.revocation_id AND r.status = 'REVOKED') THEN
            INSERT INTO chaos.violations VALUES ('an email without a REVOKED outcome', NEW.account_id, NEW.revocation_id::text);
        END IF;
    ELSIF NEW.status <> OLD.status AND NOT (
            OLD.status = 'PENDING' AND NEW.status IN ('CLAIMED', 'FAILED')
            OR OLD.status = 'CLAIMED' AND NEW.status IN ('PENDING', 'COMMITTED', 'SENT', 'FAILED')
            OR OLD.status = 'COMMITTED' AND NEW.status IN ('PENDING', 'SENT', 'FAILED', 'UNKNOWN'))
            OR NEW.attempts < OLD.attempts OR NEW.claims < OLD.claims THEN
        INSERT INTO chaos.violations VALUES (format('an email went from %s to %s', OLD.status, NEW.status), OLD.account_id, OLD.revocation_id::text);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER see AFTER INSERT OR UPDATE ON notifications DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION chaos.see_notification();

CREATE FUNCTION chaos.states() RETURNS text[] IMMUTABLE LANGUAGE sql
    RETURN ARRAY['RECEIVING', 'PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED', 'QUEUED', 'RUNNING', 'CANCELLING'];

CREATE FUNCTION chaos.see_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('COMPLETED', 'CANCELLED', 'EXPIRED') AND NEW.state NOT IN (OLD.state, 'DROPPED')
            OR array_position(chaos.states(), NEW.state) < array_position(chaos.states(), OLD.state)
            OR OLD.state IN ('PREVIEWED', 'AWAITING_APPROVAL') AND NEW.state NOT IN (OLD.state, 'EXPIRED', 'CANCELLING')
                AND OLD.expires_at <= now()
            OR OLD.state <> 'RECEIVING' AND (NEW.total <> OLD.total OR NEW.revoked < OLD.revoked
                OR NEW.already_revoked < OLD.already_revoked OR NEW.not_allowed < OLD.not_allowed
                OR NEW.already_started < OLD.already_started OR NEW.not_found < OLD.not_found
                OR NEW.error_revoking < OLD.error_revoking OR NEW.cancelled < OLD.cancelled OR NEW.mails < OLD.mails) THEN
        INSERT INTO chaos.violations VALUES (format('a job went back from %s to %s', OLD.state, NEW.state), OLD.account_id, OLD.id::text);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION chaos.see_job();

-- The switch: with this probability, a statement that changes something fails with this SQLSTATE.
CREATE TABLE chaos.switch (probability double precision NOT NULL, sqlstate text NOT NULL);
INSERT INTO chaos.switch VALUES (0, '40001');

CREATE FUNCTION chaos.fail() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    switch chaos.switch;
BEGIN
    SELECT * INTO switch FROM chaos.switch;
    IF random() < switch.probability THEN
        RAISE EXCEPTION 'as the suite has it' USING ERRCODE = switch.sqlstate;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail BEFORE UPDATE ON invites FOR EACH STATEMENT EXECUTE FUNCTION chaos.fail();
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON revocations FOR EACH STATEMENT EXECUTE FUNCTION chaos.fail();
CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON work_items FOR EACH STATEMENT EXECUTE FUNCTION chaos.fail();
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON notifications FOR EACH STATEMENT EXECUTE FUNCTION chaos.fail();
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON jobs FOR EACH STATEMENT EXECUTE FUNCTION chaos.fail();
CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON chunks FOR EACH STATEMENT EXECUTE FUNCTION chaos.fail();
