package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

const (
	asJSON = "application/json; charset=utf-8"
	asHTML = "text/html; charset=utf-8"
)

func TestClient_Replies(t *testing.T) {
	notAllowed := func(timestamp string) revocation.Reply {
		return revocation.Reply{Status: revocation.StatusNotAllowed, Timestamp: timestamp}
	}
	already := revocation.Reply{Status: revocation.StatusAlreadyRevoked}
	missing := revocation.Reply{Status: revocation.StatusNotFound}
	final := func(code revocation.Code, detail string) revocation.Reply {
		r := tried(code, detail)
		r.Rejected = true
		return r
	}
	errorRevoking := tried(revocation.CodeUpstreamTryLater, cannotNow)
	for name, c := range map[string]struct {
		code       int
		kind, body string
		want       revocation.Reply
	}{
		// The documented examples.
		"revoked": {200, asJSON, `{"status": "REVOKED", "message": "Invite Revoked successfully."}`, revoked},
		"not allowed": {
			200, asJSON,
			`{"status": "NOT_ALLOWED", "message": "Invite was sent before the latest plan change", "timestamp": "2025-01-15 10:32:45"}`,
			notAllowed("2025-01-15 10:32:45"),
		},
		"already revoked": {200, asJSON, `{"status": "ALREADY_REVOKED"}`, already},
		"error": {
			200, asJSON, `{"status": "ERROR_REVOKING", "message": "Unable to Revoke invite now, Please try again later."}`, errorRevoking,
		},

		// A documented status counts before any code.
		"revoked with 404":         {404, asJSON, `{"status": "REVOKED"}`, revoked},
		"revoked with 401":         {401, asJSON, `{"status": "REVOKED"}`, revoked},
		"revoked with 500":         {500, asJSON, `{"status": "REVOKED"}`, revoked},
		"revoked with 302":         {302, asJSON, `{"status": "REVOKED"}`, revoked},
		"not allowed with 422":     {422, asJSON, `{"status": "NOT_ALLOWED", "timestamp": "x"}`, notAllowed("x")},
		"already revoked with 409": {409, asJSON, `{"status": "ALREADY_REVOKED"}`, already},
		"error with 400":           {400, asJSON, `{"status": "ERROR_REVOKING"}`, errorRevoking},
		"error with 403":           {403, asJSON, `{"status": "ERROR_REVOKING"}`, errorRevoking},
		"error with 404":           {404, asJSON, `{"status": "ERROR_REVOKING"}`, errorRevoking},
		"error with 503":           {503, asJSON, `{"status": "ERROR_REVOKING"}`, errorRevoking},

		// Forms of the body.
		"revoked as a page":             {200, asHTML, `{"status": "REVOKED"}`, revoked},
		"revoked without a type":        {200, "", `{"status": "REVOKED"}`, revoked},
		"revoked after a BOM":           {200, asJSON, "\ufeff\n {\"status\": \"REVOKED\"}\r\n", revoked},
		"revoked with more":             {200, asJSON, `{"a": {"status": "NOT_ALLOWED"}, "b": [1, {}], "status": "REVOKED", "c": null}`, revoked},
		"revoked with escapes":          {200, asJSON, `{"st\u0061tus": "REV\u004fKED"}`, revoked},
		"a timestamp that is long":      {200, asJSON, `{"status": "NOT_ALLOWED", "timestamp": "` + strings.Repeat("é", 100) + `"}`, notAllowed(strings.Repeat("é", 64))},
		"a timestamp with controls":     {200, asJSON, `{"status": "NOT_ALLOWED", "timestamp": "\u001b2025\n\u202e-01\u0000 "}`, notAllowed("2025-01")},
		"a timestamp that is an object": {200, asJSON, `{"status": "NOT_ALLOWED", "timestamp": {"a": 1}}`, notAllowed("")},
		"a timestamp that is missing":   {200, asJSON, `{"status": "NOT_ALLOWED"}`, notAllowed("")},
		"a timestamp of seconds":        {200, asJSON, `{"status": "NOT_ALLOWED", "timestamp": 1736937165}`, notAllowed("1736937165")},
		"a timestamp without need":      {200, asJSON, `{"status": "REVOKED", "timestamp": "2025-01-15 10:32:45"}`, revoked},
		"a duplicate timestamp":         {200, asJSON, `{"status": "NOT_ALLOWED", "timestamp": "1", "timestamp": "2"}`, notAllowed("")},

		// Bodies without a documented status.
		"a duplicate status":         {200, asJSON, `{"status": "REVOKED", "status": "NOT_ALLOWED"}`, undocumented("200")},
		"three statuses":             {200, asJSON, `{"status": "REVOKED", "status": "REVOKED", "status": "REVOKED"}`, undocumented("200")},
		"another status":             {200, asJSON, `{"status": "DONE"}`, undocumented("200")},
		"a status of this service":   {202, asJSON, `{"status": "PENDING"}`, undocumented("202")},
		"not found in a 200":         {200, asJSON, `{"status": "NOT_FOUND"}`, undocumented("200")},
		"a status in lower case":     {200, asJSON, `{"status": "revoked"}`, undocumented("200")},
		"a status with a space":      {200, asJSON, `{"status": "REVOKED "}`, undocumented("200")},
		"another name":               {200, asJSON, `{"Status": "REVOKED"}`, undocumented("200")},
		"a status that is a list":    {200, asJSON, `{"status": ["REVOKED"]}`, undocumented("200")},
		"a status that is null":      {200, asJSON, `{"status": null}`, undocumented("200")},
		"a status inside":            {200, asJSON, `{"data": {"status": "REVOKED"}}`, undocumented("200")},
		"a list":                     {200, asJSON, `[{"status": "REVOKED"}]`, undocumented("200")},
		"a string":                   {200, asJSON, `"REVOKED"`, undocumented("200")},
		"nothing":                    {200, asJSON, ``, undocumented("200")},
		"no content":                 {204, asJSON, ``, undocumented("204")},
		"half an object":             {200, asJSON, `{"status": "REVOKED"`, undocumented("200")},
		"two objects":                {200, asJSON, `{"status": "REVOKED"}{"status": "REVOKED"}`, undocumented("200")},
		"something after the object": {200, asJSON, `{"status": "REVOKED"} ok`, undocumented("200")},
		"a page":                     {200, asHTML, `<html>REVOKED {"status": "REVOKED"}</html>`, undocumented("200")},
		"too deep":                   {200, asJSON, `{"status": "REVOKED", "a": ` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, undocumented("200")},
		"too large":                  {200, asJSON, `{"status": "REVOKED", "a": "` + strings.Repeat("a", maxBody) + `"}`, undocumented("200")},
		"endless space after it":     {200, asJSON, `{"status": "REVOKED"}` + strings.Repeat(" ", maxBody), undocumented("200")},
		"the largest body":           {200, asJSON, `{"status": "REVOKED", "a": "` + strings.Repeat("a", maxBody-30) + `"}`, revoked},

		// By the code. Only a 404 in JSON is about the invite; any other may mean a wrong base URL.
		"404 in JSON":              {404, asJSON, `{"error": "no such report"}`, missing},
		"404 as a problem":         {404, "application/problem+json", `{"status": 404, "title": "Not Found"}`, missing},
		"404 in undeclared JSON":   {404, "text/plain", `{"error": "no such report"}`, missing},
		"404 with a list":          {404, asJSON, `[]`, missing},
		"404 with a word":          {404, asJSON, `"no such report"`, missing},
		"404 with null":            {404, asJSON, `null`, missing},
		"404 as a page":            {404, asHTML, `<html><body>Not Found</body></html>`, undocumented("404")},
		"404 as a text":            {404, "text/plain", `404 page not found`, undocumented("404")},
		"404 as a number":          {404, "text/plain", `404`, undocumented("404")},
		"404 with a type alone":    {404, asJSON, ``, undocumented("404")},
		"404 as a page, disguised": {404, asJSON, `<html><body>Not Found</body></html>`, undocumented("404")},
		"404 that is too large":    {404, asJSON, `{"error": "` + strings.Repeat("a", maxBody) + `"}`, undocumented("404")},
		"400":                      {400, asJSON, `{"error": "bad"}`, final(revocation.CodeUpstreamRejected, "The upstream rejected the request with HTTP status 400.")},
		"400 as a page":            {400, asHTML, `<html>`, final(revocation.CodeUpstreamRejected, "The upstream rejected the request with HTTP status 400.")},
		"422":                      {422, asJSON, `{"error": "bad"}`, final(revocation.CodeUpstreamRejected, "The upstream rejected the request with HTTP status 422.")},
		"401":                      {401, asJSON, `{"error": "bad"}`, final(revocation.CodeUpstreamUnauthorized, "The upstream refused the account's key with HTTP status 401.")},
		"403":                      {403, asHTML, `<html>`, final(revocation.CodeUpstreamUnauthorized, "The upstream refused the account's key with HTTP status 403.")},
		"403 that is large":        {403, asHTML, strings.Repeat("<p>", maxBody), final(revocation.CodeUpstreamUnauthorized, "The upstream refused the account's key with HTTP status 403.")},
		"429":                      {429, asJSON, `{"error": "slow down"}`, tried(revocation.CodeUpstreamRateLimited, tooMany)},
		"500":                      {500, asHTML, `<html>`, failedWith("500")},
		"500 in JSON":              {500, asJSON, `{"status": "INTERNAL"}`, failedWith("500")},
		"502":                      {502, asHTML, ``, failedWith("502")},
		"503":                      {503, asHTML, ``, failedWith("503")},
		"504":                      {504, asHTML, ``, failedWith("504")},
		"599":                      {599, asHTML, ``, failedWith("599")},
		"304":                      {304, asJSON, ``, undocumented("304")},
		"405":                      {405, asJSON, `{}`, undocumented("405")},
		"409":                      {409, asJSON, `{}`, undocumented("409")},
		"410":                      {410, asJSON, `{}`, undocumented("410")},
		"418":                      {418, asHTML, ``, undocumented("418")},
	} {
		t.Run(name, func(t *testing.T) {
			url := answers(t, c.code, c.kind, c.body)
			want(t, newDefault(t).Revoke(t.Context(), target(url), 318, false), c.want)
		})
	}
}

