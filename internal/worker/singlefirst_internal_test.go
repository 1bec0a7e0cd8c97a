package worker

import (
	"testing"
	"time"
)

func TestCourtesy(t *testing.T) {
	began := func(c *singleFirst) <-chan func() {
		second := make(chan func(), 1)
		go func() { second <- c.acquire() }()
		return second
	}
	t.Run("chunks go side by side while nobody else is there", func(*testing.T) {
		var c singleFirst
		long := time.Now().Add(-2 * quietPeriod)
		for _, last := range []*time.Time{nil, &long} {
			c.last.Store(last)
			end := c.acquire()
			(<-began(&c))()
			end()
		}
	})
	t.Run("while single submissions come, one goes after the other", func(t *testing.T) {
		var c singleFirst
		soon := time.Now().Add(time.Hour) // whatever the test takes
		c.last.Store(&soon)
		end := c.acquire()
		second := began(&c)
		select {
		case <-second:
			t.Fatal("the second did not wait")
		case <-time.After(20 * time.Millisecond):
		}
		end()
		(<-second)()
	})
	t.Run("a task of single submissions is noticed", func(t *testing.T) {
		var c singleFirst
		c.noteSingle()
		if last := c.last.Load(); last == nil || time.Since(*last) > time.Minute {
			t.Errorf("it was here at %v", last)
		}
	})
}
