package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// faultsOf returns a problem's errors as "field code", in their order.
func faultsOf(t *testing.T, a answer) []string {
	t.Helper()
	var got []string
	entries, _ := a.json(t)["errors"].([]any)
	for _, entry := range entries {
		e := entry.(map[string]any)
		if len(e) != 3 || e["detail"] == "" {
			t.Errorf("incomplete entry: %v", e)
		}
		got = append(got, fmt.Sprintf("%v %v", e["field"], e["code"]))
	}
	return got
}

func TestSubmit_invalidBodies(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"report_id is a string":         {`{"report_id":"318"}`, []string{"report_id wrong_type"}},
		"report_id has a fraction":      {`{"report_id":318.5}`, []string{"report_id wrong_type"}},
		"report_id has a zero fraction": {`{"report_id":318.0}`, []string{"report_id wrong_type"}},
		"report_id has an exponent":     {`{"report_id":3e2}`, []string{"report_id wrong_type"}},
		"report_id is null":             {`{"report_id":null}`, []string{"report_id wrong_type"}},
		"report_id is true":             {`{"report_id":true}`, []string{"report_id wrong_type"}},
		"report_id is an array":         {`{"report_id":[318]}`, []string{"report_id wrong_type"}},
		"report_id is an object":        {`{"report_id":{"a":318}}`, []string{"report_id wrong_type"}},
		"report_id is 2^63":             {`{"report_id":9223372036854775808}`, []string{"report_id out_of_range"}},
		"report_id is 2^64 + 318":       {`{"report_id":18446744073709551934}`, []string{"report_id out_of_range"}},
		"report_id has 10,000 digits":   {`{"report_id":` + strings.Repeat("9", 10000) + `}`, []string{"report_id out_of_range"}},
		"report_id is 0":                {`{"report_id":0}`, []string{"report_id out_of_range"}},
		"report_id is -0":               {`{"report_id":-0}`, []string{"report_id out_of_range"}},
		"report_id is -1":               {`{"report_id":-1}`, []string{"report_id out_of_range"}},
		"report_id is missing":          {`{}`, []string{"report_id required"}},
		"report_id in other letters":    {`{"Report_ID":318}`, []string{"Report_ID unknown_field", "report_id required"}},
		"notify is null":                {`{"report_id":318,"notify_candidate":null}`, []string{"notify_candidate wrong_type"}},
		"notify is a string":            {`{"report_id":318,"notify_candidate":"true"}`, []string{"notify_candidate wrong_type"}},
		"notify is 1":                   {`{"report_id":318,"notify_candidate":1}`, []string{"notify_candidate wrong_type"}},
		"reference is null":             {`{"report_id":318,"client_reference":null}`, []string{"client_reference wrong_type"}},
		"reference is a number":         {`{"report_id":318,"client_reference":7}`, []string{"client_reference wrong_type"}},
		"reference is too long":         {`{"report_id":318,"client_reference":"` + strings.Repeat("é", 256) + `"}`, []string{"client_reference too_long"}},
		"reference holds NUL":           {`{"report_id":318,"client_reference":"a\u0000b"}`, []string{"client_reference invalid_characters"}},
		"reference holds a high half":   {`{"report_id":318,"client_reference":"\ud83d"}`, []string{"client_reference invalid_characters"}},
		"reference holds a low half":    {`{"report_id":318,"client_reference":"\ude00\ud83d"}`, []string{"client_reference invalid_characters"}},
		"unknown members":               {`{"report_id":318,"a.b-c_1":{"x":[1,{}]},"no te":1,"":2}`, []string{"a.b-c_1 unknown_field", "(other) unknown_field"}},
		"an unknown long name":          {`{"report_id":318,"` + strings.Repeat("n", 65) + `":1}`, []string{"(other) unknown_field"}},
		"a broken name":                 {`{"report_id":318,"\ud83d":1}`, []string{"(other) unknown_field"}},
		"twice":                         {`{"report_id":318,"report_id":318}`, []string{"report_id duplicate_field"}},
		"twice by an escape":            {`{"report_id":318,"report\u005fid":318}`, []string{"report_id duplicate_field"}},
		"twice, first of a wrong type":  {`{"report_id":"x","report_id":318}`, []string{"report_id wrong_type", "report_id duplicate_field"}},
		"all at once": {
			`{"notify_candidate":0,"client_reference":[],"x":1,"notify_candidate":true,"report_id":0}`,
			[]string{"notify_candidate wrong_type", "client_reference wrong_type", "x unknown_field", "notify_candidate duplicate_field", "report_id out_of_range"},
		},
		"an array":   {`[{"report_id":318}]`, []string{"body wrong_type"}},
		"a string":   {`"report_id"`, []string{"body wrong_type"}},
		"a number":   {`318`, []string{"body wrong_type"}},
		"null":       {` null `, []string{"body wrong_type"}},
		"deep, just": {`{"report_id":318,"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, []string{"x unknown_field"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.submit(c.body)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff(c.want, faultsOf(t, a)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("golden", func(t *testing.T) {
		golden(t, "problem_invalid", w.submit(`{"report_id":"318","a b":1}`).body)
	})
	t.Run("faults are bounded", func(t *testing.T) {
		var body strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&body, `,"x%d":1`, i)
		}
		a := w.submit(`{"report_id":318` + body.String() + `}`)
		a.want(t, http.StatusUnprocessableEntity, "invalid")
		if n := len(faultsOf(t, a)); n != 64 {
			t.Errorf("%d faults", n)
		}
	})
	t.Run("nothing was written", func(t *testing.T) {
		if got := w.call(http.MethodGet, "/revocations", "").body; got != `{"data":[],"next_cursor":null}` {
			t.Error(got)
		}
	})
}

func TestSubmit_malformedBodies(t *testing.T) {
	w := newWorld(t)
	deep := `{"report_id":318,"x":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`
	for name, body := range map[string]string{
		"white space alone": " \n", "not JSON": "report_id=318", "an open object": `{"report_id":318`, "an open string": `{"report_id`,
		"a comma too many": `{"report_id":318,}`, "no comma": `{"report_id":318 "x":1}`, "no colon": `{"report_id" 318}`, "no name": `{318}`,
		"single quotes": `{'report_id':318}`, "two values": `{"report_id":318}{"report_id":319}`, "rest": `{"report_id":318} x`,
		"NUL after it": "{\"report_id\":318}\x00", "NUL alone": "\x00",
		"a BOM alone": "\ufeff", "half a BOM": "\ufeff"[1:] + `{"report_id":318}`, "two BOMs": "\ufeff\ufeff" + `{"report_id":318}`,
		"invalid UTF-8":       "{\"report_id\":318,\"client_reference\":\"\xff\"}",
		"a surrogate as such": "{\"report_id\":318,\"client_reference\":\"\xed\xa0\x80\"}",
		"a control character": "{\"report_id\":318,\"client_reference\":\"a\nb\"}",
		"a wrong escape":      `{"report_id":318,"client_reference":"\x41"}`, "a short escape": `{"report_id":318,"client_reference":"\u12"}`,
		"an escape of a sign": `{"report_id":318,"client_reference":"\u+123"}`,
		"a leading zero":      `{"report_id":0318}`, "a plus": `{"report_id":+318}`, "a bare point": `{"report_id":318.}`, "a bare exponent": `{"report_id":3e}`,
		"a minus alone": `{"report_id":-}`, "NaN": `{"report_id":NaN}`, "a cut word": `{"notify_candidate":tru`, "a wrong word": `{"notify_candidate":truth}`,
		"upper case": `{"notify_candidate":TRUE}`, "a comment": `{"report_id":318/**/}`, "an open array": `[1`, "an array's comma": `[1,]`, "mixed brackets": `{"x":[1}]`,
		"deep": deep, "deep without end": strings.Repeat("[", 60000), "deep objects": strings.Repeat(`{"x":`, 10000),
		"wrong members too": `{"report_id":"318","x":`,
	} {
		t.Run(name, func(t *testing.T) { w.submit(body).want(t, http.StatusBadRequest, "malformed_json") })
	}
	t.Run("empty", func(t *testing.T) {
		a := w.submit("", "Content-Type", "application/json")
		a.want(t, http.StatusBadRequest, "malformed_json")
		golden(t, "problem_malformed_json", a.body)
	})
}

func TestSubmit_bodySize(t *testing.T) {
	w := newWorld(t)
	pad := func(size int) string {
		body := `{"report_id":318}`
		return body + strings.Repeat(" ", size-len(body))
	}
	t.Run("64 KiB", func(t *testing.T) { w.submit(pad(64<<10)).want(t, http.StatusOK, "") })
	t.Run("a byte more", func(t *testing.T) {
		a := w.submit(pad(64<<10 + 1))
		a.want(t, http.StatusRequestEntityTooLarge, "too_large")
		golden(t, "problem_too_large", a.body)
	})
	chunked := func(size int) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/assessments/invite/revoke", struct{ *strings.Reader }{strings.NewReader(pad(size))})
		w.must(err)
		r.Header.Set("apiKey", secret)
		r.Header.Set("Content-Type", "application/json")
		return w.send(r)
	}
	t.Run("64 KiB of unknown length", func(t *testing.T) { chunked(64<<10).want(t, http.StatusOK, "") })
	t.Run("a byte more of unknown length", func(t *testing.T) {
		chunked(64<<10+1).want(t, http.StatusRequestEntityTooLarge, "too_large")
	})
	t.Run("10 MB are refused before they are sent", func(t *testing.T) {
		status, body := w.raw("POST /assessments/invite/revoke HTTP/1.1\r\nHost: x\r\napiKey: " + secret +
			"\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n\r\n")
		if status != http.StatusRequestEntityTooLarge || !strings.Contains(body, `"code":"too_large"`) {
			t.Errorf("%d %s", status, body)
		}
	})
}

// raw sends a request unchanged, leaves the connection open, and reads one response.
func (w *world) raw(request string) (status int, body string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	w.must(err)
	defer conn.Close()
	_, err = conn.Write([]byte(request))
	w.must(err)
	w.must(conn.SetReadDeadline(time.Now().Add(time.Minute)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	w.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.must(err)
	return response.StatusCode, string(text)
}

func TestSubmit_slowBody(t *testing.T) {
	w := newWorld(t, readTimeoutOf(200*time.Millisecond))
	status, body := w.raw("POST /assessments/invite/revoke HTTP/1.1\r\nHost: x\r\napiKey: " + secret +
		"\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"report")
	if status != http.StatusRequestTimeout {
		t.Errorf("%d %s", status, body)
	}
	golden(t, "problem_request_timeout", body)
}

func TestSubmit_contentType(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"JSON with a charset":     {[]string{"Content-Type", "", "Content-Type", `Application/JSON; Charset="UTF-8"`}, 200},
		"JSON with a parameter":   {[]string{"Content-Type", "", "Content-Type", "application/json; v=1"}, 200},
		"identity":                {[]string{"Content-Encoding", "Identity"}, 200},
		"none":                    {[]string{"Content-Type", ""}, 415},
		"two":                     {[]string{"Content-Type", "application/json"}, 415},
		"text":                    {[]string{"Content-Type", "", "Content-Type", "text/plain"}, 415},
		"another JSON":            {[]string{"Content-Type", "", "Content-Type", "application/problem+json"}, 415},
		"a form":                  {[]string{"Content-Type", "", "Content-Type", "application/x-www-form-urlencoded"}, 415},
		"another charset":         {[]string{"Content-Type", "", "Content-Type", "application/json; charset=latin1"}, 415},
		"an empty charset":        {[]string{"Content-Type", "", "Content-Type", `application/json; charset=""`}, 415},
		"a broken one":            {[]string{"Content-Type", "", "Content-Type", "application/json; ;="}, 415},
		"gzip":                    {[]string{"Content-Encoding", "gzip"}, 415},
		"identity and then gzip":  {[]string{"Content-Encoding", "identity", "Content-Encoding", "gzip"}, 415},
		"a list with an identity": {[]string{"Content-Encoding", "identity, br"}, 415},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.submit(`{"report_id":318}`, c.headers...)
			a.want(t, c.status, "")
			if c.status == 415 {
				golden(t, "problem_unsupported_media_type", a.body)
			}
		})
	}
}

func TestSubmit_idempotencyKeyFaults(t *testing.T) {
	w := newWorld(t)
	post := func(t *testing.T, body string, keys ...string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/assessments/invite/revoke", strings.NewReader(body))
		w.must(err)
		r.Header = http.Header{"Apikey": {secret}, "Content-Type": {"application/json"}, "Idempotency-Key": keys}
		return w.send(r)
	}
	for name, c := range map[string]struct {
		keys []string
		want string
	}{
		"twice":           {[]string{"a", "a"}, "duplicate_field"},
		"empty":           {[]string{""}, "required"},
		"too long":        {[]string{strings.Repeat("x", 256)}, "too_long"},
		"a tab":           {[]string{"a\tb"}, "invalid_characters"},
		"a C1 control":    {[]string{"a\u0085b"}, "invalid_characters"},
		"not UTF-8":       {[]string{"a\xffb"}, "invalid_characters"},
		"long not UTF-8":  {[]string{strings.Repeat("\xff", 300)}, "invalid_characters"},
		"two, one is bad": {[]string{"a", ""}, "duplicate_field"},
	} {
		t.Run(name, func(t *testing.T) {
			a := post(t, `{"report_id":318}`, c.keys...)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff([]string{"Idempotency-Key " + c.want}, faultsOf(t, a)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("with the body's faults", func(t *testing.T) {
		a := post(t, `{"report_id":0}`, "")
		if diff := cmp.Diff([]string{"Idempotency-Key required", "report_id out_of_range"}, faultsOf(t, a)); diff != "" {
			t.Error(diff)
		}
	})
}
