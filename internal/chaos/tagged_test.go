//go:build chaos

package chaos_test

// buildTags enables the points in the programs.
const buildTags = "failpoint"
