SELECT report_id, notify, status, attempts, timestamp, completed_at FROM revocations WHERE account_id = $1 AND id = $2
