package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedExamples runs what a section of the API's page shows, one command after the other, against a service with
// --demo. The address is the only change. Each section has a service of its own.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	for section, want := range map[string][]string{
		"Delay and cancel":        {`"status":"CANCELLED"`},
		"Jobs":                    {`"label":"list of May"`, `"file":{"format":"csv"`},
		"Previews":                {`"REVOKED":2`, `"predicted":"NOT_ALLOWED"`, `"confirmed_by":"`},
		"Schedules":               {`"state":"SCHEDULED"`, `"state":"QUEUED"`},
		"Find and import invites": {`"candidate_email":"grace@example.com"`, `"predicted":"REVOKED"`, `"written":1`},
		"Revoke a selection":      {`"total":5`, `"state":"PREVIEWED"`},
	} {
		t.Run(section, func(t *testing.T) {
			e := startEmbedded(t, t.TempDir())
			commands := strings.NewReplacer("http://127.0.0.1:8080", e.url, "curl -sS", "curl -sSf").Replace(consoleOf(t, "api.md", section))
			script := filepath.Join(t.TempDir(), "try.sh")
			if err := os.WriteFile(script, []byte("set -e\n"+commands), 0o600); err != nil {
				t.Fatal(err)
			}
			out := shell(t, script)
			for _, text := range want {
				if !strings.Contains(out, text) {
					t.Errorf("%s is not in the output of\n%s\n%s", text, commands, out)
				}
			}
		})
	}
}

// consoleOf returns the commands of the console blocks in a section of a document.
func consoleOf(t *testing.T, document, section string) string {
	t.Helper()
	_, text, _ := strings.Cut(documented(t, document), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var commands strings.Builder
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		commands.WriteString(regexp.MustCompile(`(?m)^\$ `).ReplaceAllLiteralString(block[1], ""))
	}
	if commands.Len() == 0 {
		t.Fatalf("%s has no commands in the section %s", document, section)
	}
	return commands.String()
}

// documented returns a document of the operators' guide.
func documented(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
