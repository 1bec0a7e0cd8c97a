package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/rows"
)

// FuzzDecodeJobDocument compares the reader of JSON jobs with encoding/json: it must accept the same texts as JSON, and
// find the same items.
func FuzzDecodeJobDocument(f *testing.F) {
	for _, seed := range []string{
		`{"report_ids":[1,2,"x"],"notify_candidate":true,"label":"é"}`, `{"items":[{"report_id":1,"client_reference":"\ud83d\ude00"},{}]}`,
		`{"x":[[{"y":"]"}]],"items":[]} `, `[1]`, `{"report_ids":[1}`, "{\"label\":\"\xff\"}", `{"report_ids":[1],"report_ids":[]}{}`,
		`{"label":"\"},","report_ids":[-0,1e5,{"a":[]}]}`, "\ufeff{\"report_ids\":[1]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := readJob(t, mediaJSON, bytes.NewReader(body))
		if diff := cmp.Diff(got, readJob(t, mediaJSON, iotest.OneByteReader(bytes.NewReader(body))), cmp.AllowUnexported(decoded{})); diff != "" {
			t.Fatalf("%q, whole and byte by byte:\n%s", body, diff)
		}
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
		isJSON := json.Valid(body) && utf8.Valid(body)
		if got.problem != "" {
			if isJSON == (got.problem == "400") && len(body) < maxRest {
				t.Fatalf("%q returned %s", body, got.problem)
			}
			return
		}
		if !isJSON {
			t.Fatalf("%q was taken", body)
		}
		var reference struct {
			IDs    []json.RawMessage `json:"report_ids"`
			Items  []json.RawMessage `json:"items"`
			Notify bool              `json:"notify_candidate"`
			Label  *string           `json:"label"`
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&reference); err != nil {
			t.Fatalf("%q was taken: %v", body, err)
		}
		if want := fmt.Sprintf("%t %s", reference.Notify, orDash(reference.Label)); got.job != want {
			t.Fatalf("%q returned %q, want %q", body, got.job, want)
		}
		if len(got.items) != len(reference.IDs)+len(reference.Items) || len(got.items) == 0 {
			t.Fatalf("%q returned %q", body, got.items)
		}
		for i, raw := range reference.IDs {
			var id int64
			ok := json.Unmarshal(raw, &id) == nil && id > 0
			if want := fmt.Sprintf("%d - -", id); ok != (got.items[i] == want) {
				t.Fatalf("%s was read as %q", raw, got.items[i])
			}
		}
		for i, raw := range reference.Items {
			if want := shown(t, itemOf(decodeItem(raw))); got.items[i] != want {
				t.Fatalf("%s was read as %q, want %q", raw, got.items[i], want)
			}
		}
	})
}

// FuzzDecodeTable searches for items that the reader must never accept. The tests of package rows check the cells.
func FuzzDecodeTable(f *testing.F) {
	for _, seed := range []string{
		"report_id\n1\n", "\ufeffreport_id,notify_candidate,client_reference\r\n1,true,\"a\nb\"\r\n\r\n2,,\"\n3,x\"y,z\n", "a;b", "report_id,\"", " report_id , x\n 1 ,\xff\n",
		"sep=;\nReport ID;x\n1.0;\n3.18E+10;\n", "\xff\xfer\x00e\x00p\x00o\x00r\x00t\x00i\x00d\x00\n\x001\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := readJob(t, mediaCSV, bytes.NewReader(body))
		if diff := cmp.Diff(got, readJob(t, mediaCSV, iotest.OneByteReader(bytes.NewReader(body))), cmp.AllowUnexported(decoded{})); diff != "" {
			t.Fatalf("%q, whole and byte by byte:\n%s", body, diff)
		}
		if got.problem != "" && !strings.HasPrefix(got.problem, "422 ") && !strings.HasPrefix(got.problem, "413") {
			t.Fatalf("%q returned %+v", body, got)
		}
	})
}

// FuzzDecodeNDJSON compares each line with the same text as a submission.
func FuzzDecodeNDJSON(f *testing.F) {
	for _, seed := range []string{"{\"report_id\":1}\n\n{\"report_id\":2,\"notify_candidate\":true}\r\n{", "\ufeff{}\n\xff\n \t", "[\n]\n\"a\\n\"\r\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := readJob(t, mediaNDJSON, bytes.NewReader(body))
		if diff := cmp.Diff(got, readJob(t, mediaNDJSON, iotest.OneByteReader(bytes.NewReader(body))), cmp.AllowUnexported(decoded{})); diff != "" {
			t.Fatalf("%q, whole and byte by byte:\n%s", body, diff)
		}
		var want []string
		for number, line := range linesOf(body) {
			item := shown(t, itemOf(decodeItem(line)))
			if len(line) > rows.MaxRow {
				item = "! The row is longer than 64 KiB. -"
			}
			if reason, ok := strings.CutPrefix(item, "! "); ok {
				item = fmt.Sprintf("! Line %d: %s", number, reason)
			}
			want = append(want, item)
		}
		if diff := cmp.Diff(want, got.items); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", body, diff)
		}
	})
}

// linesOf returns the lines that are not blank and their numbers, in the simplest way.
func linesOf(body []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		number := 0
		for line := range bytes.SplitSeq(bytes.TrimPrefix(body, []byte("\ufeff")), []byte("\n")) {
			number++
			line = bytes.TrimSuffix(line, []byte("\r"))
			if len(bytes.Trim(line, " \t\r")) > 0 && !yield(number, line) {
				return
			}
		}
	}
}
