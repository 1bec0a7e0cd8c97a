INSERT INTO revocations (account_id, id, report_id, notify, requested_by)
SELECT $1, id, report_id, notify, '00000000-0000-0000-0000-000000000000'
FROM unnest($2::uuid[], $3::bigint[], $4::boolean[]) AS r (id, report_id, notify)
