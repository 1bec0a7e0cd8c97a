//go:build race

package chaos_test

// The race detector does not instrument SQLite, which would be many times slower. These tests do not use it.
var raceFlags = []string{
	"-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libc=-race=false", "-gcflags=modernc.org/memory=-race=false",
}
