package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

func jobMaxItems(n int) worldOption {
	return func(o *api.Options, _ *httptest.Server) { o.JobMaxItems = n }
}

func TestNewJob(t *testing.T) {
	outcomes := []string{"1 318 REVOKED mail [a]", "2 1 NOT_ALLOWED", "3 777 NOT_FOUND mail", "4 INVALID %sreport_id must be an integer%s [b]", "5 318 ALREADY_REVOKED mail"}
	for name, c := range map[string]struct{ media, query, body, label, place, invalid string }{
		"CSV": {
			asCSV, "?notify_candidate=true&label=closed%20positions",
			"\ufeffname,report_id,client_reference,notify_candidate\r\nx,318,a,\r\n\r\nx,1,,false\r\nx,777,,true\r\nx,?,b,\r\nx,318,,",
			"closed positions", "Line 6: ", ", in digits only.",
		},
		"NDJSON": {
			asNDJSON, "?label=closed+positions&notify_candidate=true",
			`{"report_id":318,"client_reference":"a"}` + "\n\n" + `{"report_id":1,"notify_candidate":false}` + "\r\n" +
				`{"report_id":777,"notify_candidate":true}` + "\n" + `{"report_id":"?","client_reference":"b"}` + "\n" + `{"report_id":318}`,
			"closed positions", "Line 5: ", ".",
		},
		"JSON": {
			asJSON, "",
			`{"items":[{"report_id":318,"client_reference":"a"},{"report_id":1,"notify_candidate":false},{"report_id":777,"notify_candidate":true},` +
				`{"report_id":null,"client_reference":"b"},{"report_id":318}],"notify_candidate":true,"label":"closed positions"}`,
			"closed positions", "", ".",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.queue.hold()
			a := w.upload(c.media, c.query, c.body)
			a.want(t, http.StatusAccepted, "")
			if name == "CSV" {
				goldenJob(t, "job_accepted_csv", a.body)
			} else {
				goldenJob(t, "job_accepted", a.body)
			}
			if got := a.header.Get("Location"); got != "/jobs/"+a.str(t, "id") || a.header.Get("Retry-After") != "1" || a.header.Get("Content-Type") != asJSON {
				t.Errorf("%v", a.header)
			}
			w.queue.release()
			w.call(http.MethodGet, a.header.Get("Location"), "", "Prefer", "wait=30")
			want := append([]string{}, outcomes...)
			want[3] = fmt.Sprintf(want[3], c.place, c.invalid)
			if diff := cmp.Diff(want, w.results(a)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("JSON with a byte order mark", func(t *testing.T) {
		w := newWorld(t)
		a := w.upload(asJSON, "", "\ufeff"+`{"report_ids":[320,321]}`)
		a.want(t, http.StatusAccepted, "")
		if a.json(t)["total"] != 2.0 {
			t.Error(a.body)
		}
	})
	t.Run("ids alone", func(t *testing.T) {
		w := newWorld(t)
		a := w.upload(asJSON, "", `{"report_ids":[318,"319",320]}`)
		a.want(t, http.StatusAccepted, "")
		w.call(http.MethodGet, a.header.Get("Location"), "", "Prefer", "wait=30")
		if diff := cmp.Diff([]string{"1 318 REVOKED", "2 INVALID report_id must be an integer.", "3 320 REVOKED"}, w.results(a)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if a.json(t)["label"] != nil {
			t.Error(a.body)
		}
	})
	t.Run("a job with only INVALID rows ends at once", func(t *testing.T) {
		w := newWorld(t)
		a := w.upload(asNDJSON, "", "x\ny\n")
		a.want(t, http.StatusAccepted, "")
		if a.str(t, "state") != "COMPLETED" || a.json(t)["total"] != 2.0 {
			t.Error(a.body)
		}
	})
	t.Run("more items than are written at once", func(t *testing.T) {
		w := newWorld(t)
		a := w.upload(asCSV, "", manyRows(piece))
		a.want(t, http.StatusAccepted, "")
		if a.json(t)["total"] != float64(piece) {
			t.Error(a.body)
		}
	})
}

func TestNewJob_contentType(t *testing.T) {
	w := newWorld(t, jobMaxItems(100))
	csv := "report_id\n318\n"
	for name, c := range map[string]struct {
		headers []string
		body    string
		status  int
	}{
		"CSV with parameters":       {[]string{"Content-Type", `text/csv; charset=utf-8; header=present`}, csv, 202},
		"CSV in other letters":      {[]string{"Content-Type", `Text/CSV;Charset="UTF-8"`}, csv, 202},
		"NDJSON with a charset":     {[]string{"Content-Type", "application/x-ndjson; charset=UTF-8"}, `{"report_id":318}`, 202},
		"JSON with a charset":       {[]string{"Content-Type", "application/json; charset=utf-8"}, `{"report_ids":[318]}`, 202},
		"identity":                  {[]string{"Content-Type", asCSV, "Content-Encoding", "identity"}, csv, 202},
		"gzip":                      {[]string{"Content-Type", asCSV, "Content-Encoding", "GZIP"}, gzipped(t, csv), 202},
		"gzip and identity":         {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip, identity"}, gzipped(t, csv), 202},
		"gzip of several members":   {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip"}, gzipped(t, "report") + gzipped(t, "") + gzipped(t, "_id\n31") + gzipped(t, "8\n"), 202},
		"gzip of JSON":              {[]string{"Content-Type", asJSON, "Content-Encoding", "gzip"}, gzipped(t, `{"report_ids":[318]}`), 202},
		"none":                      {nil, csv, 415},
		"two":                       {[]string{"Content-Type", asCSV, "Content-Type", asCSV}, csv, 415},
		"another":                   {[]string{"Content-Type", "text/plain"}, csv, 415},
		"nearly":                    {[]string{"Content-Type", "application/ndjson"}, csv, 415},
		"a form without a boundary": {[]string{"Content-Type", "multipart/form-data"}, csv, 415},
		"not a type":                {[]string{"Content-Type", "text/csv; charset"}, csv, 415},
		"another charset":           {[]string{"Content-Type", "text/csv; charset=iso-8859-1"}, csv, 415},
		"JSON in another charset":   {[]string{"Content-Type", "application/json; charset=utf-16"}, csv, 415},
		"deflate":                   {[]string{"Content-Type", asCSV, "Content-Encoding", "deflate"}, csv, 415},
		"gzip twice":                {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip, gzip"}, gzipped(t, gzipped(t, csv)), 415},
		"gzip twice, in two lines":  {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip", "Content-Encoding", "gzip"}, gzipped(t, gzipped(t, csv)), 415},
		"not gzip":                  {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip"}, csv, 400},
		"nothing, as gzip":          {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip"}, "", 400},
		"gzip that breaks off":      {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip"}, gzipped(t, csv)[:30], 400},
		"gzip without its checksum": {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip"}, strings.TrimSuffix(gzipped(t, csv), gzipped(t, csv)[len(gzipped(t, csv))-8:]), 400},
		"gzip of another checksum":  {[]string{"Content-Type", asJSON, "Content-Encoding", "gzip"}, gzipped(t, `{"report_ids":[318]}`)[:36] + "\x00\x00\x00\x00\x00\x00\x00\x00", 400},
		"gzip and more":             {[]string{"Content-Type", asNDJSON, "Content-Encoding", "gzip"}, gzipped(t, `{"report_id":318}`) + "more", 400},
		"a gzip bomb":               {[]string{"Content-Type", asCSV, "Content-Encoding", "gzip"}, gzipped(t, strings.Repeat("\n", 1<<20)), 413},
		"a gzip bomb in a value":    {[]string{"Content-Type", asJSON, "Content-Encoding", "gzip"}, gzipped(t, `{"label":"`+strings.Repeat("x", 1<<20)), 413},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call(http.MethodPost, "/jobs", c.body, append([]string{"Content-Type", ""}, c.headers...)...)
			code := map[int]string{400: "malformed_json", 413: "too_large", 415: "unsupported_media_type"}[c.status]
			a.want(t, c.status, code)
			if c.status == http.StatusAccepted && a.json(t)["total"] != 1.0 {
				t.Error(a.body)
			}
		})
	}
	t.Run("details", func(t *testing.T) {
		a := w.call(http.MethodPost, "/jobs", csv, "Content-Type", "", "Content-Type", "text/plain")
		golden(t, "problem_job_unsupported_media_type", a.body)
		a = w.upload(asCSV, "", csv, "Content-Encoding", "gzip")
		golden(t, "problem_job_gzip", a.body)
	})
}

func TestNewJob_faults(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		media, query, body string
		headers            []string
		want               []string
	}{
		"notify is neither":      {asCSV, "?notify_candidate=1", "report_id\n1\n", nil, []string{"notify_candidate wrong_type"}},
		"notify twice":           {asCSV, "?notify_candidate=true&notify_candidate=true", "report_id\n1\n", nil, []string{"notify_candidate duplicate_field"}},
		"a label too long":       {asNDJSON, "?label=" + strings.Repeat("x", 256), "{}", nil, []string{"label too_long"}},
		"a label with NUL":       {asNDJSON, "?label=%00", "{}", nil, []string{"label invalid_characters"}},
		"a label not in UTF-8":   {asNDJSON, "?label=%ff", "{}", nil, []string{"label invalid_characters"}},
		"an unknown parameter":   {asCSV, "?lable=x", "report_id\n1\n", nil, []string{"lable unknown_field"}},
		"a broken query":         {asCSV, "?label=%zz", "report_id\n1\n", nil, []string{"query invalid_format"}},
		"a query with JSON":      {asJSON, "?notify_candidate=true&label=x", `{"report_ids":[1]}`, nil, []string{"label unknown_field", "notify_candidate unknown_field"}},
		"a bad key":              {asCSV, "?x=1", "report_id\n1\n", []string{"Idempotency-Key", strings.Repeat("x", 256)}, []string{"Idempotency-Key too_long", "x unknown_field"}},
		"CSV without rows":       {asCSV, "", "report_id\n\n", nil, []string{"body required"}},
		"CSV without a header":   {asCSV, "", "1\n2\n", nil, []string{"report_id required"}},
		"CSV without anything":   {asCSV, "", "", nil, []string{"report_id required"}},
		"CSV, a column twice":    {asCSV, "", "report_id,report_id\n1,2\n", nil, []string{"report_id duplicate_field"}},
		"NDJSON without lines":   {asNDJSON, "", "\n \n", nil, []string{"body required"}},
		"NDJSON without a thing": {asNDJSON, "", "", nil, []string{"body required"}},
		"JSON without items":     {asJSON, "", `{"items":[]}`, nil, []string{"items required"}},
		"JSON without a list":    {asJSON, "", `{}`, nil, []string{"report_ids required"}},
		"JSON of two lists":      {asJSON, "", `{"report_ids":[1],"items":[]}`, nil, []string{"items duplicate_field"}},
		"JSON, more members":     {asJSON, "", `{"report_ids":[1],"a b":1,"label":7}`, nil, []string{"(other) unknown_field", "label wrong_type"}},
		"JSON, an array":         {asJSON, "", `[1]`, nil, []string{"body wrong_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.upload(c.media, c.query, c.body, c.headers...)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff(c.want, faultsOf(t, a)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("an empty parameter counts as not given", func(t *testing.T) {
		a := w.upload(asCSV, "?label=&notify_candidate=", "report_id\n777\n")
		a.want(t, http.StatusAccepted, "")
		if a.json(t)["label"] != nil {
			t.Error(a.body)
		}
	})
	for name, body := range map[string]string{
		"nothing": "", "not JSON": "report_id\n1\n", "not closed": `{"report_ids":[1`, "two values": `{"report_ids":[1]}{}`,
		"not UTF-8": "{\"report_ids\":[1],\"label\":\"\xff\"}", "deep": strings.Repeat("[", 60_000),
	} {
		t.Run("JSON that is none: "+name, func(t *testing.T) {
			w.upload(asJSON, "", body).want(t, http.StatusBadRequest, "malformed_json")
		})
	}
}

func TestNewJob_leavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		media, body, encoding string
		status                int
	}{
		"broken JSON":  {asJSON, `{"report_ids":[1,1}`, "", 400},
		"a late fault": {asJSON, `{"report_ids":[1` + strings.Repeat(",1", piece) + `],"x":1}`, "", 422},
		"broken gzip":  {asCSV, gzipped(t, manyRows(3)) + "x", "gzip", 400},
	} {
		t.Run(name, func(t *testing.T) {
			w.upload(c.media, "", c.body, "Content-Encoding", c.encoding, "Idempotency-Key", "k").want(t, c.status, "")
			w.wantNothing(t)
		})
	}
	t.Run("the key is free", func(t *testing.T) {
		w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k").want(t, http.StatusAccepted, "")
	})
}

func TestNewJob_limits(t *testing.T) {
	w := newWorld(t, jobMaxItems(3))
	for media, body := range map[string]func(n int) string{
		asCSV:    func(n int) string { return "report_id\n" + strings.Repeat("x\n", n) },
		asNDJSON: func(n int) string { return strings.Repeat("{}\n", n) },
		asJSON:   func(n int) string { return `{"items":[` + strings.Repeat("1,", n-1) + `1]}` },
	} {
		t.Run(media, func(t *testing.T) {
			a := w.upload(media, "", body(4))
			a.want(t, http.StatusRequestEntityTooLarge, "too_large")
			golden(t, "problem_too_many_items", a.body)
			w.upload(media, "", body(3)).want(t, http.StatusAccepted, "")
		})
	}
	const most = 64<<10 + 3*2<<10
	t.Run("the largest body", func(t *testing.T) {
		w.upload(asCSV, "", "report_id\n777\n"+strings.Repeat("\n", most-14)).want(t, http.StatusAccepted, "")
	})
	t.Run("a byte more", func(t *testing.T) {
		w.upload(asCSV, "", "report_id\n777\n"+strings.Repeat("\n", most-13)).want(t, http.StatusRequestEntityTooLarge, "too_large")
	})
	for name, size := range map[string]int{"a byte more": most + 1, "much more": 10 << 20} {
		t.Run(name+" of unknown length", func(t *testing.T) {
			response, err := w.uploadFrom(t.Context(), asCSV, strings.NewReader("report_id\n777\n"+strings.Repeat("\n", size-14)))
			w.must(err)
			defer response.Body.Close()
			if response.StatusCode != http.StatusRequestEntityTooLarge {
				t.Error(response.Status)
			}
		})
	}
	t.Run("refused before it is sent", func(t *testing.T) {
		status, body := w.raw("POST /jobs HTTP/1.1\r\nHost: x\r\napiKey: " + secret +
			"\r\nContent-Type: text/csv\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n\r\n")
		if status != http.StatusRequestEntityTooLarge || !strings.Contains(body, `"code":"too_large"`) {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("a packed body that is larger than what it holds", func(t *testing.T) {
		response, err := w.uploadFrom(t.Context(), asCSV, strings.NewReader(strings.Repeat(gzipped(t, ""), 10_000)), "Content-Encoding", "gzip")
		w.must(err)
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Error(response.Status)
		}
	})
	t.Run("a whole body leaves the connection open", func(t *testing.T) {
		c := w.dial()
		body := manyRows(10)
		c.write(fmt.Sprintf("POST /jobs HTTP/1.1\r\nHost: x\r\napiKey: %s\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n%s", secret, len(body), body))
		if a := c.answer(); a.status != http.StatusRequestEntityTooLarge || a.header.Get("Connection") != "" {
			t.Errorf("%d %v", a.status, a.header)
		}
	})
}

func TestNewJob_refusesBeforeTheEnd(t *testing.T) {
	w := newWorld(t, jobMaxItems(3), readTimeoutOf(time.Hour))
	for name, c := range map[string]struct {
		media, body string
		status      int
	}{
		"one too many":       {asCSV, manyRows(4), http.StatusRequestEntityTooLarge},
		"no header":          {asCSV, "1\n", http.StatusUnprocessableEntity},
		"no JSON":            {asJSON, `{"report_ids":[x,`, http.StatusBadRequest},
		"a fault, and a lot": {asJSON, `{"x":1,"y":"` + strings.Repeat("y", 66_000), http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			conn := w.dial()
			conn.begin(c.media)
			conn.chunk(c.body)
			a := conn.answer() // the body has not ended
			a.want(t, c.status, "")
			if a.header.Get("Connection") != "close" {
				t.Errorf("%v", a.header)
			}
		})
	}
}

func TestNewJob_scopes(t *testing.T) {
	w := newWorld(t)
	w.upload(asCSV, "", manyRows(1), "apiKey", "", "apiKey", readerSecret).want(t, http.StatusForbidden, "missing_scope")
	w.upload(asCSV, "", manyRows(1), "apiKey", "").want(t, http.StatusUnauthorized, "unauthorized")
	w.upload(asCSV, "", manyRows(1), "apiKey", "", "apiKey", writerSecret).want(t, http.StatusAccepted, "")
}

// TestNewJob_canary sends a word in every part of a job that the response must not repeat.
func TestNewJob_canary(t *testing.T) {
	const canary = "Canary bird!"
	w := newWorld(t)
	for media, body := range map[string]string{
		asCSV:    "report_id,notify_candidate," + canary + "\n" + canary + "," + canary + ",x\n1,\"" + canary + "\n",
		asNDJSON: canary + "\n" + `{"report_id":"` + canary + `","` + canary + `":1,"notify_candidate":"` + canary + `"}`,
		asJSON:   `{"items":["` + canary + `",{"report_id":"` + canary + `","` + canary + `":1,"client_reference":["` + canary + `"]}]}`,
	} {
		a := w.upload(media, "", body)
		a.want(t, http.StatusAccepted, "")
		if got := strings.Join(w.results(a), "\n"); strings.Contains(got, "Canary") || strings.Count(got, "INVALID") != 2 {
			t.Errorf("%s: %s", media, got)
		}
	}
	for _, a := range []answer{
		w.upload(asCSV, "", "name;id\n"+canary+";"+canary+"\n"), // only the names of columns are repeated
		w.upload(asCSV, "?Canary%20bird!=1", manyRows(1)),
		w.upload(asCSV, "?notify_candidate=Canary", manyRows(1)),
		w.upload(asJSON, "", `{"`+canary+`":1,"label":["`+canary+`"],"report_ids":"`+canary+`"}`),
		w.upload(asCSV, "", manyRows(1), "Content-Encoding", canary),
	} {
		if a.status < 400 || strings.Contains(a.body, "Canary") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if strings.Contains(w.log.String(), "Canary") {
		t.Error("it is in the log")
	}
}

func TestNewJob_database(t *testing.T) {
	w := newWorld(t)
	for step, name := range map[uploadStep]string{beforeBegin: "begin", beforeAddItems: "add", beforeFinalize: "finalize"} {
		for code, c := range map[revocation.Code]struct {
			status int
			want   string
		}{
			revocation.CodeUnavailable: {503, "unavailable"}, revocation.CodeLockTimeout: {503, "unavailable"},
			revocation.CodeOutcomeUnknown: {503, "outcome_unknown"}, revocation.CodeInternal: {500, "internal"},
		} {
			t.Run(fmt.Sprintf("%s, %s", name, code), func(t *testing.T) {
				w.onStep(step, func(revocation.NewJob) error { return &revocation.Error{Code: code, Detail: "canary"} })
				a := w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k")
				a.want(t, c.status, c.want)
				if strings.Contains(a.body, "canary") || c.status == 503 && a.header.Get("Retry-After") != "1" {
					t.Errorf("%v %s", a.header, a.body)
				}
				w.wantNothing(t)
			})
		}
	}
	t.Run("afterwards the key is free", func(t *testing.T) {
		w.faults.beforeUploadStep.Store(nil)
		w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k").want(t, http.StatusAccepted, "")
	})
	t.Run("a job whose commit succeeded stays", func(t *testing.T) {
		w := newWorld(t)
		w.queue.hold()
		w.onStep(afterFinalize, func(revocation.NewJob) error { return &revocation.Error{Code: revocation.CodeOutcomeUnknown} })
		w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k").want(t, http.StatusServiceUnavailable, "outcome_unknown")
		a := w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k")
		a.want(t, http.StatusAccepted, "")
		if jobs := w.call(http.MethodGet, "/jobs", "").json(t)["data"].([]any); len(jobs) != 1 {
			t.Errorf("%v", jobs)
		}
	})
	t.Run("a job that was dropped during the upload", func(t *testing.T) {
		w := newWorld(t)
		w.onStep(beforeFinalize, func(job revocation.NewJob) error { return w.store.DropJob(t.Context(), job.Account, job.ID) })
		a := w.upload(asCSV, "", manyRows(1))
		a.want(t, http.StatusRequestTimeout, "request_timeout")
		w.wantNothing(t)
	})
}
