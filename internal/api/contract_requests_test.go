package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"rescind/internal/revocation"
)

// variation is a property of a request with its choices. The first choice is valid, the others may not be.
type variation struct {
	name    string
	choices []func(*contractRequest)
}

// contractRequest is a request that variations build.
type contractRequest struct {
	method, path string
	query        []string
	header       http.Header
	body         string
}

const expiredSecret = "rescind_the-key-of-acme-that-has-expired"

// variations returns the variations of an operation. They come from the document, so that new parameters are tested too.
func (f *contractWorld) variations(op *contractOperation) []variation {
	all := []variation{f.methods(op), f.keys(), f.paths(op), f.unknownParameters()}
	for _, p := range op.Parameters {
		switch p.In {
		case "query":
			values := []string{"", "-", "1", "0", "-1", "1001", "1.5", "99999999999999999999", "true", "false", "x", "%00", "%ff", "%C3%A9", strings.Repeat("y", 300)}
			for _, one := range p.Schema.Enum {
				values = append(values, fmt.Sprint(one))
			}
			switch p.Schema.Format {
			case "uuid":
				values = append(values, f.ended, f.foreign, newID().String(), revocation.ID{}.String())
			case "date-time":
				values = append(values, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00%2B01:00", "1800-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "yesterday")
			}
			if p.Name == "cursor" {
				values = append(values, f.cursors...)
			}
			all = append(all, f.parameter(p.Name, values))
		case "header":
			all = append(all, f.headers(p.Name))
		}
	}
	all = append(all, f.header("Accept", "", "text/csv", asNDJSON, "text/*;q=0.5, */*;q=0.1", "application/xml", "*", ";;"))
	if len(op.RequestBody.Content) > 0 {
		all = append(all, f.bodies(op))
	}
	return all
}

func (f *contractWorld) methods(op *contractOperation) variation {
	v := variation{name: "method"}
	methods := []string{op.method, http.MethodDelete, http.MethodPut, http.MethodPatch, "BREW"}
	if op.method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	for _, method := range methods {
		if method != op.method && f.document.has(method, op.path) {
			continue
		}
		v.choices = append(v.choices, func(r *contractRequest) { r.method = method })
	}
	return v
}

func (f *contractWorld) keys() variation {
	v := f.header("apiKey", secret, "", readerSecret, writerSecret, otherSecret, expiredSecret, "unknown", strings.Repeat("k", 300))
	v.choices = append(v.choices, func(r *contractRequest) {
		r.header.Del("apiKey")
		r.header.Set("Authorization", "Bearer "+secret)
	}, func(r *contractRequest) {
		r.header["Apikey"] = []string{secret, secret}
	})
	return v
}

// paths replaces the id in the path.
func (f *contractWorld) paths(op *contractOperation) variation {
	ids := []string{f.ended, f.failed, f.running, f.foreign, newID().String(), revocation.ID{}.String(), "x", strings.ToUpper(f.ended), "%00"}
	if strings.HasPrefix(op.path, "/revocations/") {
		ids = append([]string{f.single, f.invalid, f.waiting}, ids...)
	}
	if waiting := map[string]string{"confirmJob": f.confirmed, "approveJob": f.approved, "startJob": f.scheduled}[op.OperationID]; waiting != "" {
		ids = append([]string{waiting}, ids...)
	}
	if op.OperationID == "startRevocation" { // the others may be cancelled already
		ids = append([]string{f.later}, ids...)
	}
	if strings.HasPrefix(op.path, "/invites/") {
		ids = append([]string{"313", "4242", "0", "9223372036854775808", "+313"}, ids...)
	}
	v := variation{name: "path"}
	for _, id := range ids {
		v.choices = append(v.choices, func(r *contractRequest) { r.path = strings.NewReplacer("{id}", id, "{report_id}", id).Replace(op.path) })
	}
	if !strings.Contains(op.path, "{") {
		v.choices = v.choices[:1]
	}
	return v
}

// unknownParameters adds parameters that no operation has.
func (f *contractWorld) unknownParameters() variation {
	return variation{"unknown parameters", []func(*contractRequest){
		func(*contractRequest) {},
		func(r *contractRequest) { r.query = append(r.query, "unknown=1") },
		func(r *contractRequest) { r.query = append(r.query, "%zz") },
	}}
}

func (f *contractWorld) parameter(name string, values []string) variation {
	v := variation{name: name, choices: []func(*contractRequest){
		func(*contractRequest) {},
		func(r *contractRequest) { r.query = append(r.query, name+"=1", name+"=1") },
	}}
	for _, value := range values {
		v.choices = append(v.choices, func(r *contractRequest) { r.query = append(r.query, name+"="+value) })
	}
	return v
}

func (f *contractWorld) headers(name string) variation {
	switch name {
	case "Prefer":
		return f.header(name, "", "wait=0", "respond-async", "respond-async, wait=0", `wait="0"; x`, "wait=x", "return=minimal", `,"`)
	case "Idempotency-Key":
		v := f.header(name, "", "k1", "k2", "é", strings.Repeat("k", 255), strings.Repeat("k", 256), "\xff")
		v.choices = append(v.choices, func(r *contractRequest) { r.header[name] = []string{"a", "b"} }, func(r *contractRequest) { r.header[name] = []string{""} })
		return v
	case "If-None-Match":
		return f.header(name, "", "*", `"x"`, `W/"x", *`, `"`)
	case "Content-Encoding":
		return f.header(name, "", "identity", "gzip", "br", "gzip, gzip")
	default:
		return f.header(name, "", "x", "1", strings.Repeat("x", 300))
	}
}

