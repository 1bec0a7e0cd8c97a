INSERT INTO revocations (account_id, id, report_id, notify, requested_by)
VALUES ($1, $2, $3, $4, '00000000-0000-0000-0000-000000000000')
