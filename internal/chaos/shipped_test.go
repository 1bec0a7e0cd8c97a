//go:build !chaos

package chaos_test

// buildTags is empty: the programs are built as they are shipped.
const buildTags = ""
