package invites

import (
	"context"
	"errors"
	"testing"

	"rescind/internal/revocation"
)

// lockedStore fails the first calls, and counts the invites of the others.
type lockedStore struct {
	fails   []revocation.Code
	written int
}

func (s *lockedStore) UpsertInvites(_ context.Context, _ string, invites []revocation.Invite) error {
	if len(s.fails) > 0 {
		code := s.fails[0]
		s.fails = s.fails[1:]
		return &revocation.Error{Code: code}
	}
	s.written += len(invites)
	return nil
}

func (s *lockedStore) FinishImport(ctx context.Context, account string, invites []revocation.Invite, _ revocation.Import) error {
	return s.UpsertInvites(ctx, account, invites)
}

func TestWriter_locked(t *testing.T) {
	const n = batchInvites + 1
	imported := func(s *lockedStore) (int, error) {
		w := NewWriter(s, "acme", revocation.Actor{})
		for i := range n {
			if w.Add(revocation.Invite{ReportID: int64(i + 1)}) {
				if err := w.Flush(t.Context()); err != nil {
					return 0, err
				}
			}
		}
		return w.Close(t.Context(), 0, nil)
	}
	s := &lockedStore{fails: []revocation.Code{revocation.CodeLockTimeout, revocation.CodeDeadlock, revocation.CodeSerialization}}
	if written, err := imported(s); err != nil || written != n || s.written != n {
		t.Errorf("%d and %d are written, %v", written, s.written, err)
	}
	s = &lockedStore{fails: []revocation.Code{revocation.CodeUnavailable}}
	if written, err := imported(s); revocation.ErrorCode(err) != revocation.CodeUnavailable || written != 0 {
		t.Errorf("%d are written, %v", written, err)
	}
}

func TestPatiently_stopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	calls := 0
	locked := &revocation.Error{Code: revocation.CodeLockTimeout}
	err := Patiently(ctx, func() error {
		calls++
		stop()
		return locked
	})
	if calls != 1 || !errors.Is(err, locked) {
		t.Errorf("%d calls, %v", calls, err)
	}
}
