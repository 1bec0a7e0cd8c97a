package testservers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestAbandoned(t *testing.T) {
	cluster := func(t *testing.T, pid int) string {
		t.Helper()
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if pid != 0 {
			if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(strconv.Itoa(pid)+"\n/elsewhere\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	dead := exec.CommandContext(t.Context(), "true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	old := cluster(t, 0)
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dir  string
		want bool
	}{
		"its server runs":                 {cluster(t, os.Getpid()), false},
		"its server is dead":              {cluster(t, dead.Process.Pid), true},
		"it is being made":                {cluster(t, 0), false},
		"between two steps of initdb":     {cluster(t, -dead.Process.Pid), false},
		"it was never made, or was ended": {old, true},
	} {
		if got := abandoned(test.dir); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
