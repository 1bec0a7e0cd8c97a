package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inside runs the program within the test.
func inside(t *testing.T, environ []string, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = run(t.Context(), args, environ, strings.NewReader(""), &out, &errs)
	return exit, out.String(), errs.String()
}

func TestSettings(t *testing.T) {
	const noURL = "rescind: RESCIND_URL is not set: the service's address, like https://rescind.example.com\n"
	const noKey = "rescind: RESCIND_API_KEY is not set: an API key of the service\n"
	const notURL = "rescind: RESCIND_URL must be an address like https://rescind.example.com or http://127.0.0.1:8080\n"
	const more = "rescind: RESCIND_URL must be an address alone, without user, query and fragment: the key goes into RESCIND_API_KEY\n"
	const plain = "rescind: RESCIND_URL must begin with https://, so that nobody in between can read the key; --insecure allows http\n"
	const notKey = "rescind: RESCIND_API_KEY must be a key alone, without spaces, line breaks and letters outside ASCII\n"
	for name, c := range map[string]struct {
		url, key, want string
	}{
		"nothing":         {"", "", noURL + noKey},
		"no scheme":       {"127.0.0.1:8080", "hunter2", notURL},
		"no host":         {"https://", "hunter2", notURL},
		"another scheme":  {"ftp://hunter2", "hunter2", notURL},
		"not an address":  {"http://hunter2\x7f", "hunter2", notURL},
		"with a password": {"http://user:hunter2@host", "hunter2", more},
		"with a query":    {"http://host?key=hunter2", "hunter2", more},
		"a broken key":    {"https://host", "hunter2\nx", notKey},
		"plain http":      {"http://hunter2.example:8080/x", "hunter2", plain},
		"an address":      {"http://192.0.2.1", "hunter2", plain},
		"nearly loopback": {"http://127.0.0.1.example.com", "hunter2", plain},
		"all interfaces":  {"http://0.0.0.0:8080", "hunter2", plain},
		"a key in words":  {"", "my hunter2", noURL + notKey},
	} {
		t.Run(name, func(t *testing.T) {
			exit, stdout, stderr := inside(t, []string{"RESCIND_URL=" + c.url, "RESCIND_API_KEY=" + c.key}, "revoke", "318")
			if diff := cmp.Diff(c.want, stderr); diff != "" || exit != 2 || stdout != "" {
				t.Errorf("exit %d, %q (-want +got):\n%s", exit, stdout, diff)
			}
		})
	}
}

// TestSettings_taken reads valid settings without sending a request.
func TestSettings_taken(t *testing.T) {
	for _, c := range []struct {
		url, key string
		insecure bool
	}{
		{" https://rescind.example.com\n", "\thunter2\r\n", false},
		{"http://127.0.0.1:8080", "hunter2", false},
		{"http://LOCALHOST:8080", "hunter2", false},
		{"http://[::1]:8080/x", "hunter2", false},
		{"http://192.0.2.1", "hunter2", true},
	} {
		s, faults := readSettings([]string{"RESCIND_URL=" + c.url, "RESCIND_API_KEY=" + c.key}, c.insecure)
		if len(faults) > 0 || s.key != "hunter2" || s.url.String() != strings.TrimSpace(c.url) {
			t.Errorf("%q: %v, %+v", c.url, faults, s)
		}
	}
	exit, _, stderr := inside(t, []string{"RESCIND_URL=http://192.0.2.1", "RESCIND_API_KEY="}, "--insecure", "revoke", "318")
	if exit != 2 || strings.Contains(stderr, "RESCIND_URL") {
		t.Errorf("the flag is not taken: exit %d: %s", exit, stderr)
	}
}

// misused runs a command whose usage is wrong, and checks what it says about it.
func misused(t *testing.T, want string, args ...string) {
	t.Helper()
	exit, stdout, stderr := inside(t, nil, args...)
	if exit != 2 || stdout != "" || !strings.HasPrefix(stderr, "rescind: ") || !strings.HasSuffix(stderr, "See: rescind --help\n") {
		t.Errorf("%v: exit %d, %q %q", args, exit, stdout, stderr)
	}
	contains(t, stderr, want)
}

