//go:build race

package chaos_test

// What SQLite does within a call is not watched: it is many times slower then, and not used here.
var raceFlags = []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"}
