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

// formWith returns a form with fields, which are pairs of name and value, and a CSV file.
func formWith(file string, fields ...string) (media, body string) {
	const boundary = "a-boundary"
	var b strings.Builder
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", boundary, fields[i], fields[i+1])
	}
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"list.csv\"\r\nContent-Type: text/csv\r\n\r\n%s\r\n--%s--\r\n", boundary, file, boundary)
	return "multipart/form-data; boundary=" + boundary, b.String()
}

// reasons returns the reasons of a job's items.
func (w *world) reasons(id string) (all []any) {
	w.t.Helper()
	for _, one := range w.call(http.MethodGet, "/jobs/"+id+"/results", "").json(w.t)["data"].([]any) {
		all = append(all, one.(map[string]any)["reason"])
	}
	return all
}

func TestNewJob_options(t *testing.T) {
	w := newWorld(t)
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Millisecond)
	at := tomorrow.Format("2006-01-02T15:04:05.000Z")
	form, formBody := formWith("report_id\n300\n", "not_before", at, "reason", "the role is filled", "candidate_message", "Goodbye.\r\nThank you.")
	preview, previewBody := formWith("report_id\n301\n", "preview", "true", "label", "")
	for name, c := range map[string]struct {
		query, media, body string
		reason, message    any
		state              string
	}{
		"JSON": {
			"", "application/json", `{"report_ids":[300],"not_before":"` + at + `","reason":"the role is filled","candidate_message":"Goodbye.\nThank you."}`,
			"the role is filled", "Goodbye.\nThank you.", "SCHEDULED",
		},
		"JSON with null for none":  {"", "application/json", `{"report_ids":[300],"not_before":null,"reason":null,"candidate_message":null,"label":null,"preview":true}`, nil, nil, "PREVIEWING"},
		"a form":                   {"", form, formBody, "the role is filled", "Goodbye.\r\nThank you.", "SCHEDULED"},
		"a form with a preview":    {"", preview, previewBody, nil, nil, "PREVIEWING"},
		"a query":                  {"?not_before=" + at, "text/csv", "report_id\n300\n", nil, nil, "SCHEDULED"},
		"a query with a preview":   {"?preview=true", "application/x-ndjson", `{"report_id":301}`, nil, nil, "PREVIEWING"},
		"a preview and a time":     {"?preview=true&not_before=" + at, "text/csv", "report_id\n300\n", nil, nil, "PREVIEWING"},
		"only rows that are wrong": {"?preview=true&not_before=" + at, "text/csv", "report_id\nx\n", nil, nil, "COMPLETED"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call(http.MethodPost, "/jobs"+c.query, c.body, "Content-Type", "", "Content-Type", c.media)
			a.want(t, http.StatusAccepted, "")
			job := a.json(t)
			if got := job["state"]; got != c.state {
				t.Errorf("state %v, want %s", got, c.state)
			}
			if job["reason"] != c.reason || job["candidate_message"] != c.message {
				t.Errorf("reason %v, message %v", job["reason"], job["candidate_message"])
			}
			if wantsTime := strings.Contains(c.query+c.body, at); wantsTime && job["not_before"] != at || !wantsTime && job["not_before"] != nil {
				t.Errorf("not before %v", job["not_before"])
			}
		})
	}
}

