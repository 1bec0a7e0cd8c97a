//go:build !race

package testservers

// RaceFlags are the flags of go build with which a program has the race detector if, and only if, the tests have it.
var RaceFlags []string
