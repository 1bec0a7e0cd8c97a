package upstream

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"
	"unicode"

	"rescind/internal/revocation"
)

// maxTimestamp is how many characters of a timestamp are returned at most.
const maxTimestamp = 64

// document is the parsed body of an answer.
type document struct {
	// isJSON reports whether the body is a JSON object, or another JSON value with a Content-Type of JSON.
	isJSON bool
	// status is a documented status, or empty.
	status    revocation.Status
	timestamp string
}

// byteOrderMark is at the beginning of some servers' answers. JSON does not allow it.
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

// members returns the members of a valid JSON object by their exact names. The value of a duplicate name is nil, because it
// is unknown which value is meant.
func members(object []byte) map[string]json.RawMessage {
	fields := make(map[string]json.RawMessage)
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token() // the brace; the object is valid, so there are no errors
	for dec.More() {
		token, _ := dec.Token()
		var value json.RawMessage
		_ = dec.Decode(&value)
		name, _ := token.(string)
		if _, duplicate := fields[name]; duplicate {
			value = nil
		}
		fields[name] = value
	}
	return fields
}

// text returns the content of a JSON string or the digits of a number, and "" for other values.
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