func TestNewJob_wrongOptions(t *testing.T) {
	w := newWorld(t)
	late := time.Now().Add(91 * 24 * time.Hour).UTC().Format(time.RFC3339)
	long := strings.Repeat("é", 1001)
	for name, c := range map[string]struct {
		query  string
		fields map[string]string
		want   string
	}{
		"a reason in a URL":            {query: "?reason=secret", want: "reason unknown_field"},
		"a message in a URL":           {query: "?candidate_message=secret&candidate_message=again", want: "candidate_message unknown_field"},
		"a time too far away":          {query: "?not_before=" + late, want: "not_before out_of_range"},
		"no time":                      {query: "?not_before=tomorrow", want: "not_before invalid_format"},
		"a preview that is no boolean": {query: "?preview=1", want: "preview wrong_type"},
		"long texts":                   {fields: map[string]string{"reason": long[:512], "candidate_message": long}, want: "candidate_message too_long reason too_long"},
		"control characters":           {fields: map[string]string{"candidate_message": "a\x1bb", "reason": "a\x00"}, want: "candidate_message invalid_characters reason invalid_characters"},
		"a web address":                {fields: map[string]string{"candidate_message": "See https://evil.example/x"}, want: "candidate_message web_address"},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(a answer) {
				t.Helper()
				a.want(t, http.StatusUnprocessableEntity, "invalid")
				var faults []string
				for _, one := range a.json(t)["errors"].([]any) {
					f := one.(map[string]any)
					faults = append(faults, fmt.Sprint(f["field"], " ", f["code"]))
				}
				slices.Sort(faults)
				if got := strings.Join(faults, " "); got != c.want || strings.Contains(a.body, "secret") || strings.Contains(a.body, "evil") {
					t.Errorf("got %s, want %s: %s", got, c.want, a.body)
				}
			}
			if c.fields == nil {
				check(w.call(http.MethodPost, "/jobs"+c.query, "report_id\n300\n", "Content-Type", "", "Content-Type", "text/csv"))
				return
			}
			var fields []string
			body := `{"report_ids":[300]`
			for name, value := range c.fields {
				fields = append(fields, name, value)
				body += fmt.Sprintf(`,"%s":"%s"`, name, strings.NewReplacer("\x1b", `\u001b`, "\x00", `\u0000`).Replace(value))
			}
			check(w.call(http.MethodPost, "/jobs", body+"}"))
			media, form := formWith("report_id\n300\n", fields...)
			check(w.call(http.MethodPost, "/jobs", form, "Content-Type", "", "Content-Type", media))
		})
	}
	t.Run("says where a text belongs", func(t *testing.T) {
		for _, media := range []string{"text/csv", "application/json", "multipart/form-data; boundary=x"} {
			a := w.call(http.MethodPost, "/jobs?reason=x", "report_id\n300\n", "Content-Type", "", "Content-Type", media)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if !strings.Contains(a.body, "multipart/form-data") {
				t.Errorf("%s: %s", media, a.body)
			}
		}
	})
	w.wantNothing(t)
}

func TestNewJob_messageOfTheAccount(t *testing.T) {
	w := newWorld(t)
	yes := true
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "linking", MessageLinks: &yes}))
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "upstreamed", Upstream: &revocation.UpstreamChange{
		URL: new("https://upstream.example"), SealedKey: []byte("sealed"),
	}}))
	w.addKey("linking", "rescind_linking", time.Time{}, revocation.Scopes...)
	w.addKey("upstreamed", "rescind_upstreamed", time.Time{}, revocation.Scopes...)
	const message = "See https://acme.example/jobs"
	media, form := formWith("report_id\n300\n", "candidate_message", message)
	for key, want := range map[string]string{"rescind_linking": "", "rescind_upstreamed": "not_supported"} {
		status := map[bool]int{true: http.StatusAccepted, false: http.StatusUnprocessableEntity}[want == ""]
		w.call(http.MethodPost, "/jobs", `{"report_ids":[300],"candidate_message":"`+message+`"}`, "apiKey", "", "apiKey", key).want(t, status, want)
		w.call(http.MethodPost, "/jobs", form, "Content-Type", "", "Content-Type", media, "apiKey", "", "apiKey", key).want(t, status, want)
		w.call(http.MethodPost, "/jobs", `{"report_ids":[300],"reason":"`+message+`"}`, "apiKey", "", "apiKey", key).want(t, http.StatusAccepted, "")
	}
}

func TestNewJob_keyCoversTheOptions(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	at := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	send := func(key, query string, fields ...string) answer {
		media, body := formWith("report_id\n300\n", fields...)
		if fields == nil {
			media, body = "text/csv", "report_id\n300\n"
		}
		return w.call(http.MethodPost, "/jobs"+query, body, "Content-Type", "", "Content-Type", media, "Idempotency-Key", key)
	}
	first := send("csv", "?not_before="+at)
	first.want(t, http.StatusAccepted, "")
	if again := send("csv", "?not_before="+at); again.str(t, "id") != first.str(t, "id") {
		t.Errorf("another job: %s", again.body)
	}
	for _, query := range []string{"", "?preview=true", "?not_before=" + at + "&preview=true", "?not_before=2026-01-01T00:00:00Z"} {
		send("csv", query).want(t, http.StatusUnprocessableEntity, "idempotency_mismatch")
	}
	send("form", "", "reason", "a").want(t, http.StatusAccepted, "")
	for _, fields := range [][]string{{"reason", "b"}, {"candidate_message", "a"}, {"reason", "a", "candidate_message", "a"}, {"label", "a"}} {
		send("form", "", fields...).want(t, http.StatusUnprocessableEntity, "idempotency_mismatch")
	}
}

