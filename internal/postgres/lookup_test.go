package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

func TestStore_Revocation(t *testing.T) {
	t.Run("each concurrent caller gets its own", func(t *testing.T) {
		w := newWorld(t, 40)
		_, err := w.store.CarryOut(t.Context(), w.refs[:20], revocation.Decide)
		w.must(err)
		var all sync.WaitGroup
		for i, ref := range w.refs {
			want := revocation.StatusPending
			if i < 20 {
				want = revocation.StatusRevoked
			}
			for range 5 {
				all.Go(func() {
					if r, err := w.store.Revocation(t.Context(), ref.Account, ref.ID); err != nil ||
						r.ID != ref.ID || r.Account != ref.Account || r.Status != want {
						t.Errorf("%v of %s is %s: %v", r.ID, r.Account, r.Status, err)
					}
				})
				all.Go(func() {
					if _, err := w.store.Revocation(t.Context(), "zenith", ref.ID); revocation.ErrorCode(err) != revocation.CodeNotFound {
						t.Errorf("another account's: %v", err)
					}
				})
				all.Go(func() {
					if _, err := w.store.Revocation(t.Context(), ref.Account, uuidv7.New()); revocation.ErrorCode(err) != revocation.CodeNotFound {
						t.Errorf("an unknown one: %v", err)
					}
				})
			}
		}
		all.Wait()
	})
	t.Run("one that leaves takes nobody with it", func(t *testing.T) {
		w := newWorld(t, 1)
		release := w.hold(`LOCK TABLE revocations IN ACCESS EXCLUSIVE MODE`)
		leaving, leave := context.WithCancel(t.Context())
		left, stayed := make(chan error), make(chan error)
		ask := func(ctx context.Context, end chan<- error) {
			_, err := w.store.Revocation(ctx, w.refs[0].Account, w.refs[0].ID)
			end <- err
		}
		go ask(leaving, left)
		go ask(t.Context(), stayed)
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("left with %v", err)
		}
		release()
		if err := <-stayed; err != nil {
			t.Errorf("the other got %v", err)
		}
	})
}
