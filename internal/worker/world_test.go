package worker_test

import (
	"testing"

	"rescind/internal/worktest"
)

// world adds what only the tests of workers need.
type world struct{ *worktest.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{worktest.New(t)}
}
