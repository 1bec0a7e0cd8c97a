package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

// selectedBy returns the reports of the job that a document makes.
func (w *world) selectedBy(document string, headers ...string) (reports []int64) {
	w.t.Helper()
	a := w.upload(asJSON, "", document, headers...)
	a.want(w.t, http.StatusAccepted, "")
	if state := a.str(w.t, "state"); state != "PREVIEWING" && state != "PREVIEWED" {
		w.t.Fatalf("a selection is %s", state)
	}
	a = w.call(http.MethodGet, "/jobs/"+a.str(w.t, "id")+"/results", "", headers...)
	var page struct {
		Data []struct {
			ReportID int64 `json:"report_id"`
		}
	}
	a.into(w.t, &page)
	for _, r := range page.Data {
		reports = append(reports, r.ReportID)
	}
	return reports
}

func TestSelection(t *testing.T) {
	w := newWorld(t)
	w.importInvites(t)
	for name, c := range map[string]struct {
		document string
		want     []int64
	}{
		"address":       {`{"select":{"candidate_emails":[" ADA@one.EXAMPLE ","nobody@one.example"]}}`, []int64{5001}},
		"assessment":    {`{"select":{"assessment_name":"BACKEND"},"preview":false,"label":"closed"}`, []int64{5001, 5003}},
		"white space":   {`{"select":{"assessment_name":" Backend ","assessment_id":" be-1"}}`, []int64{5001, 5003}},
		"assessment id": {`{"notify_candidate":true,"select":{"assessment_id":"be-1","state":"PENDING,COMPLETED"}}`, []int64{5003}},
		"time":          {`{"select":{"sent_after":"2026-02-02T10:00:00Z","sent_before":"2026-02-03T10:00:00Z"}}`, []int64{5002}},
		"all members": {
			`{"select":{"candidate_emails":["ada@one.example","adam@three.example"],"assessment_id":"be-1","assessment_name":"backend","sent_after":"2026-02-01T10:00:00Z","sent_before":"2026-02-02T00:00:00Z","state":"STARTED"}}`,
			[]int64{5001},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, w.selectedBy(c.document)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("as many addresses as may be", func(t *testing.T) {
		all := make([]string, revocation.MaxSelectionEmails)
		for i := range all {
			all[i] = fmt.Sprintf(`"%s-%d@one.example"`, strings.Repeat("n", 200), i)
		}
		all[len(all)-1] = `"ada@one.example"`
		if diff := cmp.Diff([]int64{5001}, w.selectedBy(`{"select":{"candidate_emails":[`+strings.Join(all, ",")+`]}}`)); diff != "" {
			t.Error(diff)
		}
		a := w.upload(asJSON, "", `{"select":{"candidate_emails":[`+strings.Join(slices.Repeat(all, 2), ",")+`]}}`)
		a.want(t, http.StatusUnprocessableEntity, "invalid")
		if diff := cmp.Diff([]string{"select.candidate_emails too_long"}, faultsOf(t, a)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("more invites than a job may have", func(t *testing.T) {
		w.upload(asJSON, "", `{"select":{"sent_after":"2026-02-01T00:00:00Z"}}`).want(t, http.StatusAccepted, "")
		small := newWorld(t, jobMaxItems(2))
		small.importInvites(t)
		small.upload(asJSON, "", `{"select":{"sent_after":"2026-02-01T00:00:00Z"}}`).want(t, http.StatusRequestEntityTooLarge, "too_large")
		small.upload(asJSON, "", `{"select":{"assessment_id":"be-1"}}`).want(t, http.StatusAccepted, "")
	})
	t.Run("the same key and content return the same job", func(t *testing.T) {
		document := `{"select":{"assessment_id":"be-1"}}`
		first := w.upload(asJSON, "", document, "Idempotency-Key", "closing")
		second := w.upload(asJSON, "", document, "Idempotency-Key", "closing")
		if first.str(t, "id") != second.str(t, "id") {
			t.Error(second.body)
		}
	})
}

func TestSelection_faults(t *testing.T) {
	w := newWorld(t)
	w.importInvites(t)
	for name, c := range map[string]struct {
		document string
		want     []string
	}{
		"empty":               {`{"select":{}}`, []string{"select required"}},
		"no object":           {`{"select":[]}`, []string{"select wrong_type"}},
		"null":                {`{"select":null}`, []string{"select wrong_type"}},
		"members of null":     {`{"select":{"assessment_id":null,"candidate_emails":null}}`, []string{"select.assessment_id wrong_type", "select.candidate_emails wrong_type"}},
		"empty members":       {`{"select":{"assessment_name":"","candidate_emails":[]}}`, []string{"select.candidate_emails required", "select.assessment_name out_of_range"}},
		"white space":         {`{"select":{"assessment_name":" ","assessment_id":"\u00a0"}}`, []string{"select.assessment_id out_of_range", "select.assessment_name out_of_range"}},
		"unknown":             {`{"select":{"q":"ada","assessment_id":"be-1"}}`, []string{"select.q unknown_field"}},
		"twice":               {`{"select":{"state":"PENDING","state":"PENDING","candidate_emails":["a@b"],"candidate_emails":["a@b"]}}`, []string{"select.candidate_emails duplicate_field", "select.state duplicate_field"}},
		"addresses":           {`{"select":{"candidate_emails":[1,"","ada","a@\u0000","a@\ud800","@` + strings.Repeat("a", 254) + `"]}}`, []string{"select.candidate_emails wrong_type", "select.candidate_emails invalid_format", "select.candidate_emails invalid_format", "select.candidate_emails invalid_characters", "select.candidate_emails invalid_characters", "select.candidate_emails too_long"}},
		"values":              {`{"select":{"state":"DONE","sent_after":"yesterday","assessment_id":"a\u0000"}}`, []string{"select.assessment_id invalid_characters", "select.state unknown_value", "select.sent_after invalid_format"}},
		"beside a list":       {`{"report_ids":[318],"select":{"assessment_id":"be-1"}}`, []string{"select duplicate_field"}},
		"before a list":       {`{"select":{"assessment_id":"be-1"},"items":[{"report_id":318}]}`, []string{"items duplicate_field"}},
		"an option, later":    {`{"select":{"assessment_id":"be-1"},"label":1}`, []string{"label wrong_type"}},
		"nothing found":       {`{"select":{"assessment_id":"BE-1"}}`, []string{"select no_match"}},
		"no list and nothing": {`{"preview":true}`, []string{"report_ids required"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.upload(asJSON, "", c.document)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff(c.want, faultsOf(t, a)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, document := range []string{`{"select":{"candidate_emails":["a@b"`, `{"select":{"assessment_id":"` + "\xff" + `"}}`, `{"select":{"candidate_emails":["` + "\xff" + `@b"]}}`} {
		w.upload(asJSON, "", document).want(t, http.StatusBadRequest, "malformed_json")
	}
	if jobs := w.call(http.MethodGet, "/jobs", ""); jobs.body != `{"data":[],"next_cursor":null}` {
		t.Errorf("a refused selection leaves %s", jobs.body)
	}
}

func TestSelection_notFindable(t *testing.T) {
	w := newWorld(t)
	w.importInvites(t)
	w.faults.selections.Store(revocation.ErrNotFindable)
	a := w.upload(asJSON, "", `{"select":{"assessment_name":"backend"}}`)
	a.want(t, http.StatusServiceUnavailable, "unavailable")
	if !strings.Contains(a.body, "cannot find all invites by address and assessment_name yet. Nothing was accepted.") || a.header.Get("Retry-After") != "10" {
		t.Errorf("%v %s", a.header, a.body)
	}
}

func TestSelection_revokedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.importInvites(t)
	w.submit(`{"report_id":5001}`).want(t, http.StatusOK, "")
	if diff := cmp.Diff([]int64{5003}, w.selectedBy(`{"select":{"assessment_id":"be-1"}}`)); diff != "" {
		t.Error(diff)
	}
}

func TestSelection_scopes(t *testing.T) {
	w := newWorld(t)
	w.importInvites(t)
	document := `{"select":{"candidate_emails":["ada@one.example"]}}`
	as := func(key string) []string { return []string{"apiKey", "", "apiKey", key} }
	w.addKey("acme", "rescind_revokes", time.Time{}, revocation.ScopeRevoke, revocation.ScopeRead)
	w.addKey("acme", "rescind_looks", time.Time{}, revocation.ScopeInvites, revocation.ScopeRead)
	for _, key := range []string{"rescind_revokes", "rescind_looks"} {
		for _, d := range []string{document, `{"select":{}}`, `{"select":{"candidate_emails":["nobody@one.example"]}}`} {
			w.upload(asJSON, "", d, as(key)...).want(t, http.StatusForbidden, "missing_scope")
		}
	}
	t.Run("other accounts", func(t *testing.T) {
		w.upload(asJSON, "", document, as(otherSecret)...).want(t, http.StatusUnprocessableEntity, "invalid")
		if diff := cmp.Diff([]int64{9000}, w.selectedBy(`{"select":{"state":"PENDING"}}`, as(otherSecret)...)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an upstream has no invites here", func(t *testing.T) {
		url := "https://upstream.example"
		w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")}}))
		w.upload(asJSON, "", document).want(t, http.StatusUnprocessableEntity, "not_supported")
	})
}
