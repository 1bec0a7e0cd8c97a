package submission

import (
	"testing"
	"time"

	"rescind/internal/revocation"
)

func TestService_gather(t *testing.T) {
	refs := func(n int) task { return task{refs: make([]revocation.Ref, n)} }
	s := &Service{tasks: make(chan task, 8)}
	t.Run("without a pause it adds the tasks that wait", func(t *testing.T) {
		s.tasks <- refs(2)
		s.tasks <- refs(3)
		b := refs(1)
		if s.gather(&b, 0); len(b.refs) != 6 {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("within the pause it waits for tasks, until it is full", func(t *testing.T) {
		go func() {
			s.tasks <- refs(2)
			s.tasks <- refs(maxFlush)
		}()
		b := refs(1)
		if s.gather(&b, time.Hour); len(b.refs) != 3+maxFlush {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("after the pause it returns", func(t *testing.T) {
		b := refs(1)
		if s.gather(&b, time.Millisecond); len(b.refs) != 1 {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("with a closed channel it does not wait", func(t *testing.T) {
		close(s.tasks)
		b := refs(1)
		if s.gather(&b, time.Hour); len(b.refs) != 1 {
			t.Errorf("%d", len(b.refs))
		}
	})
}
