package deploy_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// program is one of the programs, as its --help describes it.
type program struct {
	path string
	// commands are listed by --help, such as "account set".
	commands []string
	flags    map[string][]string // of each command that was asked for
}

// programs builds the programs and reads their lists of commands.
func programs(t *testing.T) map[string]*program {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the programs, which takes half a minute")
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := make(map[string]*program)
	for _, name := range []string{"api", "worker", "rescind"} {
		p := &program{path: filepath.Join(dir, name), flags: make(map[string][]string)}
		_, list, _ := strings.Cut(p.help(t), "\nCommands:\n")
		for _, line := range regexp.MustCompile(`(?m)^  ([a-z][a-z ]*[a-z])(?: [-<\[].*)?$`).FindAllStringSubmatch(list, -1) {
			p.commands = append(p.commands, line[1])
		}
		all[name] = p
	}
	return all
}

func (p *program) help(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), p.path, append(command, "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v --help: %v\n%s", p.path, command, err, out)
	}
	return string(out)
}

// check describes a command or flag that --help does not list. words are those after the program's name. It returns an
// empty string if --help lists all of them.
func (p *program) check(t *testing.T, words []string) string {
	t.Helper()
	if len(words) == 0 {
		return ""
	}
	command := ""
	for n := range words {
		if joined := strings.Join(words[:n+1], " "); slices.Contains(p.commands, joined) {
			command = joined
		}
	}
	if command == "" {
		return "there is no command " + words[0]
	}
	if p.flags[command] == nil {
		help := p.help(t, strings.Fields(command)...)
		for _, flag := range regexp.MustCompile(`(?m)^ +(?:-h, )?(--[a-z-]+)`).FindAllStringSubmatch(help, -1) {
			p.flags[command] = append(p.flags[command], flag[1])
		}
	}
	for _, word := range words {
		if flag, _, _ := strings.Cut(word, "="); strings.HasPrefix(flag, "--") && !slices.Contains(p.flags[command], flag) {
			return command + " has no flag " + flag
		}
	}
	return ""
}

var (
	// run is a program as the documents start it: by Go, in a container, or by its own name alone in a code span. What
	// ends a command in a shell, or begins a comment, is not part of it.
	run  = regexp.MustCompile(`(?m)(?:go run \./cmd/(\w+)|docker compose run (?:-\S+ )*(api)|exec [^\n]*?(?:-- |worker )(api|worker)|^(api|worker|rescind))((?: [^\n|<>&;#)]*)?)`)
	part = regexp.MustCompile(`^(?:account|key|invites) `)
)

// The programs know every command and flag that a document names.
func TestDocuments_Commands(t *testing.T) {
	known := programs(t)
	checked := make(map[string]int)
	for _, d := range documents(t) {
		for _, code := range d.code {
			code = strings.ReplaceAll(code, "\\\n", " ")
			if part.MatchString(code) { // a command of api, in a sentence
				code = "api " + code
			}
			for _, line := range run.FindAllStringSubmatch(code, -1) {
				name := line[1] + line[2] + line[3] + line[4]
				p, ok := known[name]
				if !ok {
					t.Errorf("%s: there is no program %s", d.path, name)
					continue
				}
				checked[name]++
				if fault := p.check(t, strings.Fields(line[5])); fault != "" {
					t.Errorf("%s: %q: %s", d.path, strings.TrimSpace(line[0]), fault)
				}
			}
		}
	}
	if checked["api"] < 20 || checked["worker"] < 2 || checked["rescind"] < 8 {
		t.Errorf("too few commands were found: %v", checked)
	}
}
