package api

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecodeSubmission compares the decoder with encoding/json: what it accepts is JSON with the same values, and what it
// refuses as malformed is not valid for encoding/json either. The corpus is in testdata/fuzz.
func FuzzDecodeSubmission(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		body, faults, err := decodeSubmission(text)
		if err != nil {
			if json.Valid(text) && utf8.Valid(text) {
				t.Fatalf("%q is JSON, but was refused: %v", text, err)
			}
			return
		}
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("%q is not JSON in UTF-8", text)
		}
		for _, fault := range faults {
			if fault.Field != otherName && !plain(fault.Field, 64) || fault.Code == "" || fault.Detail == "" {
				t.Fatalf("%q returned %+v", text, fault)
			}
		}
		if len(faults) > 0 {
			return
		}
		var reference struct {
			ReportID        int64   `json:"report_id"`
			Notify          bool    `json:"notify_candidate"`
			ClientReference *string `json:"client_reference"`
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&reference); err != nil {
			t.Fatalf("%q was taken: %v", text, err)
		}
		if _, err := decoder.Token(); err != io.EOF {
			t.Fatalf("%q was taken with its rest", text)
		}
		if reference.ReportID != body.reportID || body.reportID < 1 || reference.Notify != body.notify {
			t.Fatalf("%q was read as %+v", text, body)
		}
		if (reference.ClientReference == nil) != (body.clientReference == nil) {
			t.Fatalf("%q was read as %+v", text, body)
		}
		if body.clientReference != nil {
			got := *body.clientReference
			if got != *reference.ClientReference || strings.ContainsRune(got, 0) || utf8.RuneCountInString(got) > maxText {
				t.Fatalf("%q was read as %q", text, got)
			}
			var back string
			if err := json.Unmarshal(appendString(nil, got), &back); err != nil || back != got {
				t.Fatalf("%q is written as %s", got, appendString(nil, got))
			}
		}
	})
}

func TestAppendString_anyBytes(t *testing.T) {
	for s, want := range map[string]string{
		"":             `""`,
		"a\xffb\xe2":   `"a\ufffdb\ufffd"`,
		"\x00\x1f\x7f": "\"\\u0000\\u001f\x7f\"",
		"<\"\\/>":      `"<\"\\/>"`,
	} {
		if got := string(appendString(nil, s)); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%q is written as %s, want %s", s, got, want)
		}
	}
}
