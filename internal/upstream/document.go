package upstream

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"
	"unicode"

	"rescind/internal/revocation"
)

// maxTimestamp bounds what is handed on of a timestamp, in characters.
const maxTimestamp = 64

// document is an answer's body as far as it can be understood.
type document struct {
	// isJSON tells that the body is a JSON object, or another JSON value that the header says is JSON.
	isJSON bool
	// status is one of the documented ones, or empty.
	status    revocation.Status
	timestamp string
}

// byteOrderMark begins what some servers write; it is no part of JSON.
var byteOrderMark = []byte("\xef\xbb\xbf")

func (a answer) document() document {
	body := bytes.TrimSpace(bytes.TrimPrefix(a.body, byteOrderMark))
	if !json.Valid(body) {
		return document{}
	}
	if body[0] != '{' {
		return document{isJSON: declaresJSON(a.header.Get("Content-Type"))}
	}
	d := document{isJSON: true}
	fields := members(body)
	switch status := revocation.Status(text(fields["status"])); status {
	case revocation.StatusRevoked, revocation.StatusAlreadyRevoked, revocation.StatusErrorRevoking:
		d.status = status
	case revocation.StatusNotAllowed:
		d.status = status
		d.timestamp = printable(text(fields["timestamp"]))
	}
	return d
}

func declaresJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// members are those of a valid JSON object, by their exact names. One that stands there twice counts as
// absent: nobody knows which of the two is meant.
func members(object []byte) map[string]json.RawMessage {
	fields := make(map[string]json.RawMessage)
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token() // the brace; the object is valid, so nothing here can fail
	for dec.More() {
		token, _ := dec.Token()
		var value json.RawMessage
		_ = dec.Decode(&value)
		name, _ := token.(string)
		if _, twice := fields[name]; twice {
			value = nil
		}
		fields[name] = value
	}
	return fields
}

// text is the content of a JSON string, and a number's digits; anything else is empty.
func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(value, &n) == nil {
		return n.String()
	}
	return ""
}

func printable(s string) string {
	var out []rune
	for _, r := range s {
		if len(out) == maxTimestamp {
			break
		}
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			out = append(out, r)
		}
	}
	return strings.TrimSpace(string(out))
}
