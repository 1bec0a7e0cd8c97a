//go:build !race

package chaos_test

var buildFlags []string
