package storetest

import (
	"testing"
	"time"
)

// Tables is direct access to what a store keeps, for what its methods do not show or do.
type Tables interface {
	// Holding returns where the store keeps one of the texts, in whatever case: the names of columns as "table.column", and
	// of files. It asks every column of every table.
	Holding(t testing.TB, texts ...string) []string
	// Pass makes the times of all jobs that decide what happens to them earlier by d: when they are due, when they were
	// counted for a limit, and when they expire.
	Pass(t testing.TB, d time.Duration)
	// Unfold makes all invites of an account as a version without search stored them.
	Unfold(t testing.TB, account string)
}
