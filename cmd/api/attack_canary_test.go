package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

// The canaries are values that must not leak. Each has its own word, so that a finding identifies the value.
const (
	canaryName       = "Canaryname Nightingale"
	canaryAddress    = "canaryaddress@candidate.example"
	canaryAssessment = "Canaryassessment of Go"
	canaryCompany    = "Canarycompany"
	canaryContact    = "canarycontact@acme.example"
	canaryUpstream   = "canaryupstreamkey"
	canaryPassword   = "canarypassword"
	canaryHeader     = "canaryheader"
	// A caller's own values, which only responses to the caller may contain.
	canaryReference = "canaryreference"
	canaryLabel     = "canarylabel"
	canaryColumn    = "canarycolumn" // the name of a column, which a job shows as ignored
	canaryReason    = "canaryreason"
	canaryMessage   = "Canarymessage"
	canaryRefused   = "canaryrefused" // added to a text that the database or the mail server refuses with an error that quotes it
)

// mayTell returns the canaries that a successful response may contain: the caller's own values, or the account's or the
// candidates' where the route is about them.
func mayTell(method, path string) []string {
	path, _, _ = strings.Cut(path, "?")
	switch {
	case path == "/events" || method == http.MethodPut:
		return nil
	case path == "/account":
		return []string{canaryCompany, canaryContact}
	case strings.HasPrefix(path, "/invites"):
		return []string{canaryName, canaryAddress, canaryAssessment}
	case strings.HasSuffix(path, "/email"):
		return []string{canaryCompany, canaryContact, canaryMessage}
	default:
		return []string{canaryReference, canaryLabel, canaryColumn, canaryReason, canaryMessage, canaryRefused}
	}
}

// aviary is an API and a worker whose inputs contain canaries, and whose outputs the test records.
type aviary struct {
	*production
	upstreamed client
	told       map[string]func() string
}

// tells fails the test if a text contains a canary.
func (v *aviary) tells(place, text string) {
	v.t.Helper()
	text = strings.ToLower(strings.ToValidUTF8(text, "?"))
	for _, canary := range []string{"canary", "nightingale", strings.ToLower(v.key), strings.ToLower(v.upstreamed.key), strings.ToLower(secretsKey)} {
		if at := strings.Index(text, canary); at >= 0 {
			v.t.Errorf("%s: %q", place, text[max(0, at-200):min(len(text), at+200)])
			return
		}
	}
}

// ask sends a request and checks the response. A response that is not an error may contain what mayTell returns.
func (v *aviary) ask(key, method, path, body string, header ...string) (status int, text string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("apiKey", key)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	text = string(content)
	place := fmt.Sprintf("the answer %d to %s %.40s", res.StatusCode, method, path)
	looked := text
	if res.StatusCode < http.StatusBadRequest {
		for _, canary := range mayTell(method, path) {
			looked = strings.ReplaceAll(looked, canary, "")
		}
	}
	v.tells(place, looked)
	for name, values := range res.Header {
		v.tells(place, name+strings.Join(values, ""))
	}
	return res.StatusCode, text
}

