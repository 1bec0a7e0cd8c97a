package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestSmuggledRequests sends bodies whose length two parsers could read differently. The API must not accept any.
func TestSmuggledRequests(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	w := newWorld(t)
	const body = `{"report_id":318}`
	for name, headers := range map[string]string{
		"two lengths":                      "Content-Length: 17\r\nContent-Length: 18\r\n",
		"two lengths in one header":        "Content-Length: 17, 18\r\n",
		"a length with a sign":             "Content-Length: +17\r\n",
		"a negative length":                "Content-Length: -17\r\n",
		"an unknown transfer encoding":     "Transfer-Encoding: gzip, chunked\r\n",
		"two transfer encodings":           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"a space before the colon":         "Content-Length : 17\r\n",
		"a folded header at the beginning": " x: y\r\nContent-Length: 17\r\n",
		"a body that is not chunked":       "Transfer-Encoding: chunked\r\nContent-Length: 17\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			status, _ := w.raw("POST /assessments/invite/revoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\napiKey: " + secret + "\r\n" + headers + "\r\n" + body)
			if status < 400 || status >= 600 {
				t.Errorf("status %d", status)
			}
		})
	}
	if got := w.call(http.MethodGet, "/revocations", "").body; got != `{"data":[],"next_cursor":null}` {
		t.Errorf("something was accepted: %s", got)
	}
}

// TestOddAddresses writes addresses as no client does. None opens what a key is needed for.
func TestOddAddresses(t *testing.T) {
	w := newWorld(t)
	for _, address := range []string{
		"/revocations", "http://elsewhere.example/revocations", "/./revocations", "/healthz/../revocations", "/healthz/%2e%2e/revocations",
		"/healthz%2F..%2Frevocations", "//revocations", "/revocations/", "/revocations;x=/healthz", "/revocations%00", "/%72evocations", "/REVOCATIONS",
		"/revocations?/healthz", "/docs/../revocations", "/openapi.json/../revocations", `/\revocations`, "*",
	} {
		status, body := w.raw("GET " + address + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if status != http.StatusUnauthorized && status != http.StatusNotFound && status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", address, status, body)
		}
		if strings.Contains(body, `"data"`) {
			t.Errorf("%s shows a list", address)
		}
	}
}
