package rows_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/rows"
)

// TestFiles reads what programs have written.
func TestFiles(t *testing.T) {
	usual := []string{"318 true ref, 1", `319 false say "hi"; ok`, "320  "}
	named := []string{"318", "319", "320"}
	for name := range named {
		named[name] += "  "
	}
	// The files that hold something else than the usual list.
	others := map[string][]string{
		"python-dictwriter.csv":       named,
		"sqlite-tabs.tsv":             named,
		"xlsxwriter-dates.xlsx":       {"318   2025-01-15 10:32:45"},
		"xlsxwriter-dates-1904.xlsx":  {"318   2025-01-15 10:32:45"},
		"libreoffice-dates-1904.xlsx": {"318   2025-01-15 10:32:45"},
		// What a database writes for a boolean is for the reader of the list to refuse.
		"postgres-copy.csv":      {"318 t ref, 1 2025-01-15 10:32:45+00", `319 f say "hi"; ok 2025-01-15 10:32:45+00`, "320   2025-01-15 10:32:45+00"},
		"postgres-semicolon.csv": {"318 t ref, 1 2025-01-15 10:32:45+00", `319 f say "hi"; ok 2025-01-15 10:32:45+00`, "320   2025-01-15 10:32:45+00"},
		"postgres-tab.tsv":       {"318 t ref, 1 2025-01-15 10:32:45+00", `319 f say "hi"; ok 2025-01-15 10:32:45+00`, "320   2025-01-15 10:32:45+00"},
		"psql.csv":               {"318 t ref, 1 2025-01-15 10:32:45+00", `319 f say "hi"; ok 2025-01-15 10:32:45+00`, "320   2025-01-15 10:32:45+00"},
		"postgres-text.tsv":      {"318 t ref, 1 2025-01-15 10:32:45+00", "319 ! " + rows.ErrQuote.Error(), `320 \N \N 2025-01-15 10:32:45+00`},
	}
	refused := map[string]string{
		"libreoffice.ods": "an OpenDocument spreadsheet (.ods)", "gnumeric.ods": "an OpenDocument spreadsheet (.ods)", "sheetjs.ods": "an OpenDocument spreadsheet (.ods)",
		"libreoffice.xls": "an Excel 97 workbook (.xls)", "sheetjs.xls": "an Excel 97 workbook (.xls)", "sheetjs.xlsb": "a binary Excel workbook (.xlsb)",
		"libreoffice.pdf": "a PDF", "libreoffice.html": "HTML", "sheetjs.html": "HTML", "libreoffice.fods": "XML", "sheetjs-2003.xml": "an Excel 2003 XML workbook",
		"sqlite.json": "JSON", "xlsx-populate-password.xlsx": "a workbook that is protected by a password",
	}
	files, err := filepath.Glob("testdata/files/*")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	o := rows.Options{Columns: []string{"report_id", "notify_candidate", "client_reference", "sent_at"}, Required: 1}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			info, lines, err := read(t, f, o)
			if kind, ok := refused[name]; ok {
				if failed, ok := errors.AsType[*rows.FileError](err); !ok || !strings.HasPrefix(failed.Detail, "This is "+kind) {
					t.Errorf("%v, want %s", err, kind)
				}
				return
			}
			if err != nil {
				t.Fatalf("%+v: %v", info, err)
			}
			want, ok := others[name]
			if !ok {
				want = usual
			}
			var got []string
			for i, line := range lines {
				_, cells, _ := strings.Cut(line, " @")
				_, cells, _ = strings.Cut(cells, " ")
				if strings.HasPrefix(cells, "! ") {
					got = append(got, fmt.Sprint(318+i)+" "+cells)
					continue
				}
				got = append(got, meant(t, strings.Split(cells, "|")))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", info, diff)
			}
		})
	}
}

// meant is what a row's cells mean: a number, a boolean, and texts.
func meant(t *testing.T, cells []string) string {
	t.Helper()
	id, err := rows.Integer(cells[0])
	if err != nil {
		t.Errorf("%q: %v", cells[0], err)
	}
	wish := cells[1]
	if value, ok := rows.Bool(wish); ok {
		wish = fmt.Sprint(value)
	}
	s := fmt.Sprintf("%d %s %s", id, wish, cells[2])
	if cells[3] != "" {
		s += " " + cells[3]
	}
	return s
}
