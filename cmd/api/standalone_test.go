package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

// embedded is a standalone process and a client of its demo account.
type embedded struct {
	client
	*running
	dir string
	env []string
}

func startEmbedded(t *testing.T, dir string) embedded {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t))
	env := []string{fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", testservers.FreePort(t)), "RATE_LIMIT=100000"}
	r := start(t, env, programs.api, "standalone", "--demo", "--addr", addr, "--data", dir)
	until(t, "standalone is ready", func() bool { return strings.Contains(r.stdout(), "ready at http://"+addr) })
	return embedded{client{t, "http://" + addr, "demo"}, r, dir, env}
}

func (e embedded) emails() []string {
	e.client.t.Helper()
	files, err := filepath.Glob(filepath.Join(e.dir, "mail", "*"))
	if err != nil {
		e.client.t.Fatal(err)
	}
	return files
}

func TestStandalone(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("the documented outcomes, and one email", func(t *testing.T) {
		e := startEmbedded(t, t.TempDir())
		first := e.revoke(318, true, "")
		if first.code != 200 || first.str("status") != "REVOKED" {
			t.Fatalf("%d %v", first.code, first.body)
		}
		if a := e.revoke(318, true, ""); a.code != 200 || a.str("status") != "ALREADY_REVOKED" || a.notification() != "SKIPPED" {
			t.Errorf("again: %d %v", a.code, a.body)
		}
		if a := e.revoke(317, false, ""); a.code != 200 || a.str("status") != "NOT_ALLOWED" || a.str("timestamp") != "2025-01-15 10:32:45" {
			t.Errorf("before the plan change: %d %v", a.code, a.body)
		}
		if a := e.revoke(1, false, ""); a.code != 404 || a.str("code") != "not_found" {
			t.Errorf("unknown: %d %v", a.code, a.body)
		}
		if a := e.settled(first.str("id")); a.notification() != "SENT" {
			t.Errorf("email: %v", a.body)
		}
		if files := e.emails(); len(files) != 1 {
			t.Errorf("emails: %v", files)
		}
	})
	t.Run("killed right after an answer, it continues after a restart", func(t *testing.T) {
		dir := t.TempDir()
		ids := make([]string, 5)
		for i := range ids {
			e := startEmbedded(t, dir)
			a := e.revoke(318+i, true, "respond-async")
			e.kill()
			if a.code != 202 {
				t.Fatalf("%d %v", a.code, a.body)
			}
			ids[i] = a.str("id")
		}
		e := startEmbedded(t, dir)
		for _, id := range ids {
			if a := e.final(id); a.str("status") != "REVOKED" {
				t.Errorf("%v", a.body)
			}
			if a := e.settled(id); a.notification() != "SENT" {
				t.Errorf("%v", a.body)
			}
		}
		if files := e.emails(); len(files) != len(ids) {
			t.Errorf("%d revocations sent %v", len(ids), files)
		}
	})
	t.Run("a second process on the same directory is refused", func(t *testing.T) {
		e := startEmbedded(t, t.TempDir())
		_, stderr, exit := command(t, nil, "", "standalone", "--data", e.dir, "--addr", fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t)))
		if exit != 1 || !strings.Contains(stderr, "another standalone process uses "+e.dir) {
			t.Errorf("exit %d: %s", exit, stderr)
		}
		if a := e.revoke(318, false, ""); a.str("status") != "REVOKED" {
			t.Errorf("the first: %v", a.body)
		}
	})
	t.Run("the commands work beside it", func(t *testing.T) {
		e := startEmbedded(t, t.TempDir())
		data := "--data=" + e.dir
		mustCommand(t, nil, "", "account", "set", "acme", "--name", "Acme", data)
		mustCommand(t, nil, invitesCSV(2000), "invites", "import", "--account", "acme", "-", data)
		acme := client{t, e.url, strings.TrimSpace(mustCommand(t, nil, "", "key", "create", "--account", "acme", data))}
		if a := acme.revoke(2000, false, ""); a.str("status") != "REVOKED" {
			t.Errorf("imported: %v", a.body)
		}
		list := mustCommand(t, nil, "", "key", "list", "--account", "acme", data)
		id := strings.Fields(strings.Split(list, "\n")[1])[0]
		mustCommand(t, nil, "", "key", "revoke", id, data)
		until(t, "the revoked key opens nothing", func() bool {
			a := acme.must(http.MethodGet, "/revocations", "", "")
			return a.code == 401 && a.str("code") == "unauthorized"
		})
	})
	t.Run("on SIGTERM it answers waiting callers and exits with 0", func(t *testing.T) {
		e := startEmbedded(t, t.TempDir())
		sent := e.revoke(318, false, "")
		if exit := e.terminate(); exit != 0 {
			t.Errorf("exit %d", exit)
		}
		e = startEmbedded(t, e.dir)
		if a := e.final(sent.str("id")); a.str("status") != "REVOKED" {
			t.Errorf("after a restart: %v", a.body)
		}
	})
	t.Run("the commands that it prints work unchanged", func(t *testing.T) {
		e := startEmbedded(t, t.TempDir())
		until(t, "it has greeted", func() bool { return strings.Contains(e.stdout(), "/docs") })
		script := filepath.Join(t.TempDir(), "try.sh")
		var lines []string
		for line := range strings.SplitSeq(e.stdout(), "\n") {
			if strings.HasPrefix(line, "  ") {
				lines = append(lines, strings.Replace(line, "curl -sS", "curl -sSf", 1))
			}
		}
		if err := os.WriteFile(script, []byte("set -e\n"+strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		out := shell(t, script)
		for _, want := range []string{`"status":"REVOKED"`, `"status":"NOT_ALLOWED"`, `"next_cursor":null`} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in the output of\n%s\n%s", want, strings.Join(lines, "\n"), out)
			}
		}
	})
}
