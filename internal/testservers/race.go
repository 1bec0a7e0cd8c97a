//go:build race

package testservers

// RaceFlags are the flags of go build with which a program has the race detector if, and only if, the tests have it. They are
// those of the Makefile, so that no package is compiled twice.
var RaceFlags = []string{
	"-race",
	"-gcflags=modernc.org/sqlite/lib=-race=false",
	"-gcflags=modernc.org/libc=-race=false",
	"-gcflags=modernc.org/memory=-race=false",
	"-gcflags=github.com/go-json-experiment/json/jsontext=-race=false",
	"-gcflags=compress/flate=-race=false",
}
