package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rescind/internal/revocation"
)

func TestAccount(t *testing.T) {
	w := newWorld(t)
	w.addKey("acme", "rescind_mail-only", time.Time{}, revocation.ScopeMail)
	get := func() map[string]any {
		t.Helper()
		a := w.call(http.MethodGet, "/account", "", "apiKey", "", "apiKey", "rescind_mail-only")
		a.want(t, http.StatusOK, "")
		return a.json(t)
	}
	fresh := get()
	key := fresh["key"].(map[string]any)
	if fresh["id"] != "acme" || fresh["name"] != "Acme" || fresh["platform"] != "database" || fresh["plan_changed_at"] == nil ||
		fresh["hold"] != "0s" || fresh["confirm_above"] != nil || fresh["spare"] != "none" || fresh["upstream"] != nil ||
		!strings.HasPrefix(key["id"].(string), key["name"].(string)) || len(key["name"].(string)) != 13 || key["scopes"].([]any)[0] != "mail" {
		t.Errorf("account: %v", fresh)
	}
	url := "https://secret-host.example"
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{
		ID: "acme", Hold: new(90 * time.Minute), ConfirmAbove: new(0), ApproveAbove: new(1000), SpareStarted: new(true),
		MessageLinks: new(true), SingleEvents: new(true), Contact: new("help@acme.example"),
		Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
	up, err := w.store.Upstream(t.Context(), "acme")
	w.must(err)
	changed := get()
	if changed["hold"] != "1h30m" || changed["confirm_above"] != 0.0 || changed["approve_above"] != 1000.0 || changed["spare"] != "started" ||
		changed["message_links"] != true || changed["single_events"] != true || changed["contact"] != "help@acme.example" ||
		changed["platform"] != "upstream" || changed["upstream"].(map[string]any)["state"] != "ok" {
		t.Errorf("account: %v", changed)
	}
	w.must(w.store.HoldUpstream(t.Context(), *up, revocation.HoldUnauthorized, time.Minute))
	state := get()["upstream"].(map[string]any)
	if state["state"] != "paused" || state["reason"] != "upstream_unauthorized" || state["held_until"] == nil || len(state) != 3 {
		t.Errorf("upstream: %v", state)
	}
}