func (f *contractWorld) header(name string, values ...string) variation {
	v := variation{name: name}
	for _, value := range values {
		v.choices = append(v.choices, func(r *contractRequest) {
			if value != "" {
				r.header.Set(name, value)
			}
		})
	}
	return v
}

// bodies sends the document's examples and invalid bodies, with the right type and with others.
func (f *contractWorld) bodies(op *contractOperation) variation {
	v := variation{name: "body"}
	add := func(media, body string) {
		v.choices = append(v.choices, func(r *contractRequest) {
			r.body = body
			if media != "" {
				r.header.Set("Content-Type", media)
			}
		})
	}
	types := slices.Sorted(maps.Keys(op.RequestBody.Content))
	var samples []string
	if op.OperationID == "confirmJob" || op.OperationID == "approveJob" {
		job := map[string]string{"confirmJob": f.confirmed, "approveJob": f.approved}[op.OperationID]
		samples = append(samples, f.countBody(job), `{"count":1}`, `{"count":0}`, `{"count":-1}`, `{"count":1.0}`, `{"count":"1"}`, `{"count":1,"count":1}`, `{"count":99999999999999999999}`)
		add("application/json", samples[0])
	}
	for _, media := range types {
		content := op.RequestBody.Content[media]
		for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
			samples = append(samples, string(content.Examples[name].Value))
			add(media, samples[len(samples)-1])
		}
		if content.Example != nil {
			text := string(content.Example)
			if strings.HasPrefix(text, `"`) {
				f.must(json.Unmarshal(content.Example, &text))
			}
			samples = append(samples, text)
			add(media, text)
		}
	}
	samples = append(samples, "", "{", "{}", "[]", "null", `"x"`, `{"report_id":318}{}`, "\xff", "\x00", `{"x":1}`,
		`{"report_id":"318"}`, `{"report_id":318,"report_id":318}`, `{"report_id":9223372036854775808}`, `{"report_id":4242424242}`,
		`{"report_id":1,"notify_candidate":null}`, `{"report_id":318,"client_reference":"`+strings.Repeat("x", 256)+`"}`,
		`{"report_ids":[]}`, `{"report_ids":[318,"x",null,`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`]}`, `{"items":[{}],"label":1}`, `{"report_ids":[1,2,3,4,5,6,7,8,9,10,11]}`,
		"report_id\n", "report_id,report_id\n1,2\n", "report_id,x\n318\n\"", "\n{\"report_id\":0}\n\n{", strings.Repeat(" ", 100<<10), strings.Repeat("[", 65<<10))
	for _, media := range append(types, "application/json; charset=utf-8", "application/json; charset=latin1", "text/plain", "*/*", "") {
		for _, body := range samples {
			add(media, body)
		}
	}
	return v
}

// contractWorld is a world with resources of every kind.
type contractWorld struct {
	*world
	ended, failed, running, foreign string // jobs
	// confirmed and approved have a preview.
	confirmed, approved, scheduled  string // jobs
	single, invalid, waiting, later string // revocations
	cursors                         []string
	document                        *contract

	used atomic.Int64 // report_ids
}

// newContractWorld adds resources of every kind to a world. It leaves the queue held.
func newContractWorld(w *world) *contractWorld {
	w.t.Helper()
	f := &contractWorld{world: w}
	w.addKey("acme", expiredSecret, time.Now().Add(-time.Hour), revocation.Scopes...)
	f.failed = w.failedJob(310, 311).ID.String()
	ended := w.job(append(items(1, 312, 999), revocation.Item{Invalid: "report_id is needed."})...)
	w.ended(ended)
	f.ended, f.invalid = ended.ID.String(), ended.ID.Item(4).String()
	f.single = w.submit(`{"report_id":313,"client_reference":"=1+1","notify_candidate":true}`).str(w.t, "id")
	f.confirmed = w.confirmedJob(305)
	f.approved = w.approvedJob(306)
	w.queue.hold()
	f.scheduled = w.scheduledJob(307)
	f.foreign = w.jobOf("other", items(9000)...).ID.String()
	f.running = w.job(items(314)...).ID.String()
	f.waiting = w.submit(`{"report_id":315}`, "Prefer", "wait=0").str(w.t, "id")
	f.later = w.submit(fmt.Sprintf(`{"report_id":314,"not_before":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339))).str(w.t, "id")
	for _, list := range []string{"/revocations", "/jobs", "/invites", "/jobs/" + f.ended + "/results"} {
		f.cursors = append(f.cursors, w.call(http.MethodGet, list+"?limit=1", "").str(w.t, "next_cursor"))
	}
	return f
}

// address returns the URL of a request.
func (r *contractRequest) address(server string) (*url.URL, error) {
	address := server + r.path
	if len(r.query) > 0 {
		address += "?" + strings.Join(r.query, "&")
	}
	return url.Parse(address)
}
