package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRetryDelay(t *testing.T) {
	var delays []time.Duration
	for n := range 7 {
		delays = append(delays, retryDelay(n, nil, nil))
	}
	const s = time.Second
	want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}
	if diff := cmp.Diff(want, delays); diff != "" {
		t.Error(diff)
	}
	if got := retryDelay(1000, nil, nil); got != 30*time.Second {
		t.Errorf("after 1000 retries: %s", got)
	}
}