// An answer after the timeout arrives only sometimes, so the test makes it up.
func TestAnswer_AfterTimeout(t *testing.T) {
	for body, c := range map[string]struct {
		err  error
		want revocation.Reply
	}{
		`{"status": "REVOKED"}`: {context.DeadlineExceeded, revoked},
		``:                      {context.DeadlineExceeded, inDoubt(tooSlow)},
		`{"error": "left"}`:     {context.Canceled, inDoubt(wasStopped)},
	} {
		for _, code := range []int{200, 401, 404, 422, 499, 500} {
			a := answer{err: c.err, sent: true, code: code, header: http.Header{}, body: []byte(body)}
			want(t, a.reply(time.Now()), c.want)
		}
	}
}

func TestClient_HonoursRetryAfter(t *testing.T) {
	clock := newClock()
	at := func(d time.Duration) string { return clock.Now().Add(d).Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		code         int
		header, body string
		want         time.Duration
	}{
		"seconds with 429":            {429, "120", ``, 2 * time.Minute},
		"seconds with 503":            {503, " 7 ", ``, 7 * time.Second},
		"seconds with ERROR_REVOKING": {200, "30", `{"status": "ERROR_REVOKING"}`, 30 * time.Second},
		"seconds with garbage":        {200, "5", `?`, 5 * time.Second},
		"a date with 429":             {429, at(90 * time.Second), ``, 90 * time.Second},
		"a date with 503":             {503, at(time.Hour), ``, time.Hour},
		"a date in another form":      {503, clock.Now().Add(time.Minute).Format(time.RFC850), ``, time.Minute},
		"a date in the past":          {503, at(-time.Hour), ``, 0},
		"zero":                        {503, "0", ``, 0},
		"a year of seconds":           {503, "31536000", ``, 24 * time.Hour},
		"a date in a year":            {503, at(8760 * time.Hour), ``, 24 * time.Hour},
		"no end of seconds":           {503, strings.Repeat("9", 100), ``, 24 * time.Hour},
		"negative seconds":            {503, "-5", ``, 0},
		"a fraction":                  {503, "1.5", ``, 0},
		"words":                       {503, "soon", ``, 0},
		"nothing":                     {503, "", ``, 0},
		"not for REVOKED":             {200, "30", `{"status": "REVOKED"}`, 0},
		"not for what is final":       {400, "30", ``, 0},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", at(0))
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, c.body)
			})
			p := newDefault(t)
			// The clock of this process must not matter.
			for _, offset := range []time.Duration{0, time.Hour, -time.Hour} {
				p.now = func() time.Time { return clock.Now().Add(offset) }
				if got := p.Revoke(t.Context(), target(url), 1, false).RetryAfter; got != c.want {
					t.Errorf("after %v, want %v, with a clock that is off by %v", got, c.want, offset)
				}
			}
		})
	}
	t.Run("a date in an answer without a Date", func(t *testing.T) {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil
			w.Header().Set("Retry-After", at(time.Minute))
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		p := newDefault(t)
		p.now = clock.Now
		if got := p.Revoke(t.Context(), target(url), 1, false).RetryAfter; got != time.Minute {
			t.Errorf("after %v, want a minute", got)
		}
	})
}