// newAviary prepares the servers and starts no program.
func newAviary(t *testing.T, database string) *aviary {
	t.Helper()
	v := &aviary{production: startProductionOn(t, database), told: map[string]func() string{}}
	traces := collectTraces(t)
	v.told["the traces"] = traces.text
	v.told["Redis"] = monitorRedis(t, v.redis)
	v.env = append(v.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+traces.url, "OTEL_BSP_SCHEDULE_DELAY=100", "SECRETS_KEY="+secretsKey,
		"SMTP_URL=smtp://"+talkativeSMTP(t), "DATABASE_URL="+strings.Replace(v.database, "postgres@", "postgres:"+canaryPassword+"@", 1))

	platform := testservers.Platform(t, "another key")
	platform.SetFault(func(c testservers.PlatformCall) testservers.PlatformFault {
		said := c.Key + " of " + canaryName + " is refused"
		switch c.ReportID {
		case 1:
			return testservers.PlatformFault{Code: http.StatusBadGateway, Body: said}
		case 2:
			return testservers.PlatformFault{Code: http.StatusUnprocessableEntity, Body: `{"error":"` + said + `"}`}
		default:
			return testservers.PlatformFault{Code: http.StatusUnauthorized, Body: said}
		}
	})
	mustCommand(t, v.env, "", "account", "set", "well", "--upstream-url", platform.URL(), "--upstream-key-file", keyFile(t, canaryUpstream))
	v.upstreamed = client{t, "", strings.TrimSpace(mustCommand(t, v.env, "", "key", "create", "--account", "well"))}

	var invites strings.Builder
	for report := range 40 {
		_, _ = fmt.Fprintf(&invites, "%d,%s,%d.%s,%s,2026-01-01T00:00:00Z\n", report+1, canaryName, report+1, canaryAddress, canaryAssessment)
	}
	const columns = "report_id,candidate_name,candidate_email,assessment_name,sent_at\n"
	mustCommand(t, v.env, "", "account", "set", "acme", "--name", canaryCompany, "--contact", canaryContact)
	mustCommand(t, v.env, columns+invites.String(), "invites", "import", "--account", "acme", "-")
	out, errs, exit := command(t, v.env, columns+"41,"+canaryName+",no address of canary,"+canaryAssessment+",canary\n",
		"invites", "import", "--account", "acme", "-")
	if exit != 1 {
		t.Errorf("import of a bad row: exit %d", exit)
	}
	v.tells("the import", out+errs)

	v.key = strings.TrimSpace(mustCommand(t, v.env, "", "key", "create", "--account", "acme", "--name", "all", "--scopes", "revoke,read,approve,invites"))
	v.sabotage()
	return v
}

// sabotage makes the database fail with errors that quote the row.
func (v *aviary) sabotage() {
	v.t.Helper()
	v.query(func(conn *pgx.Conn) error {
		_, err := conn.Exec(v.t.Context(), `
			CREATE FUNCTION quote_invite() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION 'refused: % % %', NEW.candidate_name, NEW.candidate_email, NEW.assessment_name USING ERRCODE = CASE
					WHEN NEW.report_id = 13 THEN '22P02' ELSE 'P0001' END;
			END $$;
			CREATE TRIGGER quote BEFORE UPDATE ON invites FOR EACH ROW WHEN (NEW.report_id IN (13, 14)) EXECUTE FUNCTION quote_invite();
			CREATE FUNCTION quote_submission() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION 'refused: % % %', NEW.client_reference, NEW.reason, NEW.candidate_message USING ERRCODE = '23514';
			END $$;
			CREATE TRIGGER quote BEFORE INSERT ON work_items FOR EACH ROW WHEN (NEW.report_id = 15) EXECUTE FUNCTION quote_submission();
			CREATE FUNCTION quote_items() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION 'refused: %', NEW.reasons USING ERRCODE = '23514';
			END $$;
			CREATE TRIGGER quote BEFORE INSERT ON chunks FOR EACH ROW
				WHEN (array_to_string(NEW.reasons, ' ') LIKE '%`+canaryRefused+`%') EXECUTE FUNCTION quote_items();
			CREATE FUNCTION quote_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION 'refused: % % %', NEW.label, NEW.reason, NEW.candidate_message;
			END $$;
			CREATE TRIGGER quote BEFORE UPDATE ON jobs FOR EACH ROW
				WHEN (NEW.label LIKE '%`+canaryRefused+`%') EXECUTE FUNCTION quote_job()`)
		return err
	})
}

