//go:build race

package testservers_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

func TestRaceFlags(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)\$\(foreach package,(.*?),-gcflags=\$\(package\)=-race=false\)`).FindSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile lists no packages that the race detector leaves out")
	}
	want := []string{"-race"}
	for _, name := range strings.Fields(strings.ReplaceAll(string(list[1]), `\`, "")) {
		want = append(want, "-gcflags="+name+"=-race=false")
	}
	if !slices.Equal(testservers.RaceFlags, want) {
		t.Errorf("programs are built with %v, and make test uses %v", testservers.RaceFlags, want)
	}
}