func TestNewJob_reasonsOfItems(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 256)
	form, formBody := formWith("report_id\n300\n1,\n", "reason", "of the job")
	for name, c := range map[string]struct {
		media, body string
		want        []any
	}{
		"JSON": {
			"application/json", `{"reason":"of the job","items":[{"report_id":300,"reason":"its own"},{"report_id":301},{"report_id":302,"reason":"` + long + `"},` +
				`{"report_id":303,"candidate_message":"x"},{"report_id":304,"not_before":"2026-01-01T00:00:00Z","reason":"kept"}]}`,
			[]any{"its own", "of the job", "of the job", "of the job", "kept"},
		},
		"NDJSON":    {"application/x-ndjson", `{"report_id":300,"reason":"its own"}` + "\n" + `{"report_id":301,"reason":7}` + "\n" + `{"report_id":302}`, []any{"its own", nil, nil}},
		"CSV":       {"text/csv", "report_id;Reason\n300; its own \n301;" + long + "\n302;\n303\n", []any{"its own", nil, nil, nil}},
		"a form":    {form, formBody, []any{"of the job", "of the job"}},
		"no member": {"application/json", `{"report_ids":[300],"reason":"of the job"}`, []any{"of the job"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call(http.MethodPost, "/jobs", c.body, "Content-Type", "", "Content-Type", c.media)
			a.want(t, http.StatusAccepted, "")
			id := a.str(t, "id")
			if diff := cmp.Diff(c.want, w.reasons(id)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			w.wantState(id, "COMPLETED")
			if diff := cmp.Diff(c.want, w.reasons(id)); diff != "" {
				t.Errorf("when it has ended (-want +got):\n%s", diff)
			}
			invalid := w.call(http.MethodGet, "/jobs/"+id+"/results?status=INVALID", "").body
			if strings.Contains(c.body, long) && !strings.Contains(invalid, "reason must have at most 255 characters.") ||
				strings.Contains(c.body, "candidate_message") && !strings.Contains(invalid, "candidate_message: There is no such member.") {
				t.Error(invalid)
			}
		})
	}
	t.Run("a formula in CSV", func(t *testing.T) {
		a := w.call(http.MethodPost, "/jobs", `{"items":[{"report_id":300,"reason":"=1+1"}]}`)
		csv := w.call(http.MethodGet, "/jobs/"+a.str(t, "id")+"/results", "", "Accept", "text/csv").body
		if !strings.Contains(csv, `,"'=1+1",`) {
			t.Error(csv)
		}
	})
	t.Run("a retry keeps them", func(t *testing.T) {
		w.setAttempts(1)
		w.queue.hold()
		w.faults.noChunks.Store(true)
		w.faults.carryOut.Store(&revocation.Error{Code: revocation.CodeLockTimeout})
		a := w.call(http.MethodPost, "/jobs", `{"reason":"of the job","candidate_message":"Goodbye.","items":[{"report_id":310,"reason":"its own"},{"report_id":311}]}`)
		id, _ := revocation.ParseID(a.str(t, "id"))
		w.faults.chunk.Store(&revocation.Chunk{Account: "acme", Job: id, First: 1, Last: 2})
		w.queue.release()
		w.wantState(id.String(), "COMPLETED")
		w.faults.carryOut.Store(nil)
		retry := w.change(id.String(), "retry", "")
		retry.want(t, http.StatusAccepted, "")
		if job := retry.json(t); job["reason"] != "of the job" || job["candidate_message"] != "Goodbye." {
			t.Error(retry.body)
		}
		if diff := cmp.Diff([]any{"its own", "of the job"}, w.reasons(retry.str(t, "id"))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
