package api_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	asXLSX  = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	asBytes = "application/octet-stream"
	asExcel = "application/vnd.ms-excel"
)

// written returns a file that a spreadsheet program has written.
func written(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "rows", "testdata", "files", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// part is a part of a form: a field, or a file if it has a file name. An empty type is omitted.
type part struct{ name, file, media, content string }

// formOf returns a form and its media type.
func formOf(t *testing.T, parts ...part) (media, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		disposition := `form-data; name="` + p.name + `"`
		if p.file != "" {
			disposition += `; filename="` + p.file + `"`
		}
		h.Set("Content-Disposition", disposition)
		if p.media != "" {
			h.Set("Content-Type", p.media)
		}
		f, err := w.CreatePart(h)
		if err == nil {
			_, err = f.Write([]byte(p.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

func TestNewJob_files(t *testing.T) {
	w := newWorld(t)
	outcomes := []string{"1 318 REVOKED mail [ref, 1]", `2 319 REVOKED [say "hi"; ok]`, "3 320 REVOKED"}
	seen := []string{"1 318 ALREADY_REVOKED mail [ref, 1]", `2 319 ALREADY_REVOKED [say "hi"; ok]`, "3 320 ALREADY_REVOKED"}
	usual := func(separator, encoding, sheet string) string {
		return fmt.Sprintf(`{"format":"csv","separator":%s,"encoding":%s,"sheet":%s,"columns":{"client_reference":"Client Reference","notify_candidate":"Notify Candidate","report_id":"Report ID"},"ignored":["Name"]}`,
			separator, encoding, sheet)
	}
	workbook := func(sheet string) string {
		return strings.Replace(usual("null", "null", `"`+sheet+`"`), `"csv"`, `"xlsx"`, 1)
	}
	for i, c := range []struct{ media, query, file, want string }{
		{asXLSX, "", "openpyxl.xlsx", workbook("Sheet")},
		{"text/csv; charset=utf-16", "", "libreoffice-utf16.csv", usual(`"\t"`, `"utf-16le"`, "null")},
		{asBytes, "", "sheetjs.xlsx", workbook("Sheet1")},
		{asExcel, "", "r-write-csv2.csv", usual(`";"`, `"utf-8"`, "null")},
		{asXLSX, "?sheet=Liste+1", "openpyxl-cover.xlsx", workbook("Liste 1")},
		{asCSV, "", "exceljs.xlsx", workbook("List")},
	} {
		t.Run(c.file, func(t *testing.T) {
			a := w.upload(c.media, c.query, written(t, c.file))
			a.want(t, http.StatusAccepted, "")
			if !strings.Contains(a.body, `"file":`+c.want+`,"progress"`) {
				t.Errorf("%s, want %s", a.body, c.want)
			}
			w.call(http.MethodGet, a.header.Get("Location"), "", "Prefer", "wait=30")
			want := seen
			if i == 0 {
				want = outcomes
			}
			got := w.results(a)
			for i := range got {
				got[i] = strings.Replace(got[i], "NOT_FOUND", "ALREADY_REVOKED", 1)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the row of the sheet", func(t *testing.T) {
		media, body := formOf(t, part{"file", "x.csv", asCSV, "sep=;\nreport_id;x\n\n;\n3.18E+10;\n"})
		a := w.upload(media, "", body)
		a.want(t, http.StatusAccepted, "")
		want := []string{"1 INVALID Line 5: report_id is a power of ten, because the spreadsheet has lost digits. Format the column as text and enter it again."}
		if diff := cmp.Diff(want, w.results(a)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	for name, c := range map[string]struct {
		media, query, body, faults string
	}{
		"a sheet that is not there":     {asXLSX, "?sheet=Cover+2", written(t, "openpyxl-cover.xlsx"), "sheet unknown_value"},
		"a sheet without the column":    {asXLSX, "?sheet=Cover", written(t, "openpyxl-cover.xlsx"), "report_id required"},
		"a sheet of a text":             {asCSV, "?sheet=Cover", "report_id\n1\n", "sheet unknown_value"},
		"a sheet of NDJSON":             {asNDJSON, "?sheet=Cover", `{"report_id":1}`, "sheet unknown_field"},
		"a sheet of JSON":               {asJSON, "?sheet=Cover", `{"report_ids":[1]}`, "sheet unknown_field"},
		"an OpenDocument spreadsheet":   {asBytes, "", written(t, "libreoffice.ods"), "report_id required"},
		"an old workbook":               {asExcel, "", written(t, "libreoffice.xls"), "report_id required"},
		"JSON":                          {asBytes, "", `{"report_ids":[1]}`, "report_id required"},
		"half a workbook":               {asXLSX, "", written(t, "openpyxl.xlsx")[:3000], "body invalid_format"},
		"a query with a form":           {"multipart/form-data; boundary=x", "?label=x", "--x--", "label unknown_field"},
		"a form that is none":           {"multipart/form-data; boundary=x", "", "report_id\n1\n", "body invalid_format"},
		"a form that breaks off":        {"multipart/form-data; boundary=x", "", "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nreport_id\n1\n", "body invalid_format"},
		"a form without an end":         {"multipart/form-data; boundary=x", "", "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nreport_id\n1\n\r\n--x", "body invalid_format"},
		"a form without a file":         {"multipart/form-data; boundary=x", "", "--x\r\nContent-Disposition: form-data; name=\"label\"\r\n\r\nx\r\n--x--\r\n", "file required"},
		"a form of nothing":             {"multipart/form-data; boundary=x", "", "--x--\r\n", "file required"},
		"a form with more after a file": {"multipart/form-data; boundary=x", "", "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nreport_id\n1\n\r\n--x\r\nContent-Disposition: form-data; name=\"label\"\r\n\r\nx\r\n--x--\r\n", "body unknown_field"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.upload(c.media, c.query, c.body)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if got := strings.Join(faultsOf(t, a), ", "); got != c.faults {
				t.Errorf("%s: %s", got, a.body)
			}
		})
	}
	t.Run("a form without a boundary", func(t *testing.T) {
		w.upload("multipart/form-data", "", "x").want(t, http.StatusUnsupportedMediaType, "unsupported_media_type")
	})
}

func TestNewJob_forms(t *testing.T) {
	w := newWorld(t)
	const csv = "report_id\r\n320\r\n"
	for name, c := range map[string]struct {
		parts  []part
		status int
		want   string
	}{
		"a file alone":            {[]part{{"file", "a.csv", asCSV, csv}}, 202, "null 1"},
		"fields":                  {[]part{{"label", "", "", "März"}, {"notify_candidate", "", "", "true"}, {"sheet", "", "", ""}, {"file", "a.csv", asExcel, csv}}, 202, "März 1"},
		"a text":                  {[]part{{"file", "a.txt", "text/plain", csv}}, 202, "null 1"},
		"tabs":                    {[]part{{"file", "a.tsv", "text/tab-separated-values", csv}}, 202, "null 1"},
		"no type":                 {[]part{{"file", "a", "", csv}}, 202, "null 1"},
		"a workbook":              {[]part{{"sheet", "", "", "Liste 1"}, {"file", "a.xlsx", asXLSX, written(t, "openpyxl-cover.xlsx")}}, 202, "null 3"},
		"NDJSON":                  {[]part{{"label", "", "", "x"}, {"file", "a", asNDJSON, `{"report_id":320}`}}, 202, "x 1"},
		"JSON":                    {[]part{{"file", "a", asJSON, `{"report_ids":[320],"label":"y"}`}}, 202, "y 1"},
		"JSON and a field":        {[]part{{"label", "", "", "x"}, {"file", "a", asJSON, `{"report_ids":[320]}`}}, 202, "x 1"},
		"JSON and an empty field": {[]part{{"label", "", "", ""}, {"file", "a", asJSON, `{"report_ids":[320],"label":"y"}`}}, 202, "y 1"},
		"JSON with that field":    {[]part{{"label", "", "", "x"}, {"file", "a", asJSON, `{"report_ids":[320],"label":"y"}`}}, 422, "label duplicate_field"},
		"JSON and a sheet":        {[]part{{"sheet", "", "", "x"}, {"file", "a", asJSON, `{"report_ids":[320]}`}}, 422, "sheet unknown_field"},
		"another field":           {[]part{{"lable", "", "", "x"}, {"file", "a", asCSV, csv}}, 422, "lable unknown_field"},
		"a field twice":           {[]part{{"label", "", "", "x"}, {"label", "", "", "y"}, {"file", "a", asCSV, csv}}, 422, "label duplicate_field"},
		"a wrong field":           {[]part{{"notify_candidate", "", "", "on"}, {"file", "a", asCSV, csv}}, 422, "notify_candidate wrong_type"},
		"a large field":           {[]part{{"label", "", "", strings.Repeat("x", 5000)}, {"file", "a", asCSV, csv}}, 422, "label too_long"},
		"many fields":             {append(make([]part, 40), part{"file", "a", asCSV, csv}), 422, "body too_long"},
		"another type":            {[]part{{"file", "a", "image/png", csv}}, 415, ""},
		"a form in a form":        {[]part{{"file", "a", "multipart/form-data; boundary=x", csv}}, 415, ""},
	} {
		t.Run(name, func(t *testing.T) {
			media, body := formOf(t, c.parts...)
			a := w.upload(media, "", body)
			a.want(t, c.status, "")
			got := ""
			switch c.status {
			case http.StatusAccepted:
				label := "null"
				if l, ok := a.json(t)["label"].(string); ok {
					label = l
				}
				got = fmt.Sprint(label, " ", a.json(t)["total"])
			case http.StatusUnprocessableEntity:
				got = strings.Join(faultsOf(t, a), ", ")
			}
			if got != c.want {
				t.Errorf("%s: %s", got, a.body)
			}
		})
	}
	t.Run("gzip", func(t *testing.T) {
		media, body := formOf(t, part{"file", "a.csv", asCSV, csv})
		w.upload(media, "", gzipped(t, body), "Content-Encoding", "gzip").want(t, http.StatusAccepted, "")
	})
	t.Run("notify_candidate", func(t *testing.T) {
		media, body := formOf(t, part{"notify_candidate", "", "", "true"}, part{"file", "a.csv", asCSV, "report_id\n777\n"})
		a := w.upload(media, "", body)
		w.call(http.MethodGet, a.header.Get("Location"), "", "Prefer", "wait=30")
		if diff := cmp.Diff([]string{"1 777 NOT_FOUND mail"}, w.results(a)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("an idempotency key compares the fields, and the file's bytes and type", func(t *testing.T) {
		send := func(parts ...part) answer {
			media, body := formOf(t, parts...) // each form has another boundary
			return w.upload(media, "", body, "Idempotency-Key", "form")
		}
		first := send(part{"label", "", "", "x"}, part{"file", "a.csv", asCSV, csv})
		first.want(t, http.StatusAccepted, "")
		again := send(part{"notify_candidate", "", "", "false"}, part{"label", "", "", "x"}, part{"file", "b.csv", asCSV, csv})
		again.want(t, http.StatusAccepted, "")
		if first.str(t, "id") != again.str(t, "id") {
			t.Errorf("%s %s", first.body, again.body)
		}
		for name, parts := range map[string][]part{
			"label":            {{"label", "", "", "y"}, {"file", "a.csv", asCSV, csv}},
			"notify_candidate": {{"label", "", "", "x"}, {"notify_candidate", "", "", "true"}, {"file", "a.csv", asCSV, csv}},
			"sheet":            {{"label", "", "", "x"}, {"sheet", "", "", "x"}, {"file", "a.csv", asCSV, csv}},
			"type":             {{"label", "", "", "x"}, {"file", "a.csv", asExcel, csv}},
			"bytes":            {{"label", "", "", "x"}, {"file", "a.csv", asCSV, csv + "1"}},
		} {
			a := send(parts...)
			if a.status != http.StatusUnprocessableEntity || a.str(t, "code") != "idempotency_mismatch" {
				t.Errorf("another %s: %d %s", name, a.status, a.body)
			}
		}
	})
}

// TestNewJob_filesOfUsers sends files that users have sent and that an earlier version refused.
func TestNewJob_filesOfUsers(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"a column in another case": {"report_id,Notify_Candidate\r\n335,true\r\n", []string{"1 335 REVOKED mail"}},
		"booleans in capitals":     {"report_id,notify_candidate\r\n332,TRUE\r\n333,FALSE\r\n", []string{"1 332 REVOKED mail", "2 333 REVOKED"}},
		"a header as people write": {"Report ID,Client Reference\r\n320,a\r\n", []string{"1 320 REVOKED [a]"}},
		"rows of commas":           {"report_id,notify_candidate,client_reference\r\n321,,a\r\n,,\r\n,,\r\n,,\r\n", []string{"1 321 REVOKED [a]"}},
		"short rows":               {"report_id,notify_candidate,client_reference\r\n322\r\n323,true\r\n324,,\r\n", []string{"1 322 REVOKED", "2 323 REVOKED mail", "3 324 REVOKED"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.upload(asCSV, "", c.body)
			a.want(t, http.StatusAccepted, "")
			w.call(http.MethodGet, a.header.Get("Location"), "", "Prefer", "wait=30")
			if diff := cmp.Diff(c.want, w.results(a)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
