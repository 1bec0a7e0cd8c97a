package mail

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// templateDir creates a directory. files are names and contents, alternately.
func templateDir(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTemplates_Replace(t *testing.T) {
	standard := parse(t, compose(t, newMessages(t, ""), testEmail(1)).data)

	t.Run("one file, and the others stay", func(t *testing.T) {
		dir := templateDir(t, "subject.txt", "{{.Company}}: bye {{.Name}}\n")
		p := parse(t, compose(t, newMessages(t, dir), testEmail(1)).data)
		if got := p.subject(t); got != "Acme & Sons: bye Ada Lovelace" {
			t.Errorf("subject %q", got)
		}
		if p.text != standard.text || p.html != standard.html {
			t.Error("another text changed")
		}
	})
	t.Run("all files", func(t *testing.T) {
		dir := templateDir(t,
			"subject.txt", "line\nbreak", "revoked.txt", "{{.Assessment}} & {{.Contact}}", "revoked.html", "<p>{{.Company}}</p>")
		p := parse(t, compose(t, newMessages(t, dir), testEmail(1)).data)
		if p.subject(t) != "line break" || p.text != "Analytical Engines & people@acme.example" || p.html != "<p>Acme &amp; Sons</p>" {
			t.Errorf("%q, %q, %q", p.subject(t), p.text, p.html)
		}
	})
}

func TestTemplates_Broken(t *testing.T) {
	for name, tt := range map[string]struct{ file, source, want string }{
		"syntax":          {"revoked.txt", "{{.Name", "revoked.txt"},
		"unknown field":   {"revoked.html", "<p>{{.Salary}}</p>", "revoked.html"},
		"unsafe place":    {"revoked.html", "<a href={{.Name}}", "revoked.html"},
		"only when empty": {"subject.txt", "{{if not .Company}}{{index .Name 9}}{{end}}x", "subject.txt"},
		"empty":           {"subject.txt", "{{with .Company}}{{.}}{{end}}\n", "subject.txt"},
		"misspelt name":   {"subject.text", "x", "subject.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewMessages(testSender, "", templateDir(t, tt.file, tt.source))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that names %s", err, tt.want)
			}
		})
	}
	t.Run("for one email only, which is retried", func(t *testing.T) {
		messages := newMessages(t, templateDir(t, "revoked.txt", `Hello{{if eq .Name "Ada Lovelace"}}{{index .Name 99}}{{end}}`))
		_, err := messages.compose(testEmail(1))
		wantFailure(t, err, deferred, 0, "template")
	})
	t.Run("no such directory", func(t *testing.T) {
		if _, err := NewMessages(testSender, "", filepath.Join(t.TempDir(), "none")); err == nil {
			t.Error("it was accepted")
		}
	})
	t.Run("all faults at once", func(t *testing.T) {
		_, err := Open(Options{URL: "smtp://", From: "nobody", Templates: templateDir(t, "subject.txt", "{{", "revoked.txt", "{{")})
		for _, fault := range []string{"host", "sender", "subject.txt", "revoked.txt"} {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("error %v does not name the %s", err, fault)
			}
		}
	})
}
