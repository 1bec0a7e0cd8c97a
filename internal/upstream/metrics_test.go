package upstream

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// samples returns the values of a registry's metrics, by name and labels.
func samples(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestClient_Metrics(t *testing.T) {
	registry, clock := prometheus.NewRegistry(), newClock()
	p := newTestClient(t, Options{Metrics: registry}, testDialer())
	p.now, p.breakerOpen = clock.Now, time.Hour
	m := newSwitchableServer(t, fine)
	call := func(account, key string, answer fixedAnswer, times int) {
		m.setAnswer(answer)
		to := target(m.url)
		to.Account, to.Key = account, "key"
		if key != "" {
			to.Key = "another"
		}
		for range times {
			p.Revoke(t.Context(), to, 1, false)
		}
	}
	t.Run("calls by outcome", func(t *testing.T) {
		call("good", "", fine, 3)
		call("good", "", fixedAnswer{200, `{"status": "NOT_ALLOWED"}`}, 1)
		call("good", "", fixedAnswer{200, `{"status": "ALREADY_REVOKED"}`}, 1)
		call("good", "", fixedAnswer{200, `{"status": "ERROR_REVOKING"}`}, 2)
		call("good", "", fixedAnswer{404, `{}`}, 1)
		call("good", "", fixedAnswer{404, ``}, 1)
		call("good", "", fixedAnswer{422, ``}, 1)
		call("good", "", fixedAnswer{429, ``}, 1)
		call("down", "", down, breakerConsecutive+5)
		call("refused", "", fixedAnswer{401, ``}, 2)
		call("refused too", "", fixedAnswer{403, ``}, 1)
		if diff := cmp.Diff(map[string]float64{
			"rescind_upstream_calls_total outcome=revoked":         3,
			"rescind_upstream_calls_total outcome=not_allowed":     1,
			"rescind_upstream_calls_total outcome=already_revoked": 1,
			"rescind_upstream_calls_total outcome=not_found":       1,
			"rescind_upstream_calls_total outcome=try_later":       2,
			"rescind_upstream_calls_total outcome=unavailable":     breakerConsecutive,
			"rescind_upstream_calls_total outcome=rate_limited":    1,
			"rescind_upstream_calls_total outcome=invalid_answer":  1,
			"rescind_upstream_calls_total outcome=rejected":        1,
			"rescind_upstream_calls_total outcome=unauthorized":    3,
			"rescind_upstream_call_duration_seconds":               11 + breakerConsecutive + 3,
			"rescind_upstream_breakers_open":                       1,
			"rescind_upstream_paused_accounts":                     2,
		}, samples(t, registry)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	wantPaused := func(want float64) {
		t.Helper()
		if got := samples(t, registry)["rescind_upstream_paused_accounts"]; got != want {
			t.Errorf("%v accounts are paused, want %v", got, want)
		}
	}
	for _, inconclusive := range []fixedAnswer{{404, `page`}, {302, ``}, {429, ``}, down} {
		call("refused", "", inconclusive, 1)
		wantPaused(2)
	}
	for _, good := range []fixedAnswer{
		fine, {401, `{"status": "ALREADY_REVOKED"}`}, {503, `{"status": "ERROR_REVOKING"}`}, {404, `{}`}, {400, ``}, {422, ``},
	} {
		call("refused", "", fixedAnswer{401, ``}, 1)
		wantPaused(2)
		call("refused", "", good, 1)
		wantPaused(1)
	}
	call("refused too", "changed", down, 1)
	wantPaused(0)
	call("refused", "", fixedAnswer{401, ``}, 1)
	clock.advance(refusedFor - time.Second)
	wantPaused(1)
	clock.advance(time.Second)
	wantPaused(0) // another process may have tried the key since
}

func TestClient_IgnoresReplyToOldKey(t *testing.T) {
	registry := prometheus.NewRegistry()
	p := newTestClient(t, Options{Metrics: registry}, testDialer())
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("apiKey") == testKey {
			_, _ = io.Copy(io.Discard, r.Body)
			arrived <- struct{}{}
			<-release
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"status": "REVOKED"}`)
	})
	replies := revokeAll(t.Context(), t, p, target(url), 1)
	await(t, "the call under the old key", arrived)
	changed := target(url)
	changed.Key = "another"
	want(t, p.Revoke(t.Context(), changed, 1, false), revoked)
	close(release)
	if got := await(t, "a reply", replies); !got.Rejected {
		t.Errorf("%+v", got)
	}
	if got := samples(t, registry)["rescind_upstream_paused_accounts"]; got != 0 {
		t.Errorf("%v accounts are paused, want 0", got)
	}
}
