package rows_test

import (
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rescind/internal/rows"
)

var jobColumns = rows.Options{Columns: []string{"report_id", "notify_candidate", "client_reference"}, Required: 1}

// utf16Of is a text in UTF-16.
func utf16Of(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// read reads a file whole: what was recognised, and a line for each row with its number, its place and its cells. An
// error ends it.
func read(t *testing.T, src io.Reader, o rows.Options) (info rows.Info, lines []string, failed error) {
	t.Helper()
	table, err := rows.Open(src, o)
	if err != nil {
		return info, nil, err
	}
	defer func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}()
	for {
		row, err := table.Next()
		unreadable, ok := errors.AsType[rows.Error](err)
		switch {
		case errors.Is(err, io.EOF):
			return table.Info, lines, nil
		case ok:
			lines = append(lines, fmt.Sprintf("%d @%d ! %s", row.Number, row.Line, unreadable))
		case err != nil:
			return table.Info, lines, err
		default:
			lines = append(lines, fmt.Sprintf("%d @%d %s", row.Number, row.Line, strings.Join(row.Cells, "|")))
		}
	}
}

func TestTable_dialects(t *testing.T) {
	rowsOf := func(first int) []string {
		return []string{fmt.Sprintf("1 @%d 320|TRUE|a", first), fmt.Sprintf("2 @%d 321||b", first+1)}
	}
	const comma = "report_id,notify_candidate,client_reference\n320,TRUE,a\n321,,b\n"
	with := func(sep string) string { return strings.ReplaceAll(comma, ",", sep) }
	for name, c := range map[string]struct {
		text, separator, encoding string
		want                      []string
	}{
		"commas":                        {comma, ",", "utf-8", rowsOf(2)},
		"semicolons":                    {with(";"), ";", "utf-8", rowsOf(2)},
		"tabs":                          {with("\t"), "\t", "utf-8", rowsOf(2)},
		"vertical bars":                 {with("|"), "|", "utf-8", rowsOf(2)},
		"sep=":                          {"sep=;\r\n" + with(";"), ";", "utf-8", rowsOf(3)},
		"sep= of a tab":                 {"SEP=\t\n" + with("\t"), "\t", "utf-8", rowsOf(3)},
		"sep= in quotes":                {"\ufeff\"sep=|\"\n" + with("|"), "|", "utf-8", rowsOf(3)},
		"sep= of another character":     {"sep=:\n" + with(":"), ":", "utf-8", rowsOf(3)},
		"CRLF":                          {strings.ReplaceAll(comma, "\n", "\r\n"), ",", "utf-8", rowsOf(2)},
		"CR":                            {strings.ReplaceAll(comma, "\n", "\r"), ",", "utf-8", rowsOf(2)},
		"CR, no break at the end":       {strings.TrimSuffix(strings.ReplaceAll(comma, "\n", "\r"), "\r"), ",", "utf-8", rowsOf(2)},
		"CR with LF in a cell":          {"report_id,x,client_reference\r320,\"1\n2\",a\r321,,b\r", ",", "utf-8", []string{"1 @2 320||a", "2 @3 321||b"}},
		"CR CR LF":                      {strings.ReplaceAll(comma, "\n", "\r\r\n"), ",", "utf-8", rowsOf(2)},
		"a mark":                        {"\ufeff" + comma, ",", "utf-8", rowsOf(2)},
		"UTF-16LE with a mark":          {utf16Of(binary.LittleEndian, "\ufeff"+with("\t")), "\t", "utf-16le", rowsOf(2)},
		"UTF-16BE with a mark":          {utf16Of(binary.BigEndian, "\ufeff"+with(";")), ";", "utf-16be", rowsOf(2)},
		"UTF-16LE":                      {utf16Of(binary.LittleEndian, comma), ",", "utf-16le", rowsOf(2)},
		"UTF-16BE":                      {utf16Of(binary.BigEndian, strings.ReplaceAll(comma, "\n", "\r")), ",", "utf-16be", rowsOf(2)},
		"UTF-16 after blank lines":      {utf16Of(binary.LittleEndian, "\r\n\r\n"+comma), ",", "utf-16le", rowsOf(4)},
		"UTF-16 with a Chinese column":  {utf16Of(binary.BigEndian, "被邀请参加评估的候选人的姓名,report_id\n王,320\n"), ",", "utf-16be", []string{"1 @2 320||"}},
		"quoted names":                  {"\"Report ID\";\"Notify-Candidate\";\"CLIENT REFERENCE\"\n320;TRUE;a\n321;;b\n", ";", "utf-8", rowsOf(2)},
		"names in other forms":          {" reportid\u00a0,NotifyCandidate ,Client_Reference\n320,TRUE,a\n321,,b\n", ",", "utf-8", rowsOf(2)},
		"another separator in a name":   {"report_id,\"a;b|c\td\",client_reference\n320,,a\n", ",", "utf-8", []string{"1 @2 320||a"}},
		"a column alone":                {"report_id\n320\n", ",", "utf-8", []string{"1 @2 320||"}},
		"rows without a filled cell":    {"\n,,\nreport_id,x,client_reference\n,,\n \t\n320,,a\n\"\",,\n,x\n", ",", "utf-8", []string{"1 @6 320||a", "2 @8 ||"}},
		"empty rows before the header":  {";;;\n;;;\nreport_id;;;\n320;;;\n", ";", "utf-8", []string{"1 @4 320||"}},
		"short rows":                    {"report_id,notify_candidate,client_reference\n320\n321,true\n322,,\n", ",", "utf-8", []string{"1 @2 320||", "2 @3 321|true|", "3 @4 322||"}},
		"a row that is too long":        {"report_id,client_reference\n1,2,3\n2,b,\n", ",", "utf-8", []string{"1 @2 ! it has more cells than the header", "2 @3 2||b"}},
		"a record of several lines":     {"report_id,client_reference\n1,\"a\nb\n\"\n2,c\n", ",", "utf-8", []string{"1 @2 1||a\nb", "2 @5 2||c"}},
		"a quote that is never closed":  {"report_id,client_reference\n1,\"a\n2,c\n", ",", "utf-8", []string{"1 @2 ! " + rows.ErrQuote.Error(), "2 @3 2||c"}},
		"a header of two lines":         {"report_id,\"client\nreference\"\n1,a\n", ",", "utf-8", []string{"1 @3 1||a"}},
		"a header alone":                {"report_id\n", ",", "utf-8", nil},
		"a header alone without an end": {"report_id", ",", "utf-8", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for cut, src := range map[string]io.Reader{
				"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
				"with the end at once": iotest.DataErrReader(strings.NewReader(c.text)),
			} {
				info, got, err := read(t, src, jobColumns)
				if err != nil || info.Format != "csv" || info.Separator != c.separator || info.Encoding != c.encoding {
					t.Errorf("%s: %+v %v", cut, info, err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", cut, diff)
				}
			}
		})
	}
}

