package sqlite

import (
	"context"
	"time"

	"rescind/internal/revocation"
)

// Revocation implements revocation.ReadStore.
func (s *Store) Revocation(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	found, err := query(ctx, s.readers, scanShown,
		selectShown+` AND r.id = ? AND (r.job_id IS NULL OR `+visibleJob(`?`)+`)`, account, id.String(), micros(time.Now()))
	if err == nil && len(found) == 0 {
		err = notFound("There is no such revocation in this account.")
	}
	if err != nil {
		return revocation.Revocation{}, fault("read revocation", err)
	}
	return found[0], nil
}
