package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

// members returns the names in a JSON object, in their order.
func members(t *testing.T, object []byte) (names []string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(object)))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

var resultNames = []string{"row", "id", "report_id", "client_reference", "status", "message", "timestamp", "attempts", "notification", "reason", "predicted"}

func TestJobResults(t *testing.T) {
	w := newWorld(t)
	job := w.job(mixed()...)
	w.ended(job)
	path := "/jobs/" + job.ID.String() + "/results"
	rows := func(t *testing.T, query string) (got []int, next string) {
		t.Helper()
		a := w.call(http.MethodGet, path+"?"+query, "")
		a.want(t, http.StatusOK, "")
		body := a.json(t)
		for _, one := range body["data"].([]any) {
			got = append(got, int(one.(map[string]any)["row"].(float64)))
		}
		next, _ = body["next_cursor"].(string)
		if _, given := body["next_cursor"]; !given || next != url.QueryEscape(next) {
			t.Errorf("%v", body)
		}
		return got, next
	}
	t.Run("golden", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "")
		golden(t, "results", a.body)
		if a.header.Get("Content-Type") != "application/json" || a.header.Get("Vary") != "Accept" || a.header.Get("Content-Disposition") != "" {
			t.Errorf("%v", a.header)
		}
		var page struct{ Data []json.RawMessage }
		w.must(json.Unmarshal([]byte(a.body), &page))
		for _, one := range page.Data {
			if diff := cmp.Diff(resultNames, members(t, one)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
	for name, c := range map[string]struct {
		query string
		want  []int
	}{
		"all":                     {"", []int{1, 2, 3, 4, 5}},
		"empty values":            {"status=&limit=&cursor=", []int{1, 2, 3, 4, 5}},
		"a status":                {"status=NOT_FOUND", []int{3}},
		"invalid rows":            {"status=INVALID", []int{5}},
		"several statuses":        {"status=INVALID,NOT_FOUND,PENDING", []int{3, 5}},
		"a status that none has":  {"status=PENDING", nil},
		"the same report_id once": {"status=REVOKED", []int{1}},
		"the same report_id then": {"status=ALREADY_REVOKED", []int{4}},
	} {
		t.Run(name, func(t *testing.T) {
			got, next := rows(t, c.query)
			if diff := cmp.Diff(c.want, got); diff != "" || next != "" {
				t.Errorf("next %q, rows (-want +got):\n%s", next, diff)
			}
		})
	}
	for limit := 1; limit <= 6; limit++ {
		t.Run(fmt.Sprintf("pages of %d", limit), func(t *testing.T) {
			var all []int
			next := ""
			for more := true; more; more = next != "" {
				var page []int
				page, next = rows(t, fmt.Sprintf("limit=%d&cursor=%s", limit, next))
				if len(page) > limit || len(page) == 0 {
					t.Fatalf("a page of %d", len(page))
				}
				all = append(all, page...)
			}
			if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, all); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a cursor is valid with another filter", func(t *testing.T) {
		_, next := rows(t, "limit=1")
		if got, _ := rows(t, "status=INVALID&cursor="+next); !slices.Equal(got, []int{5}) {
			t.Error(got)
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		for accept, media := range map[string]string{
			"": "application/json", "text/csv": "text/csv; charset=utf-8", "application/x-ndjson": "application/x-ndjson",
		} {
			a := w.call(http.MethodHead, path, "", "Accept", accept)
			if a.status != http.StatusOK || a.body != "" || a.header.Get("Content-Type") != media || a.header.Get("Vary") != "Accept" {
				t.Errorf("%s: %d %q %v", accept, a.status, a.body, a.header)
			}
		}
	})

	other := w.job(items(300, 301)...)
	w.ended(other)
	foreign := w.call(http.MethodGet, "/jobs/"+other.ID.String()+"/results?limit=1", "").str(t, "next_cursor")
	single := w.call(http.MethodGet, "/revocations?limit=1", "").str(t, "next_cursor")
	jobs := w.call(http.MethodGet, "/jobs?limit=1", "").str(t, "next_cursor")
	for name, c := range map[string]struct {
		accept, query string
		want          []string
	}{
		"limit zero":              {"", "limit=0", []string{"limit out_of_range"}},
		"limit large":             {"", "limit=1001", []string{"limit out_of_range"}},
		"status":                  {"", "status=revoked", []string{"status unknown_value"}},
		"cursor text":             {"", "cursor=1", []string{"cursor invalid_format"}},
		"another job's cursor":    {"", "cursor=" + foreign, []string{"cursor invalid_format"}},
		"a list's cursor":         {"", "cursor=" + single, []string{"cursor invalid_format"}},
		"a cursor of jobs":        {"", "cursor=" + jobs, []string{"cursor invalid_format"}},
		"unknown":                 {"", "report_id=1", []string{"report_id unknown_field"}},
		"twice":                   {"", "status=INVALID&status=INVALID", []string{"status duplicate_field"}},
		"limit of a stream":       {"text/csv", "limit=5", []string{"limit unknown_field"}},
		"cursor of a stream":      {"application/x-ndjson", "cursor=", []string{"cursor unknown_field"}},
		"status of a stream":      {"text/csv", "status=x", []string{"status unknown_value"}},
		"a mark that is neither":  {"text/csv", "bom=1", []string{"bom wrong_type"}},
		"a mark before lines":     {"application/x-ndjson", "bom=true", []string{"bom unknown_field"}},
		"a mark before a page":    {"application/json", "bom=true", []string{"bom unknown_field"}},
		"all at once of a stream": {"text/csv", "status=x&limit=1", []string{"status unknown_value", "limit unknown_field"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call(http.MethodGet, path+"?"+c.query, "", "Accept", c.accept)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff(c.want, faultsOf(t, a)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if a.header.Get("Vary") != "Accept" {
				t.Errorf("%v", a.header)
			}
		})
	}
}

func TestJobResults_streams(t *testing.T) {
	w := newWorld(t)
	job := w.job(mixed()...)
	w.ended(job)
	path := "/jobs/" + job.ID.String() + "/results"
	item := func(row int) string { return job.ID.Item(row).String() }

	t.Run("CSV", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "", "Accept", "text/csv")
		a.want(t, http.StatusOK, "")
		if a.header.Get("Content-Type") != "text/csv; charset=utf-8" || a.header.Get("Vary") != "Accept" ||
			a.header.Get("Content-Disposition") != `attachment; filename="job-`+job.ID.String()+`-results.csv"` {
			t.Errorf("%v", a.header)
		}
		got, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		w.must(err)
		want := [][]string{
			resultNames,
			{"1", item(1), "300", `'=ticket, "4711"`, "REVOKED", "Invite Revoked successfully.", "", "1", "PENDING", "", ""},
			{"2", item(2), "1", "", "NOT_ALLOWED", "Invite was sent before the latest plan change", "2025-01-15 10:32:45", "1", "NOT_REQUESTED", "", ""},
			{"3", item(3), "999", "", "NOT_FOUND", "No such invite in this account.", "", "1", "NOT_REQUESTED", "", ""},
			{"4", item(4), "300", "", "ALREADY_REVOKED", "The invite has already been revoked.", "", "1", "NOT_REQUESTED", "", ""},
			{"5", item(5), "", "odd", "INVALID", "report_id must be an integer.", "", "0", "NOT_REQUESTED", "", ""},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := strings.Count(a.body, "\r\n"); n != 6 || strings.Count(a.body, "\n") != 6 {
			t.Errorf("lines do not end by CRLF: %q", a.body)
		}
	})
	t.Run("CSV for Excel begins with a byte order mark", func(t *testing.T) {
		plain := w.call(http.MethodGet, path, "", "Accept", "text/csv").body
		for query, want := range map[string]string{"?bom=true": "\ufeff" + plain, "?bom=false": plain, "?bom=": plain} {
			if a := w.call(http.MethodGet, path+query, "", "Accept", "text/csv"); a.status != http.StatusOK || a.body != want {
				t.Errorf("%s: %d %q", query, a.status, a.body)
			}
		}
	})
	t.Run("NDJSON has the objects of the pages", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "", "Accept", "text/csv;q=0.5, application/x-ndjson")
		if a.header.Get("Content-Type") != "application/x-ndjson" || a.header.Get("Content-Disposition") != "" {
			t.Errorf("%v", a.header)
		}
		page := w.call(http.MethodGet, path, "").body
		want := `{"data":[` + strings.ReplaceAll(strings.TrimSuffix(a.body, "\n"), "\n", ",") + `],"next_cursor":null}`
		if diff := cmp.Diff(page, want); diff != "" {
			t.Errorf("(-page +lines):\n%s", diff)
		}
	})
	t.Run("a status", func(t *testing.T) {
		a := w.call(http.MethodGet, path+"?status=INVALID", "", "Accept", "application/x-ndjson")
		if strings.Count(a.body, "\n") != 1 || !strings.HasPrefix(a.body, `{"row":5,`) {
			t.Error(a.body)
		}
	})
	t.Run("a status that none has", func(t *testing.T) {
		if a := w.call(http.MethodGet, path+"?status=CANCELLED", "", "Accept", "application/x-ndjson"); a.status != http.StatusOK || a.body != "" {
			t.Errorf("%d %q", a.status, a.body)
		}
		if a := w.call(http.MethodGet, path+"?status=CANCELLED", "", "Accept", "text/csv"); a.status != http.StatusOK || a.body != strings.Join(resultNames, ",")+"\r\n" {
			t.Errorf("%d %q", a.status, a.body)
		}
	})
	t.Run("nothing is acceptable", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "", "Accept", "text/html")
		a.want(t, http.StatusOK, "")
		if a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%v", a.header)
		}
	})
}

