package deploy_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestThreats checks that the tests that the page names exist, and that it covers the ten risks.
func TestThreats(t *testing.T) {
	var tests []string
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, found := range declared.FindAllStringSubmatch(read(t, path), -1) {
			tests = append(tests, found[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, "THREATS.md")
	for _, name := range regexp.MustCompile(`\bTest\w+`).FindAllString(page, -1) {
		if !slices.Contains(tests, name) {
			t.Errorf("there is no %s", name)
		}
	}
	for risk := 1; risk <= 10; risk++ {
		begin := "\n| API" + strconv.Itoa(risk) + " "
		_, row, _ := strings.Cut(page, begin)
		row, _, _ = strings.Cut(row, "\n")
		if cells := strings.Split(row, " | "); len(cells) != 4 || !strings.Contains(cells[2], "Test") {
			t.Errorf("API%d has no row that names a test: %q", risk, row)
		}
	}
}