func TestClient_Sends(t *testing.T) {
	for _, notify := range []bool{false, true} {
		t.Run(fmt.Sprintf("the documented request, notify %v", notify), func(t *testing.T) {
			seen := make(chan string, 1)
			url := listen(t, func(conn *net.TCPConn, _ <-chan struct{}) {
				buf := make([]byte, 4096)
				n, err := conn.Read(buf)
				if err != nil {
					t.Error(err)
				}
				seen <- string(buf[:n])
				_, _ = io.WriteString(conn, revokedAnswer)
			})
			want(t, newDefault(t).Revoke(t.Context(), target(url+"/api/v2//"), 1<<63-1, notify), revoked)
			head, body, _ := strings.Cut(await(t, "the request", seen), "\r\n\r\n")
			lines := make(map[string]bool)
			for line := range strings.SplitSeq(head, "\r\n") {
				lines[line] = true
			}
			wantBody := fmt.Sprintf(`{"report_id":9223372036854775807,"notify_candidate":%v}`, notify)
			if diff := cmp.Diff(map[string]bool{
				"POST /api/v2/assessments/invite/revoke HTTP/1.1": true,
				"Host: " + strings.TrimPrefix(url, "http://"):     true,
				"User-Agent: rescind":                             true,
				fmt.Sprintf("Content-Length: %d", len(wantBody)):  true,
				"Content-Type: application/json":                  true,
				"Accept: application/json":                        true,
				"Accept-Encoding: identity":                       true,
				"apiKey: " + testKey:                              true,
			}, lines); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if body != wantBody {
				t.Errorf("body %s, want %s", body, wantBody)
			}
		})
	}

	t.Run("on a connection that is reused", func(t *testing.T) {
		var connections, requests atomic.Int64
		url := listen(t, func(conn *net.TCPConn, _ <-chan struct{}) {
			connections.Add(1)
			r := bufio.NewReader(conn)
			for {
				if _, err := r.Peek(1); err != nil {
					return
				}
				readRequest(t, r)
				requests.Add(1)
				_, _ = io.WriteString(conn, revokedAnswer)
			}
		})
		p := newDefault(t)
		for range 20 {
			want(t, p.Revoke(t.Context(), target(url), 1, false), revoked)
		}
		if c, r := connections.Load(), requests.Load(); c != 1 || r != 20 {
			t.Errorf("%d connections, %d requests", c, r)
		}
	})

	t.Run("never to where a redirect points", func(t *testing.T) {
		var stolen atomic.Int64
		elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { stolen.Add(1) })
		for _, code := range []int{301, 302, 303, 307, 308} {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				to := elsewhere
				if asked.Add(1)%2 == 0 {
					to = r.URL.Path + "/here"
				}
				http.Redirect(w, r, to, code)
			}))
			p := newDefault(t)
			for range 2 {
				want(t, p.Revoke(t.Context(), target(server.URL), 1, false), undocumented(fmt.Sprint(code)))
			}
			server.Close()
			if n := asked.Load(); n != 2 {
				t.Errorf("%d requests to the upstream, want 2", n)
			}
		}
		if n := stolen.Load(); n != 0 {
			t.Errorf("%d requests to another host", n)
		}
	})
}

func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"status": "REVOKED"}`, `{"status": "NOT_ALLOWED", "timestamp": "2025-01-15 10:32:45"}`, `{"status": 1, "status": []}`,
		`[]`, `"a"`, `{"a": {"b": [null, true]}}`, "\xef\xbb\xbf{}", "{\"status\": \"\xff\"}", ``, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := answer{body: body, header: http.Header{"Content-Type": {asJSON}}}.document()
		switch d.status {
		case "":
		case revocation.StatusRevoked, revocation.StatusAlreadyRevoked, revocation.StatusErrorRevoking, revocation.StatusNotAllowed:
			if !d.isJSON || !strings.Contains(string(body), "{") {
				t.Errorf("%s without JSON", d.status)
			}
		default:
			t.Errorf("status %q", d.status)
		}
		if n := len([]rune(d.timestamp)); n > maxTimestamp || strings.ContainsAny(d.timestamp, "\x00\r\n\x1b") {
			t.Errorf("timestamp %q", d.timestamp)
		}
	})
}
