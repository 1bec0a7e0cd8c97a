package app

import (
	"os"
	"path/filepath"
	"testing"

	"rescind/internal/api"
	"rescind/internal/mail"
	"rescind/internal/testservers"
)

func TestMailCheck(t *testing.T) {
	open := func(t *testing.T, url string) Mailer {
		t.Helper()
		mailer, err := mail.Open(mail.Options{URL: url, From: "rescind@localhost"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = mailer.Close() })
		return mailer
	}
	want := func(t *testing.T, check api.Check, critical bool, state api.State, reason string) {
		t.Helper()
		gotState, gotReason := check.Run(t.Context())
		if check.Critical != critical || gotState != state || gotReason != reason {
			t.Errorf("critical %t, %s, %q; want %t, %s, %q", check.Critical, gotState, gotReason, critical, state, reason)
		}
	}
	t.Run("a mail server that does not answer only degrades a worker", func(t *testing.T) {
		srv := testservers.SMTP(t)
		want(t, mailCheck(open(t, srv.URL())), false, api.StateOK, "")
		srv.Close()
		want(t, mailCheck(open(t, srv.URL())), false, api.StateUnavailable, "The mail server takes no message: connection_refused.")
	})
	t.Run("a directory that cannot be written to makes it unready", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "mail")
		check := mailCheck(open(t, "file:"+dir))
		want(t, check, true, api.StateOK, "")
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		want(t, check, true, api.StateUnavailable, "Emails cannot be written to their directory: file_missing.")
	})
}