// TestCanary gives names, addresses, texts and keys to the programs, makes the programs succeed and fail in many ways, and searches
// logs, metrics, traces, Redis and responses for these values.
func TestCanary(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	database := testservers.StartPostgres(t)
	v := newAviary(t, database.URL())
	worker, workerAdmin := v.startWorker()
	api, apiAdmin := v.startAPI()
	v.told["the API's log"], v.told["the API's output"] = api.log, api.stdout
	v.told["the worker's log"], v.told["the worker's output"] = worker.log, worker.stdout

	v.work()
	v.decideLater()
	v.findInvites()
	v.fail()
	v.listEvents()
	for _, admin := range []string{apiAdmin, workerAdmin} {
		for _, path := range []string{
			"/metrics", "/healthz", "/readyz", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/queues/", "/queues/api/queues",
			"/queues/api/queues/single", "/queues/api/queues/single/retry_tasks", "/queues/api/queues/mail/retry_tasks", "/queues/api/redis_info",
			"/queues/api/queues/single/archived_tasks", "/queues/api/queues/bulk/pending_tasks", "/queues/api/servers", "/nothing", "/debug/pprof/",
		} {
			v.tells("http://"+admin+path, fetch(t, "http://"+admin+path))
		}
	}
	if heard := v.told["Redis"](); !strings.Contains(heard, "acme") {
		t.Errorf("nothing was heard of what Redis is told: %.200s", heard)
	}

	v.redis.Kill()
	v.ask(v.key, http.MethodPost, "/assessments/invite/revoke", revokeBody(30, true), "Prefer", "respond-async")
	database.Kill()
	if status, text := v.ask(v.key, http.MethodGet, "/jobs", ""); status != http.StatusServiceUnavailable {
		t.Errorf("the database is away: %d %s", status, text)
	}
	until(t, "all find out", func() bool {
		return status(t, "http://"+apiAdmin+"/readyz") == 503 && status(t, "http://"+workerAdmin+"/readyz") == 503
	})
	late := start(t, append(v.env, "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0"), programs.api, "serve")
	until(t, "one that starts now has told of it", func() bool { return strings.Contains(late.log(), "database is away") })
	v.told["the log of an API without a database"] = late.log
	if worker.terminate() != 0 || api.terminate() != 0 || late.terminate() != 0 {
		t.Error("they did not end well")
	}
	if heard := v.told["the traces"](); !strings.Contains(heard, "carry out") || !strings.Contains(heard, "send emails") {
		t.Errorf("the traces are not there: %.200q", heard)
	}
	for place, text := range v.told {
		v.tells(place, text())
	}
}

// work sends requests that succeed, and some that fail at the upstream or the mail server.
func (v *aviary) work() {
	v.t.Helper()
	single := func(key string, report int, final string) {
		v.t.Helper()
		body := singleBody(report, "")
		if key == v.upstreamed.key { // no messages there
			body = fmt.Sprintf(`{"report_id":%d,"notify_candidate":true,"client_reference":%q,"reason":%q}`, report, canaryReference, canaryReason)
		}
		_, text := v.ask(key, http.MethodPost, "/assessments/invite/revoke", body, "Idempotency-Key", fmt.Sprint(canaryHeader, report))
		var accepted struct{ ID string }
		if err := json.Unmarshal([]byte(text), &accepted); err != nil {
			v.t.Fatalf("%s: %v", text, err)
		}
		until(v.t, fmt.Sprintf("%d is %s", report, final), func() bool {
			_, text = v.ask(key, http.MethodGet, "/revocations/"+accepted.ID, "")
			return strings.Contains(text, final)
		})
	}
	single(v.key, 1, `"notification":{"status":"SENT"`)
	single(v.key, refusedReport, `"notification":{"status":"FAILED"`)
	single(v.key, deferredReport, `"notification":{"status":"SENT"`)
	single(v.key, 13, `"code":"internal"`)
	single(v.key, 14, `"code":"internal"`)
	single(v.upstreamed.key, 1, `"last_error":{`)
	single(v.upstreamed.key, 2, `"upstream_rejected"`)
	single(v.upstreamed.key, 3, `"upstream_unauthorized"`)
	if status, text := v.ask(v.key, http.MethodPost, "/assessments/invite/revoke", singleBody(15, "")); status < 500 {
		v.t.Errorf("a row that the database refuses: %d %s", status, text)
	}

	for media, body := range map[string]string{
		"text/csv":             "report_id,client_reference," + canaryColumn + "\n5," + canaryReference + ",\n" + canaryHeader + ",x\n",
		"application/x-ndjson": `{"report_id":6,"client_reference":"` + canaryReference + `"}` + "\n" + canaryHeader + "\n",
		"application/json":     `{"report_ids":[7,14,"` + canaryHeader + `"],"label":"` + canaryLabel + `"}`,
	} {
		query := "?notify_candidate=true&label=" + canaryLabel
		if media == "application/json" {
			query = ""
		}
		status, text := v.ask(v.key, http.MethodPost, "/jobs"+query, body, "Content-Type", media)
		var job struct{ ID string }
		if err := json.Unmarshal([]byte(text), &job); err != nil || status != http.StatusAccepted {
			v.t.Fatalf("%d %s", status, text)
		}
		at := "/jobs/" + job.ID
		v.ask(v.key, http.MethodPost, at+"/retry", "")
		if media == "application/json" { // one of its items never becomes final
			v.ask(v.key, http.MethodPost, at+"/cancel", "")
		}
		v.ask(v.key, http.MethodGet, at, "", "Prefer", "wait=30")
		v.ask(v.key, http.MethodGet, at+"/events", "")
		for _, accept := range []string{"application/json", "text/csv", "application/x-ndjson"} {
			v.ask(v.key, http.MethodGet, at+"/results", "", "Accept", accept)
		}
	}
	v.ask(v.key, http.MethodGet, "/jobs", "")
	v.ask(v.key, http.MethodGet, "/revocations", "")
}

