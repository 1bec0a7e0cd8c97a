//go:build chaos

package chaos_test

// buildTags: the programs ask at their points what becomes of them.
const buildTags = "failpoint"