func TestTable_info(t *testing.T) {
	long := strings.Repeat("é", 70)
	table, err := rows.Open(strings.NewReader("Report ID;Name;;\x1b[31m;"+long+";NOTIFY-CANDIDATE\n"), jobColumns)
	if err != nil {
		t.Fatal(err)
	}
	want := rows.Info{
		Format: "csv", Separator: ";", Encoding: "utf-8",
		Columns: map[string]string{"report_id": "Report ID", "notify_candidate": "NOTIFY-CANDIDATE"},
		Ignored: []string{"Name", "[31m", long[:2*64]},
	}
	if diff := cmp.Diff(want, table.Info); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOpen_saysHowToUseIt(t *testing.T) {
	o := rows.Options{Columns: []string{"report_id"}, Required: 1, IfJSON: "Use --json.", IfGzip: "Use --gzip."}
	for content, want := range map[string]string{
		`[318]`:                            "This is JSON. Use --json.",
		"\x1f\x8b\x08\x00\x00\x00\x00\x00": "This is a file packed by gzip. Use --gzip.",
		"%PDF-1.7\n":                       "This is a PDF. Save the list as CSV or .xlsx and use that.",
	} {
		if _, err := rows.Open(strings.NewReader(content), o); err == nil || err.Error() != want {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestOpen_saysWhatWasFound(t *testing.T) {
	const save = ". Save the list as CSV or .xlsx and use that."
	const must = "The first row must be a header that names the column report_id. "
	for name, c := range map[string]struct {
		content string
		reason  rows.Reason
		want    string
	}{
		"nothing":          {"", rows.NoColumn, "There is no header row. " + strings.TrimSpace(must)},
		"a mark":           {"\ufeff", rows.NoColumn, "There is no header row. " + strings.TrimSpace(must)},
		"blank lines":      {"\r\n\n;;\n", rows.NoColumn, "There is no header row. " + strings.TrimSpace(must)},
		"another column":   {"name;score\nx;1\n", rows.NoColumn, must + `It has these columns, separated by semicolons: "name", "score".`},
		"a near miss":      {"id\tname\n", rows.NoColumn, must + `It has these columns, separated by tabs: "id", "name". If "id" is meant, call it report_id.`},
		"a nearer miss":    {"name|Reportt ID\n", rows.NoColumn, must + `It has these columns, separated by vertical bars: "name", "Reportt ID". If "Reportt ID" is meant, call it report_id.`},
		"half a name":      {"Report\n1\n", rows.NoColumn, must + `It has one column: "Report". If "Report" is meant, call it report_id.`},
		"no header":        {"318,true\n319,false\n", rows.NoColumn, must + `It has these columns, separated by commas: "318", "true".`},
		"control bytes":    {"a\x1b[2Jb,c\u202e\n", rows.NoColumn, must + `It has these columns, separated by commas: "a [2Jb", "c".`},
		"a column twice":   {"report_id,Report-ID\n1,2\n", rows.ColumnTwice, "The header row names report_id more than once."},
		"broken quotes":    {"report_id,\"x\n1,2\n", rows.NoColumn, "The header row cannot be read: " + rows.ErrQuote.Error() + "."},
		"a PDF":            {"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", rows.NoColumn, "This is a PDF" + save},
		"HTML":             {"\r\n<!DOCTYPE html>\n<html><table><tr><td>report_id</td></tr></table>", rows.NoColumn, "This is HTML" + save},
		"a table of HTML":  {"<table><tr><td>report_id</td></tr></table>", rows.NoColumn, "This is HTML" + save},
		"XML":              {"<?xml version=\"1.0\"?>\n<list/>", rows.NoColumn, "This is XML" + save},
		"PNG":              {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", rows.NoColumn, "This is an image" + save},
		"JPEG":             {"\xff\xd8\xff\xe0\x00\x10JFIF", rows.NoColumn, "This is an image" + save},
		"an e-mail":        {"Received: from a by b\r\nSubject: list\r\n\r\nreport_id\r\n", rows.NoColumn, "This is an e-mail" + save},
		"a mailbox":        {"From a@example.com Mon Jan  1\nReceived: x\n", rows.NoColumn, "This is an e-mail" + save},
		"JSON":             {`{"report_ids": [318, 319]}`, rows.NoColumn, "This is JSON" + save},
		"NDJSON":           {"{\"report_id\":318}\n{\"report_id\":319}\n", rows.NoColumn, "This is JSON" + save},
		"gzip":             {"\x1f\x8b\x08\x00\x00\x00\x00\x00", rows.NoColumn, "This is a file packed by gzip" + save},
		"Rich Text":        {`{\rtf1\ansi report_id\par}`, rows.NoColumn, "This is a Rich Text document" + save},
		"a program":        {"\x7fELF\x02\x01\x01\x00\x00\x00", rows.NoColumn, "This is a binary file" + save},
		"an old workbook":  {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 100_000) + utf16Of(binary.LittleEndian, "Workbook\x00"), rows.NoColumn, "This is an Excel 97 workbook (.xls)" + save},
		"a protected one":  {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 65_520) + utf16Of(binary.LittleEndian, "EncryptedPackage\x00"), rows.NoColumn, "This is a workbook that is protected by a password. Save it without the password, or save the list as CSV, and use that."},
		"an old document":  {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", rows.NoColumn, "This is an old Office document" + save},
		"a zip archive":    {zipOf(t, "list.csv", "report_id\n1\n"), rows.NoColumn, "This is a zip archive" + save},
		"OpenDocument":     {zipOf(t, "mimetype", "application/vnd.oasis.opendocument.spreadsheet"), rows.NoColumn, "This is an OpenDocument spreadsheet (.ods)" + save},
		"Numbers":          {zipOf(t, "Index/Document.iwa", ""), rows.NoColumn, "This is an Apple Numbers spreadsheet" + save},
		"a Word document":  {zipOf(t, "word/document.xml", ""), rows.NoColumn, "This is a Word document" + save},
		"a torn archive":   {zipOf(t, "a", "b")[:20], rows.Damaged, "The workbook is damaged: it cannot be read to its end" + save},
		"letters as BMP's": {"BMI,score\n", rows.NoColumn, must + `It has these columns, separated by commas: "BMI", "score".`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(t, strings.NewReader(c.content), jobColumns)
			got, ok := errors.AsType[*rows.FileError](err)
			if !ok || got.Reason != c.reason {
				t.Fatalf("%v", err)
			}
			if diff := cmp.Diff(c.want, got.Detail); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a list that begins like something else", func(t *testing.T) {
		for _, header := range []string{"From: ,report_id", "<b>,report_id", "BM,report_id", "%PDF-,report_id", "[x],report_id"} {
			if _, got, err := read(t, strings.NewReader(header+"\n,1\n"), jobColumns); err != nil || len(got) != 1 {
				t.Errorf("%s: %v %v", header, got, err)
			}
		}
	})
	t.Run("many columns", func(t *testing.T) {
		_, _, err := read(t, strings.NewReader(strings.Repeat("column,", 9000)+"\n"), jobColumns)
		if err == nil || len(err.Error()) > 1000 || !strings.HasSuffix(err.Error(), " and more.") {
			t.Error(err)
		}
	})
	t.Run("several missing columns", func(t *testing.T) {
		o := rows.Options{Columns: []string{"report_id", "sent_at", "x"}, Required: 2}
		_, _, err := read(t, strings.NewReader("x,y\n"), o)
		contains(t, err.Error(), "names the columns report_id, sent_at. ")
	})
}

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%q is not in %q", part, text)
	}
}

// dialect is a way to write a table as text.
type dialect struct {
	separator, eol, encoding string
	mark, quoteAll, named    bool
}

func drawDialect(t *rapid.T) dialect {
	return dialect{
		separator: rapid.SampledFrom([]string{",", ";", "\t", "|"}).Draw(t, "separator"),
		eol:       rapid.SampledFrom([]string{"\n", "\r\n", "\r"}).Draw(t, "line end"),
		encoding:  rapid.SampledFrom([]string{"utf-8", "utf-16le", "utf-16be"}).Draw(t, "encoding"),
		mark:      rapid.Bool().Draw(t, "mark"), quoteAll: rapid.Bool().Draw(t, "quote all"), named: rapid.Bool().Draw(t, "sep="),
	}
}

// write is a table as a program would write it.
func (d dialect) write(table [][]string) string {
	var b strings.Builder
	if d.mark {
		b.WriteString("\ufeff")
	}
	if d.named {
		b.WriteString("sep=" + d.separator + d.eol)
	}
	for _, record := range table {
		for i, cell := range record {
			if i > 0 {
				b.WriteString(d.separator)
			}
			if d.quoteAll || strings.ContainsAny(cell, "\"\r\n"+d.separator) {
				cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
			}
			b.WriteString(cell)
		}
		b.WriteString(d.eol)
	}
	switch d.encoding {
	case "utf-16le":
		return utf16Of(binary.LittleEndian, b.String())
	case "utf-16be":
		return utf16Of(binary.BigEndian, b.String())
	default:
		return b.String()
	}
}

// TestTable_readsWhatIsWritten holds the reader to any table in any dialect.
func TestTable_readsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDialect(t)
		names := rapid.Permutation([]string{
			rapid.SampledFrom([]string{"report_id", "Report ID", "REPORT-ID", "reportid"}).Draw(t, "name"),
			rapid.SampledFrom([]string{"client_reference", "Client Reference"}).Draw(t, "name"),
			rapid.StringMatching(`[a-zé;,|" ]{0,12}`).Filter(func(s string) bool { return !strings.Contains(s, "report") }).Draw(t, "name"),
		}).Draw(t, "header")
		text := rapid.Map(rapid.OneOf(rapid.StringMatching(`[a-z0-9 ,;|"\té\n]{0,12}`), rapid.String()), func(s string) string {
			return strings.ReplaceAll(s, "\ufeff", "")
		})
		table := [][]string{names}
		for range rapid.IntRange(0, 20).Draw(t, "rows") {
			table = append(table, rapid.SliceOfN(text, 3, 3).Draw(t, "row"))
		}
		o := rows.Options{Columns: []string{"report_id", "client_reference"}, Required: 1, All: true}
		opened, err := rows.Open(strings.NewReader(d.write(table)), o)
		if err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		if opened.Info.Separator != d.separator || opened.Info.Encoding != d.encoding {
			t.Fatalf("%+v was taken for %+v", d, opened.Info)
		}
		number := 0
		for _, want := range table[1:] {
			if strings.TrimSpace(strings.Join(want, "")) == "" {
				continue
			}
			number++
			row, err := opened.Next()
			if err != nil || row.Number != number {
				t.Fatalf("row %d of %q: %v", number, d.write(table), err)
			}
			for i := range want {
				if diff := cmp.Diff(kept(want[i]), kept(row.All[i])); diff != "" {
					t.Fatalf("cell %d of row %d of %q (-want +got):\n%s", i, number, d.write(table), diff)
				}
			}
		}
		if _, err := opened.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last row: %v", err)
		}
	})
}

