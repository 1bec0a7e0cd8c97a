package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// document is a Markdown file.
type document struct {
	path string // from root
	// text is the file without its fenced blocks; code is those blocks and the code spans of the text.
	text string
	code []string
}

var (
	fence    = regexp.MustCompile("(?ms)^[ ]*```[a-z]*\n(.*?)^[ ]*```$")
	codeSpan = regexp.MustCompile("`([^`]+)`")
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// documents returns all Markdown files of the repository.
func documents(t *testing.T) (all []document) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "rescind-data"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, parseDocument(relative, read(t, path)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func parseDocument(path, content string) document {
	d := document{path: path, text: fence.ReplaceAllString(content, "")}
	for _, block := range fence.FindAllStringSubmatch(content, -1) {
		d.code = append(d.code, block[1])
	}
	for _, span := range codeSpan.FindAllStringSubmatch(d.text, -1) {
		d.code = append(d.code, strings.ReplaceAll(span[1], "\n", " "))
	}
	return d
}

// anchors returns the names that GitHub gives to the headings.
func (d *document) anchors() map[string]bool {
	dropped := regexp.MustCompile(`[^\pL\pN _-]`)
	found := make(map[string]bool)
	for _, h := range heading.FindAllStringSubmatch(d.text, -1) {
		slug := strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
		name := slug
		for n := 1; found[name]; n++ {
			name = slug + "-" + strconv.Itoa(n)
		}
		found[name] = true
	}
	return found
}

// links returns the targets of the relative links, as paths from root, with their anchors.
func (d *document) links() (targets [][2]string) {
	for _, l := range link.FindAllStringSubmatch(d.text, -1) {
		if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
			continue
		}
		path, anchor, _ := strings.Cut(l[1], "#")
		if path == "" {
			path = d.path
		} else {
			path = filepath.Join(filepath.Dir(d.path), path)
		}
		targets = append(targets, [2]string{path, anchor})
	}
	return targets
}

func TestDocuments_Links(t *testing.T) {
	anchors := make(map[string]map[string]bool)
	all := documents(t)
	for _, d := range all {
		anchors[d.path] = d.anchors()
	}
	checked := 0
	for _, d := range all {
		for _, target := range d.links() {
			checked++
			if _, err := os.Stat(filepath.Join(root, target[0])); err != nil {
				t.Errorf("%s links to %s: %v", d.path, target[0], err)
			} else if target[1] != "" && !anchors[target[0]][target[1]] {
				t.Errorf("%s links to %s, which has no heading %q", d.path, target[0], target[1])
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d links were found", checked)
	}
}

func TestDocuments_Reachable(t *testing.T) {
	all := make(map[string]document)
	for _, d := range documents(t) {
		all[d.path] = d
	}
	reached := map[string]bool{"README.md": true}
	for next := []string{"README.md"}; len(next) > 0; next = next[1:] {
		d := all[next[0]]
		for _, target := range d.links() {
			if _, ok := all[target[0]]; ok && !reached[target[0]] {
				reached[target[0]] = true
				next = append(next, target[0])
			}
		}
	}
	for path := range all {
		if !reached[path] {
			t.Errorf("no links lead from README.md to %s", path)
		}
	}
}

// Files that are named in code spans exist.
func TestDocuments_Paths(t *testing.T) {
	path := regexp.MustCompile(`^(?:internal|cmd|deploy|\.ci)/[\w./-]*$`)
	for _, d := range documents(t) {
		for _, code := range d.code {
			if !path.MatchString(code) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, code)); err != nil {
				t.Errorf("%s names %s: %v", d.path, code, err)
			}
		}
	}
}

// CONTRIBUTING.md has a row for each package.
func TestDocuments_Packages(t *testing.T) {
	guide := read(t, root, "CONTRIBUTING.md")
	for _, parent := range []string{"cmd", "internal"} {
		folders, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			if name := parent + "/" + folder.Name(); !strings.Contains(guide, "`"+name+"`") {
				t.Errorf("CONTRIBUTING.md has no row with %s", name)
			}
		}
	}
}

func TestDocuments_Make(t *testing.T) {
	var targets []string
	for _, target := range regexp.MustCompile(`(?m)^([a-z]+):`).FindAllStringSubmatch(read(t, root, "Makefile"), -1) {
		targets = append(targets, target[1])
	}
	command := regexp.MustCompile(`(?m)(?:^|[\s;&])make ([a-z]+)`)
	named := make(map[string]bool)
	for _, d := range documents(t) {
		for _, code := range d.code {
			for _, made := range command.FindAllStringSubmatch(code, -1) {
				named[made[1]] = true
				if !slices.Contains(targets, made[1]) {
					t.Errorf("%s: make has no target %s", d.path, made[1])
				}
			}
		}
	}
	for _, target := range targets {
		if target != "deps" && !named[target] {
			t.Errorf("no document names make %s", target)
		}
	}
}
