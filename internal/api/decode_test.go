package api

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
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
			Reason          *string `json:"reason"`
			Message         *string `json:"candidate_message"`
			NotBefore       *string `json:"not_before"`
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
		for _, member := range []struct {
			sent, got *string
			limit     int
		}{
			{reference.ClientReference, body.clientReference, maxText},
			{reference.Reason, body.reason, maxText},
			{reference.Message, body.candidateMessage, maxMessage},
		} {
			if (member.sent == nil) != (member.got == nil) {
				t.Fatalf("%q was read as %+v", text, body)
			}
			if member.got == nil {
				continue
			}
			got := *member.got
			if got != *member.sent || strings.ContainsRune(got, 0) || utf8.RuneCountInString(got) > member.limit {
				t.Fatalf("%q was read as %q", text, got)
			}
			var back string
			if err := json.Unmarshal(appendString(nil, got), &back); err != nil || back != got {
				t.Fatalf("%q is written as %s", got, appendString(nil, got))
			}
		}
		if body.candidateMessage != nil && strings.ContainsFunc(*body.candidateMessage, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' }) {
			t.Fatalf("%q was read as the message %q", text, *body.candidateMessage)
		}
		if (reference.NotBefore == nil) != body.notBefore.IsZero() {
			t.Fatalf("%q was read with the time %v", text, body.notBefore)
		}
		if reference.NotBefore != nil {
			sent, err := time.Parse(time.RFC3339, *reference.NotBefore)
			past := !body.notBefore.After(time.Unix(0, 0)) && !sent.After(time.Unix(0, 0))
			if err != nil || !past && (body.notBefore.Before(sent) || body.notBefore.Sub(sent) >= time.Microsecond) ||
				body.notBefore.After(time.Now().Add(maxAhead+time.Microsecond)) {
				t.Fatalf("%q was read with the time %v", text, body.notBefore)
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

func TestDecodeSubmission_members(t *testing.T) {
	ahead := time.Now().Add(maxAhead)
	quoted := func(member, value string) string { return `"` + member + `":` + string(appendString(nil, value)) }
	for name, c := range map[string]struct {
		member string
		fault  string // its field and code; empty if the value is accepted
	}{
		"a reason":                      {quoted("reason", "sent by mistake"), ""},
		"the longest reason":            {quoted("reason", strings.Repeat("é", 255)), ""},
		"a reason that is too long":     {quoted("reason", strings.Repeat("é", 256)), "reason too_long"},
		"a reason with NUL":             {`"reason":"a\u0000"`, "reason invalid_characters"},
		"a reason of null":              {`"reason":null`, "reason wrong_type"},
		"two reasons":                   {`"reason":"a","reason":"a"`, "reason duplicate_field"},
		"a message":                     {quoted("candidate_message", "Dear all,\nthank you.\r\nThe team\r"), ""},
		"the longest message":           {quoted("candidate_message", strings.Repeat("é", 1000)), ""},
		"a message that is too long":    {quoted("candidate_message", strings.Repeat("é", 1001)), "candidate_message too_long"},
		"a message with a tab":          {quoted("candidate_message", "a\tb"), "candidate_message invalid_characters"},
		"a message with an escape":      {`"candidate_message":"a\u001bb"`, "candidate_message invalid_characters"},
		"a message with a C1 control":   {`"candidate_message":"a\u0085b"`, "candidate_message invalid_characters"},
		"a message with half a pair":    {`"candidate_message":"\ud800"`, "candidate_message invalid_characters"},
		"a message of a number":         {`"candidate_message":1`, "candidate_message wrong_type"},
		"a time":                        {`"not_before":"2026-01-01T00:00:00+05:30"`, ""},
		"a time long ago":               {`"not_before":"0000-01-01T00:00:00+01:00"`, ""},
		"the latest time":               {quoted("not_before", ahead.Format(time.RFC3339)), ""},
		"a time that is too late":       {quoted("not_before", ahead.Add(time.Minute).Format(time.RFC3339)), "not_before out_of_range"},
		"a time without a zone":         {`"not_before":"2026-01-01T00:00:00"`, "not_before invalid_format"},
		"a time that is no day":         {`"not_before":"2026-02-30T00:00:00Z"`, "not_before invalid_format"},
		"a time of a number":            {`"not_before":1767225600`, "not_before wrong_type"},
		"a time with half a pair":       {`"not_before":"\ud800"`, "not_before invalid_format"},
		"two times":                     {`"not_before":"2026-01-01T00:00:00Z","not_before":"2026-01-01T00:00:00Z"`, "not_before duplicate_field"},
		"a member that jobs alone have": {`"label":"a"`, "label unknown_field"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults, err := decodeSubmission([]byte(`{"report_id":1,` + c.member + `}`))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range faults {
				got += f.Field + " " + f.Code
			}
			if got != c.fault {
				t.Errorf("faults %+v, want %q", faults, c.fault)
			}
		})
	}
	t.Run("an item has no message and no time", func(t *testing.T) {
		_, faults, err := decodeItem([]byte(`{"report_id":1,"reason":"a","candidate_message":"b","not_before":"2026-01-01T00:00:00Z"}`))
		if err != nil || len(faults) != 2 || faults[0].Code != "unknown_field" || faults[1].Code != "unknown_field" {
			t.Errorf("%+v, %v", faults, err)
		}
	})
}
