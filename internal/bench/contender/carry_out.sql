-- The rule and both rows in one statement, which is one round trip and a transaction of its own. A revocation
-- that is final already is left as it is, so that a task may come twice.
WITH facts AS (
    SELECT r.account_id, r.id, i.report_id, a.plan_changed_at, CASE
        WHEN i.revoked_at IS NOT NULL THEN 'ALREADY_REVOKED'
        WHEN i.sent_at < a.plan_changed_at THEN 'NOT_ALLOWED'
        ELSE 'REVOKED' END AS status
    FROM revocations r
    JOIN invites i ON i.account_id = r.account_id AND i.report_id = r.report_id
    JOIN accounts a ON a.account_id = r.account_id
    WHERE r.account_id = $1 AND r.id = $2 AND r.status = 'PENDING'
    FOR UPDATE OF r, i
), revoked AS (
    UPDATE invites i SET revoked_at = now(), revoked_by = f.id
    FROM facts f
    WHERE f.status = 'REVOKED' AND i.account_id = f.account_id AND i.report_id = f.report_id
)
UPDATE revocations r SET attempts = 1, completed_at = now(), status = coalesce((SELECT status FROM facts), 'NOT_FOUND'),
    timestamp = (SELECT to_char(plan_changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM facts WHERE status = 'NOT_ALLOWED')
WHERE r.account_id = $1 AND r.id = $2 AND r.status = 'PENDING'
