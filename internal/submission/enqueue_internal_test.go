package submission

import (
	"testing"
	"time"

	"rescind/internal/revocation"
)

func TestService_gather(t *testing.T) {
	refs := func(n int) task { return task{refs: make([]revocation.Ref, n)} }
	s := &Service{tasks: make(chan task, 8)}
	t.Run("without a pause it takes what is there", func(t *testing.T) {
		s.tasks <- refs(2)
		s.tasks <- refs(3)
		b := refs(1)
		if s.gather(&b, 0); len(b.refs) != 6 {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("in a pause it waits for others, until it is full", func(t *testing.T) {
		go func() {
			s.tasks <- refs(2)
			s.tasks <- refs(maxFlush)
		}()
		b := refs(1)
		if s.gather(&b, time.Hour); len(b.refs) != 3+maxFlush {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("the pause ends", func(t *testing.T) {
		b := refs(1)
		if s.gather(&b, time.Millisecond); len(b.refs) != 1 {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("at the end it does not wait", func(t *testing.T) {
		close(s.tasks)
		b := refs(1)
		if s.gather(&b, time.Hour); len(b.refs) != 1 {
			t.Errorf("%d", len(b.refs))
		}
	})
}