// TestJobResults_ofARunningJob carries out chunks of a job between the pages that a stream reads.
func TestJobResults_ofARunningJob(t *testing.T) {
	const total = 4 * revocation.ChunkSize
	w := newWorld(t)
	w.queue.hold()
	job := w.job(w.manyItems(total)...)
	for i, accept := range []string{"text/csv", "application/x-ndjson"} {
		t.Run(accept, func(t *testing.T) {
			w.carryOutChunk()
			ended := (2*i + 2) * revocation.ChunkSize // by the end of the stream
			reads := 0
			w.faults.beforeResults.Store(new(func(f revocation.ResultFilter) {
				if reads++; reads == 2 {
					w.carryOutChunk()
				}
				if f.Limit > total/3 {
					t.Errorf("it reads %d at once", f.Limit)
				}
			}))
			a := w.call(http.MethodGet, "/jobs/"+job.ID.String()+"/results", "", "Accept", accept)
			a.want(t, http.StatusOK, "")
			lines := strings.Split(strings.TrimRight(a.body, "\r\n"), "\n")
			if accept == "text/csv" {
				lines = lines[1:]
			}
			if len(lines) != total {
				t.Fatalf("%d items, want %d", len(lines), total)
			}
			counts := map[string]int{}
			for i, line := range lines {
				prefix := fmt.Sprintf("%d,%s,", i+1, job.ID.Item(i+1))
				if accept != "text/csv" {
					prefix = fmt.Sprintf(`{"row":%d,"id":%q,`, i+1, job.ID.Item(i+1))
				}
				if !strings.HasPrefix(line, prefix) {
					t.Fatalf("item %d is %s", i+1, line)
				}
				for _, status := range []string{"REVOKED", "NOT_FOUND", "PENDING"} {
					if strings.Contains(line, status) {
						counts[status]++
					}
				}
				if strings.Contains(line, "REVOKED") && (i+1)%10 != 0 {
					t.Errorf("item %d is %s", i+1, line)
				}
			}
			want := map[string]int{"REVOKED": ended / 10, "NOT_FOUND": ended - ended/10}
			if ended < total {
				want["PENDING"] = total - ended
			}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJobResults_streamBreaks(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(w.manyItems(revocation.ChunkSize)...)
	path := "/jobs/" + job.ID.String() + "/results"
	t.Run("before it began", func(t *testing.T) {
		w.faults.results.Store(&revocation.Error{Code: revocation.CodeUnavailable})
		defer w.faults.results.Store(nil)
		a := w.call(http.MethodGet, path, "", "Accept", "text/csv")
		a.want(t, http.StatusServiceUnavailable, "unavailable")
		if a.header.Get("Content-Disposition") != "" {
			t.Errorf("%v", a.header)
		}
	})
	t.Run("in the middle", func(t *testing.T) {
		w.faults.beforeResults.Store(new(func(f revocation.ResultFilter) {
			if f.After > 0 {
				w.faults.results.Store(&revocation.Error{Code: revocation.CodeConnectionLost})
			}
		}))
		defer w.faults.results.Store(nil)
		opened := w.open(path, "Accept", "application/x-ndjson", "X-Request-Id", "broken")
		decoder, rows := json.NewDecoder(opened.body), 0
		var err error
		for ; err == nil; rows++ {
			var result struct{ Row int }
			if err = decoder.Decode(&result); err == nil && result.Row != rows+1 {
				t.Fatalf("row %d after %d", result.Row, rows)
			}
		}
		if err.Error() != "unexpected EOF" {
			t.Errorf("the stream did not break: %v after %d rows", err, rows)
		}
		if line := w.logLine("broken"); line["error"] != "connection_lost" {
			t.Errorf("%v", line)
		}
	})
	t.Run("the job is dropped meanwhile", func(t *testing.T) {
		w.faults.beforeResults.Store(new(func(revocation.ResultFilter) {
			w.faults.jobs.Store(&revocation.Error{Code: revocation.CodeNotFound})
		}))
		defer w.faults.jobs.Store(nil)
		if _, err := csv.NewReader(w.open(path, "Accept", "text/csv").body).ReadAll(); err == nil {
			t.Error("the stream did not break")
		}
	})
}

// TestJobResults_outlastsTheWriteTimeout makes the database slower than the server's write timeout.
func TestJobResults_outlastsTheWriteTimeout(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	const timeout = 500 * time.Millisecond
	w := newWorld(t, func(_ *api.Options, s *httptest.Server) {
		s.Config.WriteTimeout, s.Config.ReadTimeout = timeout, timeout
	})
	w.queue.hold()
	job := w.job(w.manyItems(revocation.ChunkSize)...)
	w.faults.beforeResults.Store(new(func(revocation.ResultFilter) { <-time.After(2 * timeout) }))
	a := w.call(http.MethodGet, "/jobs/"+job.ID.String()+"/results", "", "Accept", "application/x-ndjson")
	if n := strings.Count(a.body, "\n"); n != revocation.ChunkSize {
		t.Errorf("%d items", n)
	}
}
