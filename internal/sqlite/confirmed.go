package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"rescind/internal/revocation"
)

// readDuplicates sets First of the duplicates in calls.
func readDuplicates(ctx context.Context, tx *sql.Tx, calls []revocation.Call) error {
	var work []revocation.LockedRevocation
	for _, c := range calls {
		if c.Duplicate {
			work = append(work, revocation.LockedRevocation{Ref: c.Ref, Job: c.Job})
		}
	}
	if err := readPredictions(ctx, tx, work); err != nil {
		return err
	}
	for i := range calls {
		if calls[i].Duplicate {
			calls[i].First, work = work[0].First, work[1:]
		}
	}
	return nil
}

// readPredictions sets Predicted of the items in work, and First of the duplicates.
func readPredictions(ctx context.Context, tx *sql.Tx, work []revocation.LockedRevocation) error {
	at := make(map[revocation.ID]int)
	var rows []rowKey
	for i := range work {
		if h := &work[i]; !h.Job.IsZero() {
			at[h.ID] = i
			rows = append(rows, keyOf(h.Account, h.ID))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := query(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var id revocation.ID
		var predicted revocation.Prediction
		var first revocation.ItemOutcome
		var failure revocation.Failure
		if err := rows.Scan(scannedID{&id}, &predicted, &first.Status, &first.Timestamp, &failure.Code, &failure.Detail); err != nil {
			return none, err
		}
		if failure.Code != "" {
			first.Failure = &failure
		}
		h := &work[at[id]]
		h.Predicted = predicted
		if first.Status != "" {
			h.First = &first
		}
		return none, nil
	}, fmt.Sprintf(`
		SELECT r.id, r.predicted, coalesce(f.status, ''), coalesce(f.timestamp, ''), coalesce(f.error_code, ''), coalesce(f.error_detail, '')
		FROM json_each(?1) AS p
		CROSS JOIN revocations AS r ON r.account_id = p.value ->> 'account' AND r.id = p.value ->> 'id' AND r.predicted IS NOT NULL
		LEFT JOIN revocations AS f INDEXED BY revocations_report
		  ON r.predicted = %d AND f.account_id = r.account_id AND f.report_id = r.report_id
		  AND f.id > r.job_id AND f.id < substr(r.job_id, 1, 28) || '80000000' AND f.predicted = %d AND f.completed_at IS NOT NULL`,
		revocation.PredictedDuplicate, revocation.PredictedRevoked), parameter(rows))
	return err
}