// fail sends requests with a canary in every parameter of every operation, and with keys in wrong places.
func (v *aviary) fail() {
	v.t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	_, text := v.ask("", http.MethodGet, "/openapi.json", "")
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		v.t.Fatal(err)
	}
	member := regexp.MustCompile(`\{\w+\}`)
	type place struct {
		method, path, query, body string
		header                    []string
	}
	var places []place
	for path, methods := range document.Paths {
		for method, op := range methods {
			method = strings.ToUpper(method)
			at := strings.NewReplacer("{id}", "01a209af-e19a-74f7-8eee-7bce9d171f15", "{report_id}", "4711").Replace(path)
			places = append(places,
				place{method: method, path: member.ReplaceAllLiteralString(path, canaryHeader)},
				place{method: method, path: member.ReplaceAllLiteralString(path, v.key) + "/" + v.key},
				place{method: "CANARY", path: at},
				place{method: method, path: at, query: "?reason=" + canaryReason + "&candidate_message=" + canaryMessage},
				place{method: method, path: at, query: "?apiKey=" + v.key + "&" + canaryHeader + "!=" + canaryHeader},
				place{method: method, path: at, body: `{"` + canaryHeader},
				place{method: method, path: at, body: `{"report_id":"canary","` + canaryHeader + `!":1,"client_reference":["canary"],"items":"canary","label":1,"reason":["canary"],"candidate_message":"canary https://canary.example"}`},
				place{method: method, path: at, body: canaryHeader, header: []string{"Content-Type", "text/" + canaryHeader, "Content-Encoding", canaryHeader}},
				place{method: method, path: at, header: []string{"apiKey", canaryHeader}},
				place{method: method, path: at, header: []string{"apiKey", "", "Authorization", "Basic " + v.key}})
			for _, name := range []string{"User-Agent", "Referer", "X-Forwarded-For", "X-Forwarded-Host", "Cookie", "Baggage", "Tracestate", "Accept", "X-Request-Id", "From"} {
				places = append(places, place{method: method, path: at, header: []string{name, canaryHeader + " " + v.key + " bird!"}})
			}
			for _, p := range op.Parameters {
				switch p.In {
				case "query":
					places = append(places, place{method: method, path: at, query: "?" + p.Name + "=" + canaryHeader})
				case "header":
					places = append(places, place{method: method, path: at, header: []string{p.Name, canaryHeader + " " + v.key}})
				}
			}
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.path+a.method, b.path+b.method) })
	for _, p := range places {
		v.ask(v.key, p.method, p.path+p.query, p.body, p.header...)
	}
}
