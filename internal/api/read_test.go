package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPoll(t *testing.T) {
	w := newWorld(t)
	submitted := w.submit(`{"report_id":318}`)
	path := "/revocations/" + submitted.str(t, "id")
	first := w.call(http.MethodGet, path, "")
	first.want(t, http.StatusOK, "")
	tag := first.header.Get("ETag")

	t.Run("returns the same body as the submission", func(t *testing.T) {
		if diff := cmp.Diff(submitted.body, first.body); diff != "" {
			t.Error(diff)
		}
		if first.header.Get("Content-Type") != "application/json" || first.header.Get("Vary") != "Prefer" {
			t.Errorf("%v", first.header)
		}
	})
	t.Run("the tag is strong and stays", func(t *testing.T) {
		if again := w.call(http.MethodGet, path, "").header.Get("ETag"); again != tag || len(tag) < 10 || tag[0] != '"' {
			t.Errorf("%s, then %s", tag, again)
		}
	})
	for name, lines := range map[string][]string{
		"equal": {tag}, "weak": {"W/" + tag}, "any": {"*"}, "in a list": {`"a", ` + tag + `,"b"`}, "in a second line": {`"a"`, tag},
	} {
		t.Run("If-None-Match "+name, func(t *testing.T) {
			var headers []string
			for _, line := range lines {
				headers = append(headers, "If-None-Match", line)
			}
			a := w.call(http.MethodGet, path, "", headers...)
			if a.status != http.StatusNotModified || a.body != "" || a.header.Get("ETag") != tag || a.header.Get("Content-Type") != "" {
				t.Errorf("%d %q %v", a.status, a.body, a.header)
			}
		})
	}
	for _, other := range []string{`"other"`, tag[1 : len(tag)-1], "W/" + `"other"`, ""} {
		t.Run("If-None-Match otherwise "+other, func(t *testing.T) {
			if a := w.call(http.MethodGet, path, "", "If-None-Match", other); a.status != http.StatusOK || a.body != first.body {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	t.Run("upper-case id", func(t *testing.T) {
		upper := "/revocations/" + strings.ToUpper(submitted.str(t, "id"))
		if a := w.call(http.MethodGet, upper, ""); a.body != first.body {
			t.Error(a.body)
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		a := w.call(http.MethodHead, path, "")
		if a.status != http.StatusOK || a.body != "" || a.header.Get("ETag") != tag || a.header.Get("Content-Length") != fmt.Sprint(len(first.body)) {
			t.Errorf("%d %q %v", a.status, a.body, a.header)
		}
	})
	t.Run("ignores respond-async", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "", "Prefer", "respond-async, wait=31")
		if got := a.header.Get("Preference-Applied"); got != "wait=30" {
			t.Errorf("applied %q", got)
		}
	})
}

func TestPoll_waitsUntilFinal(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	submitted := w.submit(`{"report_id":318}`, "Prefer", "respond-async")
	path := submitted.header.Get("Location")
	tag := w.call(http.MethodGet, path, "").header.Get("ETag")
	t.Run("wait=0 does not", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "", "Prefer", "wait=0")
		if a.status != http.StatusOK || a.str(t, "status") != "PENDING" || a.header.Get("Preference-Applied") != "wait=0" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("wait=30 does", func(t *testing.T) {
		done := make(chan answer)
		go func() {
			done <- w.call(http.MethodGet, path, "", "Prefer", "wait=30", "If-None-Match", tag)
		}()
		select {
		case a := <-done:
			t.Fatalf("it did not wait: %s", a.body)
		case <-time.After(100 * time.Millisecond):
		}
		w.queue.release()
		a := <-done
		if a.status != http.StatusOK || a.str(t, "status") != "REVOKED" || a.header.Get("ETag") == tag {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestList(t *testing.T) {
	w := newWorld(t)
	var ids []string // newest first
	for _, reportID := range []int{300, 301, 302, 303, 304, 1} {
		ids = slices.Insert(ids, 0, w.submit(fmt.Sprintf(`{"report_id":%d}`, reportID)).str(t, "id"))
		// The time filters distinguish ids only if these are from different milliseconds.
		made := time.Now().UnixMilli()
		eventually(t, "the next millisecond", func() bool { return time.Now().UnixMilli() > made })
	}
	created := func(i int) string {
		return w.call(http.MethodGet, "/revocations/"+ids[i], "").str(t, "created_at")
	}
	list := func(t *testing.T, query string) (got []string, next string) {
		t.Helper()
		a := w.call(http.MethodGet, "/revocations?"+query, "", "Prefer", "wait=30")
		a.want(t, http.StatusOK, "")
		body := a.json(t)
		for _, one := range body["data"].([]any) {
			got = append(got, one.(map[string]any)["id"].(string))
		}
		next, _ = body["next_cursor"].(string)
		if _, given := body["next_cursor"]; !given || a.header.Get("Preference-Applied") != "" {
			t.Errorf("%v %v", body, a.header)
		}
		return got, next
	}
	for name, c := range map[string]struct {
		query string
		want  []string
	}{
		"all, newest first":       {"", ids},
		"empty values":            {"report_id=&status=&job_id=&created_after=&created_before=&limit=&cursor=", ids},
		"report_id":               {"report_id=300", ids[5:]},
		"status":                  {"status=NOT_ALLOWED", ids[:1]},
		"a status that none has":  {"status=INVALID", nil},
		"several statuses":        {"status=REVOKED,NOT_ALLOWED,PENDING", ids},
		"several, one of them":    {"status=NOT_ALLOWED,NOT_FOUND,NOT_ALLOWED", ids[:1]},
		"a job":                   {"job_id=" + newID().String(), nil},
		"a largest report_id":     {"report_id=9223372036854775807", nil},
		"created since the third": {"created_after=" + created(2), ids[:3]},
		"created before":          {"created_before=" + created(2), ids[3:]},
		"with an offset":          {"created_before=9999-12-31T23:59:59%2B14:00&created_after=0001-01-01T00:00:00.000Z", ids},
		"all together":            {"status=REVOKED&report_id=304&created_after=2000-01-01T00:00:00Z&limit=1000", ids[1:2]},
	} {
		t.Run(name, func(t *testing.T) {
			got, next := list(t, c.query)
			if diff := cmp.Diff(c.want, got); diff != "" || next != "" {
				t.Errorf("next %q, ids (-want +got):\n%s", next, diff)
			}
		})
	}
	t.Run("pages", func(t *testing.T) {
		for limit := 1; limit <= 7; limit++ {
			var all []string
			cursor := ""
			for {
				page, next := list(t, fmt.Sprintf("limit=%d&cursor=%s", limit, cursor))
				all = append(all, page...)
				if len(page) > limit || next != url.QueryEscape(next) {
					t.Fatalf("a page of %d, then %q", len(page), next)
				}
				if next == "" {
					break
				}
				cursor = next
			}
			if diff := cmp.Diff(ids, all); diff != "" {
				t.Errorf("limit %d:\n%s", limit, diff)
			}
		}
	})
	t.Run("golden", func(t *testing.T) {
		a := w.call(http.MethodGet, "/revocations?limit=2&created_before="+created(3), "")
		golden(t, "list", a.body)
	})
}

func TestList_faults(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		query string
		want  []string
	}{
		"report_id text":     {"report_id=abc", []string{"report_id wrong_type"}},
		"report_id fraction": {"report_id=1.0", []string{"report_id wrong_type"}},
		"report_id plus":     {"report_id=%2B1", []string{"report_id wrong_type"}},
		"report_id zero":     {"report_id=0", []string{"report_id out_of_range"}},
		"report_id large":    {"report_id=9223372036854775808", []string{"report_id out_of_range"}},
		"report_id negative": {"report_id=-9223372036854775809", []string{"report_id out_of_range"}},
		"status":             {"status=revoked", []string{"status unknown_value"}},
		"one of statuses":    {"status=REVOKED,x,y", []string{"status unknown_value"}},
		"statuses' comma":    {"status=REVOKED,", []string{"status unknown_value"}},
		"statuses' space":    {"status=REVOKED,%20INVALID", []string{"status unknown_value"}},
		"job_id":             {"job_id=1", []string{"job_id invalid_format"}},
		"times": {
			"created_after=2026-01-01&created_before=2026-01-01T00:00:00+02:00",
			[]string{"created_after invalid_format", "created_before invalid_format"},
		},
		"limit zero":         {"limit=0", []string{"limit out_of_range"}},
		"limit large":        {"limit=1001", []string{"limit out_of_range"}},
		"limit huge":         {"limit=99999999999999999999", []string{"limit out_of_range"}},
		"limit text":         {"limit=ten", []string{"limit wrong_type"}},
		"cursor text":        {"cursor=!", []string{"cursor invalid_format"}},
		"cursor short":       {"cursor=AAAA", []string{"cursor invalid_format"}},
		"cursor of zero":     {"cursor=AAAAAAAAAAAAAAAAAAAAAA", []string{"cursor invalid_format"}},
		"cursor not strict":  {"cursor=AZejwo9OexqcPV5vcIGSA_", []string{"cursor invalid_format"}},
		"cursor new line":    {"cursor=AZejwo9OexqcPV5vcIGSAw%0A", []string{"cursor invalid_format"}},
		"repeated":           {"status=REVOKED&status=", []string{"status duplicate_field"}},
		"unknown":            {"Status=REVOKED&page=2&page=3", []string{"Status unknown_field", "page unknown_field"}},
		"unknown and odd":    {"a%20b=1&%3Cx%3E=2", []string{"(other) unknown_field"}},
		"a broken escape":    {"status=%zz", []string{"query invalid_format"}},
		"several at once":    {"limit=0&status=x&z=1", []string{"status unknown_value", "limit out_of_range", "z unknown_field"}},
		"a semicolon":        {"status=REVOKED;limit=1", []string{"query invalid_format"}},
		"not UTF-8":          {"status=%ff", []string{"status unknown_value"}},
		"limit with a space": {"limit=+5", []string{"limit wrong_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call(http.MethodGet, "/revocations?"+c.query, "")
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff(c.want, faultsOf(t, a)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the known values are named", func(t *testing.T) {
		for query, want := range map[string]string{
			"/revocations?status=x": "ERROR_REVOKING, ", "/revocations?notification=x": "DELEGATED, ",
			"/jobs?state=x": "AWAITING_APPROVAL, ", "/events?type=x": "job.confirmed, ",
		} {
			if a := w.call(http.MethodGet, query, ""); !strings.Contains(a.body, want) {
				t.Errorf("%s: %s", query, a.body)
			}
		}
	})
	t.Run("reserved statuses of emails are known", func(t *testing.T) {
		w.call(http.MethodGet, "/revocations?notification=BOUNCED,SUPPRESSED", "").want(t, http.StatusOK, "")
	})
	golden(t, "problem_invalid_query", w.call(http.MethodGet, "/revocations?limit=0", "").body)
}