// kept is a cell without what UTF-16 and trimming change.
func kept(s string) string { return strings.TrimSpace(string([]rune(s))) }

// FuzzTable has the reader read anything: it never fails but with a FileError, and reads the same whole and byte by
// byte.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{
		"report_id\n1\n", "sep=;\rreport_id;x\r1;\"a\rb\"\r", "\ufeffreport_id\t\"x\n1", utf16Of(binary.LittleEndian, "report_id\n1\n"), "\xd0\xcf\x11\xe0", "PK\x03\x04",
	} {
		f.Add([]byte(seed))
	}
	files, _ := filepath.Glob("testdata/files/*")
	for _, name := range files {
		if content, err := os.ReadFile(name); err == nil && len(content) < 10_000 {
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		info, got, err := read(t, strings.NewReader(string(content)), jobColumns)
		if err != nil && !errors.As(err, new(*rows.FileError)) {
			t.Fatalf("%q: %v", content, err)
		}
		slowInfo, slow, slowErr := read(t, iotest.OneByteReader(strings.NewReader(string(content))), jobColumns)
		if (err == nil) != (slowErr == nil) || err == nil && (cmp.Diff(info, slowInfo) != "" || cmp.Diff(got, slow) != "") {
			t.Fatalf("%q, whole and byte by byte:\n%+v %v %v\n%+v %v %v", content, info, got, err, slowInfo, slow, slowErr)
		}
	})
}

