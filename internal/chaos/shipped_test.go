//go:build !chaos

package chaos_test

// buildTags: the programs are built as they are shipped.
const buildTags = ""
