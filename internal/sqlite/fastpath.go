package sqlite

import (
	"context"

	"rescind/internal/revocation"
)

// RevokeFast implements revocation.ExecutionStore. It is CarryOut with the rule, because SQLite runs in this process: there are
// no round trips to save.
func (s *Store) RevokeFast(ctx context.Context, refs []revocation.Ref) (revocation.BatchResult, error) {
	return s.CarryOut(ctx, refs, revocation.Decide)
}
