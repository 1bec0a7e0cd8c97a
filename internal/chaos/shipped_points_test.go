package chaos_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rescind/internal/failpoint"
)

// TestShipped checks that only programs built with the tag failpoint have the points.
func TestShipped(t *testing.T) {
	dir := t.TempDir()
	for tags, want := range map[string]bool{"": false, "failpoint": true} {
		program := filepath.Join(dir, "worker"+tags)
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags="+tags, "-o", program, "rescind/cmd/worker").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		text, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(text, []byte(failpoint.Setting)); got != want {
			t.Errorf("built with the tags %q, the program connects at its points: %v", tags, got)
		}
	}
}