func TestUsage(t *testing.T) {
	for _, args := range []string{
		"", "nonsense", "revoke abc", "revoke 0", "revoke 9223372036854775808", "revoke 1 --wait soon", "revoke 1 --wait=-1s",
		"bulk", "job", "job show", "job results", "job show 1 --nonsense",
		"invites 318", "invites --limit 0", "invites --limit some", "invites --revoked --not-revoked", "invites --sent-after soon",
	} {
		t.Run(args, func(t *testing.T) { misused(t, "", strings.Fields(args)...) })
	}
	t.Run("it says what to do", func(t *testing.T) {
		const both = "REPORT_ID is one invite, and --email selects all of a candidate: use one of them"
		const alone = "--assessment and --yes go with --email: leave them out, or use --email instead of REPORT_ID"
		const neither = "name the invite by its REPORT_ID, or the candidate with --email ADDRESS"
		for args, want := range map[string]string{
			"revoke": neither, "revoke --assessment Backend": neither,
			"revoke 318 --email ada@example.com": both, "revoke 318 --assessment Backend": alone, "revoke 318 --yes": alone,
			"revoke --email=": "--email is empty: give it a value, or leave it out",
			"revoke --email ada@example.com --assessment=":  "--assessment is empty",
			"revoke --email ada@example.com --wait=-1s":     "--wait must be 0s or longer",
			"events --after 1h":                             "--after: not a time like 2026-12-31T18:00:00+01:00\n",
			"invites --sent-after 24h":                      "--sent-after: not a time like",
			"revoke 318 --not-before soon":                  "--not-before: not a time like 2026-12-31T18:00:00+01:00, and not a duration",
			"invites --email= --revoked":                    "--email is empty",
			"invites --email ada@example.com --q= --csv":    "--q is empty",
			"invites --assessment= --assessment-id backend": "--assessment is empty",
			"invites --assessment-id= --state=":             "--assessment-id is empty",
			"invites --state=":                              "--state is empty",
		} {
			misused(t, want, strings.Fields(args)...)
		}
	})
	t.Run("help needs no settings", func(t *testing.T) {
		for _, command := range []string{"", "revoke", "bulk", "invites", "job", "job show", "job results", "job cancel", "job retry"} {
			exit, stdout, _ := inside(t, nil, append(strings.Fields(command), "--help")...)
			if exit != 0 || !strings.Contains(stdout, "Usage: rescind "+command) {
				t.Errorf("%s: exit %d: %s", command, exit, stdout)
			}
		}
		_, stdout, _ := inside(t, nil, "--help")
		contains(t, stdout, "RESCIND_URL", "RESCIND_API_KEY", "Exit status")
	})
}

func TestRefusals(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "req-1")
		w.WriteHeader(http.StatusUnauthorized)
		// Control characters in a message must not reach the terminal.
		_, _ = w.Write([]byte(`{"status":401,"code":"unauthorized","detail":"No\u001b[2J\nkey.","errors":[{"field":"apiKey","code":"bad","detail":"It \u202eis."}]}`))
	}))
	defer s.Close()
	environ := []string{"RESCIND_URL=" + s.URL, "RESCIND_API_KEY=hunter2"}
	const want = "rescind: No [2J key. (unauthorized)\n  apiKey: It  is. (bad)\nThe key is taken from RESCIND_API_KEY.\nRequest id: req-1\n"
	for _, args := range [][]string{
		{"revoke", "318"},
		{"job", "show", "1"},
		{"job", "results", "1"},
		{"job", "cancel", "1"},
		{"job", "retry", "1"},
		{"bulk", file(t, "a.csv", "report_id\n1\n")},
		{"invites", "--email", "ada@example.com"},
		{"revoke", "--email", "ada@example.com"},
	} {
		exit, stdout, stderr := inside(t, environ, args...)
		if diff := cmp.Diff(want, strings.TrimPrefix(stderr, "Uploading: 12 bytes of 12 bytes\n")); diff != "" || exit != 2 || stdout != "" {
			t.Errorf("%v: exit %d, %q (-want +got):\n%s", args, exit, stdout, diff)
		}
		exit, stdout, _ = inside(t, environ, append(args, "--json")...)
		if exit != 2 || !strings.HasPrefix(stdout, `{"status":401,`) {
			t.Errorf("%v --json: exit %d, %q", args, exit, stdout)
		}
	}
	t.Run("a service that does not answer is reported at once", func(t *testing.T) {
		s.Close()
		exit, stdout, stderr := inside(t, environ, "revoke", "318")
		if exit != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "hunter2") {
			t.Errorf("exit %d, %q %q", exit, stdout, stderr)
		}
	})
}
