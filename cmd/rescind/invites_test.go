package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	anInvite = `{"report_id":318,"candidate_name":"Ada\u001b[2J","candidate_email":"ada@example.com","assessment_id":"b;=1","assessment_name":"=1+1",` +
		`"language":"en","state":"STARTED","sent_at":"2026-01-02T03:04:05.123456Z","revoked_at":"2026-02-03T04:05:06Z","predicted":"ALREADY_REVOKED"}`
	forgotten = `{"report_id":317,"candidate_name":null,"candidate_email":null,"assessment_id":null,"assessment_name":"Backend",` +
		`"language":null,"state":"PENDING","sent_at":"2025-01-02T03:04:05Z","revoked_at":null,"predicted":"NOT_ALLOWED"}`
)

// searched is a service with pages of invites. It records the bodies of the searches.
type searched struct {
	pages  []string
	bodies []string
}

func (s *searched) start(t *testing.T) (environ []string) {
	t.Helper()
	return startFake(t, map[string]http.HandlerFunc{
		"POST /invites/search": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.RawQuery != "" {
				t.Errorf("%s", r.URL)
			}
			page := s.pages[len(s.bodies)]
			s.bodies = append(s.bodies, string(body))
			respond(200, page)(w, r)
		},
	})
}

// invitePage returns a page; the last one without a cursor.
func invitePage(cursor string, invites ...string) string {
	next := "null"
	if cursor != "" {
		next = fmt.Sprintf("%q", cursor)
	}
	return `{"data":[` + strings.Join(invites, ",") + `],"next_cursor":` + next + `}`
}

func TestInvites(t *testing.T) {
	zone := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = zone })
	pages := []string{invitePage("c1", anInvite), invitePage("c2"), invitePage("", forgotten)}
	for name, test := range map[string]struct {
		flags  string
		limits [3]int
		want   string
	}{
		"a table": {"", [3]int{100, 99, 99}, `    REPORT  NAME                    EMAIL                         ASSESSMENT              STATE      SENT              REVOKED           PREDICTED
       318  Ada [2J                 ada@example.com               =1+1                    STARTED    2026-01-02 03:04  2026-02-03 04:05  ALREADY_REVOKED
       317  -                       -                             Backend                 PENDING    2025-01-02 03:04  -                 NOT_ALLOWED
`},
		"CSV": {"--csv", [3]int{1000, 1000, 1000}, "report_id,candidate_name,candidate_email,assessment_id,assessment_name,language,state,sent_at,revoked_at,predicted\r\n" +
			"318,\"Ada\x1b[2J\",\"ada@example.com\",\"b;'=1\",\"'=1+1\",\"en\",\"STARTED\",\"2026-01-02T03:04:05.123456Z\",\"2026-02-03T04:05:06Z\",\"ALREADY_REVOKED\"\r\n" +
			"317,,,,\"Backend\",,\"PENDING\",\"2025-01-02T03:04:05Z\",,\"NOT_ALLOWED\"\r\n"},
		"JSON": {"--json", [3]int{1000, 1000, 1000}, strings.Join(pages, "\n") + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := searched{pages: pages}
			exit, stdout, stderr := inside(t, s.start(t), append([]string{"invites"}, strings.Fields(test.flags)...)...)
			if exit != 0 || stderr != "" {
				t.Errorf("exit %d, %q", exit, stderr)
			}
			equal(t, test.want, stdout)
			equal(t, []string{
				fmt.Sprintf(`{"limit":%d}`, test.limits[0]), fmt.Sprintf(`{"limit":%d,"cursor":"c1"}`, test.limits[1]),
				fmt.Sprintf(`{"limit":%d,"cursor":"c2"}`, test.limits[2]),
			}, s.bodies)
		})
	}
	t.Run("what is searched", func(t *testing.T) {
		s := searched{pages: []string{invitePage(""), invitePage("")}}
		environ := s.start(t)
		_, stdout, stderr := inside(t, environ, "invites", "--email", "ada@example.com", "--q", "ad", "--assessment", "Back end", "--assessment-id", "b1",
			"--state", "pending,started", "--not-revoked", "--sent-after", "2026-01-01T01:00:00+01:00", "--sent-before", "2027-01-01T00:00:00Z", "--limit", "5")
		contains(t, stdout, "REPORT")
		equal(t, "No invite matches.\n", stderr)
		inside(t, environ, "invites", "--revoked", "--limit", "all")
		equal(t, []string{
			`{"candidate_email":"ada@example.com","q":"ad","assessment_id":"b1","assessment_name":"Back end","revoked":false,"state":"PENDING,STARTED",` +
				`"sent_after":"2026-01-01T00:00:00Z","sent_before":"2027-01-01T00:00:00Z","limit":5}`,
			`{"revoked":true,"limit":1000}`,
		}, s.bodies)
	})
	t.Run("no more than --limit", func(t *testing.T) {
		s := searched{pages: []string{invitePage("c1", anInvite), invitePage("c2", forgotten)}}
		exit, stdout, stderr := inside(t, s.start(t), "invites", "--limit", "2", "--csv")
		if exit != 0 || strings.Count(stdout, "\n") != 3 {
			t.Errorf("exit %d, %s", exit, stdout)
		}
		equal(t, "There may be more: --limit all prints every one.\n", stderr)
		equal(t, []string{`{"limit":2}`, `{"limit":1,"cursor":"c1"}`}, s.bodies)
	})
	t.Run("one format", func(t *testing.T) {
		exit, stdout, stderr := inside(t, (&searched{}).start(t), "invites", "--csv", "--json")
		if exit != 2 || stdout != "" || stderr != "rescind: --csv and --json: use one of them\n" {
			t.Errorf("exit %d, %q %q", exit, stdout, stderr)
		}
	})
}