// TestTable_brokenSource has the source end in an error at every place.
func TestTable_brokenSource(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"sep=;\nreport_id;x\n1;\"a\nb\"\n2;\"c\n", utf16Of(binary.BigEndian, "report_id\n1\n"), workbookOf(t, sheetOf("report_id", "1"))} {
		for n := range len(text) {
			_, _, err := read(t, io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken)), jobColumns)
			if !errors.Is(err, broken) {
				t.Fatalf("after %d bytes of %q: %v", n, text, err)
			}
		}
	}
}

// TestTable_agreesWithEncodingCSV holds the reader to the standard library's, for what both can read.
func TestTable_agreesWithEncodingCSV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := "report_id,x\n" + rapid.StringMatching(`([a-c]{0,3}|"([a-c]|""|,|\n){0,5}")(,([a-c]{0,3})){1,1}\n`).Draw(t, "row")
		want, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(want) != 2 || strings.TrimSpace(strings.Join(want[1], "")) == "" {
			return
		}
		table, err := rows.Open(strings.NewReader(text), rows.Options{Columns: []string{"report_id"}, Required: 1, All: true})
		if err != nil {
			t.Fatal(err)
		}
		row, err := table.Next()
		if err != nil || cmp.Diff(want[1], row.All) != "" {
			t.Fatalf("%q: %q %v", text, row.All, err)
		}
	})
}

func BenchmarkTable(b *testing.B) {
	var text strings.Builder
	text.WriteString("report_id,notify_candidate,client_reference\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "%d,true,\"reference %d\"\n", 1_000_000+i, i)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		table, err := rows.Open(strings.NewReader(text.String()), jobColumns)
		for err == nil {
			_, err = table.Next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}
