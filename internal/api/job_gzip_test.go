package api_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNewJob_gzip checks that a gzip stream with any fault is refused as a whole, although all its items could be read.
func TestNewJob_gzip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form, fields := formOf(t, part{"file", "a.csv", asCSV, manyRows(3)})
	book, err := os.ReadFile(filepath.Join("..", "rows", "testdata", "files", "openpyxl.xlsx"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ media, body string }{
		"CSV":       {asCSV, manyRows(3)},
		"long CSV":  {asCSV, manyRows(piece + 1)}, // a part of it is written before the fault is read
		"NDJSON":    {asNDJSON, "{\"report_id\":318}\n"},
		"JSON":      {asJSON, `{"report_ids":[318]}`},
		"a form":    {form, fields},
		"workbook":  {asXLSX, string(book)},
		"not named": {"application/octet-stream", manyRows(3)},
	} {
		packed, empty := gzipped(t, c.body), gzipped(t, "")
		header, sum, size := packed[:len(packed)-8], packed[len(packed)-8:len(packed)-4], packed[len(packed)-4:]
		other := string([]byte{sum[0] ^ 1}) + sum[1:]
		for fault, broken := range map[string]string{
			"text behind it":                packed + "x",
			"zeros behind it":               packed + strings.Repeat("\x00", 512),
			"a header alone behind it":      packed + packed[:10],
			"half a member behind it":       packed + empty[:len(empty)/2],
			"another checksum":              header + other + size,
			"another size":                  header + sum + string([]byte{size[0] ^ 1}) + size[1:],
			"another checksum, then a good": header + other + size + empty,
			"no checksum":                   header,
			"no size":                       header + sum,
			"half of it":                    packed[:len(packed)/2],
			"a header alone":                packed[:10],
			"half a header":                 packed[:5],
			"a method that is not known":    packed[:2] + "\x07" + packed[3:],
			"zlib":                          "\x78\x9c" + packed[10:],
		} {
			t.Run("gzip of "+name+", "+fault, func(t *testing.T) {
				a := w.upload(c.media, "", broken, "Content-Encoding", "gzip", "Idempotency-Key", "k")
				a.want(t, http.StatusBadRequest, "malformed_json")
				if a.str(t, "detail") != "The body is not a complete gzip stream." {
					t.Error(a.body)
				}
				w.wantNothing(t)
			})
		}
	}
	t.Run("several members are one text", func(t *testing.T) {
		text, packed := manyRows(3), ""
		for _, c := range text {
			packed += gzipped(t, string(c))
		}
		a := w.upload(asCSV, "", packed, "Content-Encoding", "gzip", "Idempotency-Key", "k")
		a.want(t, http.StatusAccepted, "")
		again := w.upload(asCSV, "", gzipped(t, text), "Content-Encoding", "gzip", "Idempotency-Key", "k")
		again.want(t, http.StatusAccepted, "")
		if a.json(t)["total"] != 3.0 || again.str(t, "id") != a.str(t, "id") {
			t.Errorf("%s, %s", a.body, again.body)
		}
	})
}
