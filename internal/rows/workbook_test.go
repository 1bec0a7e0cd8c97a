package rows_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/rows"
)

// zipOf is a zip file of names, each followed by its content.
func zipOf(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		part, err := w.Create(parts[i])
		if err == nil {
			_, err = io.WriteString(part, parts[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const relationships = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>`

func relationship(id, kind, target string) string {
	return fmt.Sprintf(`<Relationship Id="%s" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"/>`, id, kind, target)
}

// testSheet is a sheet of a workbook: its name, the attributes of its entry besides, and its cells as XML.
type testSheet struct{ name, more, data string }

// sheetOf is a sheet of one column.
func sheetOf(cells ...string) testSheet {
	var b strings.Builder
	for i, c := range cells {
		fmt.Fprintf(&b, `<row r="%d"><c r="A%d" t="inlineStr"><is><t>%s</t></is></c></row>`, i+1, i+1, c)
	}
	return testSheet{"Sheet1", "", b.String()}
}

// workbookOf is a workbook with these sheets, and with styles and strings if they are there.
func workbookOf(t testing.TB, sheets ...testSheet) string {
	t.Helper()
	return bookOf(t, "", "", "", sheets...)
}

func bookOf(t testing.TB, properties, styles, shared string, sheets ...testSheet) string {
	t.Helper()
	var entries, related strings.Builder
	var parts []string
	for i, s := range sheets {
		fmt.Fprintf(&entries, `<sheet name="%s" sheetId="%d" %s r:id="rId%d"/>`, s.name, i+1, s.more, i+1)
		related.WriteString(relationship(fmt.Sprintf("rId%d", i+1), "worksheet", fmt.Sprintf("worksheets/sheet%d.xml", i+1)))
		parts = append(parts, fmt.Sprintf("xl/worksheets/sheet%d.xml", i+1), `<?xml version="1.0" encoding="UTF-8"?><worksheet><sheetData>`+s.data+`</sheetData></worksheet>`)
	}
	if styles != "" {
		related.WriteString(relationship("s", "styles", "/xl/styles.xml"))
		parts = append(parts, "xl/styles.xml", styles)
	}
	if shared != "" {
		related.WriteString(relationship("t", "sharedStrings", "sharedStrings.xml"))
		parts = append(parts, "xl/SharedStrings.xml", "<sst>"+shared+"</sst>")
	}
	return zipOf(t, append([]string{
		"_rels/.rels", fmt.Sprintf(relationships, relationship("r", "officeDocument", "xl/workbook.xml")),
		"xl/workbook.xml", `<workbook xmlns:r="x">` + properties + `<sheets>` + entries.String() + `</sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", fmt.Sprintf(relationships, related.String()),
	}, parts...)...)
}

func TestWorkbook_cells(t *testing.T) {
	const shared = `<si><t>report_id</t></si><si><r><t>a </t></r><r><t>b</t></r><rPh><t>x</t></rPh></si><si><t xml:space="preserve"> c_x000A_d </t></si><si/>`
	const styles = `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/><numFmt numFmtId="165" formatCode="&quot;days&quot; 0_d"/></numFmts>` +
		`<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>`
	data := `<row r="2"><c r="A2" t="s"><v>0</v></c><c r="C2" t="str"><f>"client_reference"</f><v>client_reference</v></c></row>` +
		`<row r="3"><c r="A3"><v>318</v></c><c r="C3" t="s"><v>1</v></c></row>` +
		`<row r="4"/><row r="5"><c r="A5" s="3"><v>319.0</v></c><c r="C5" t="s"><v>2</v></c></row>` +
		`<row><c><v>3.18E+2</v></c><c t="s"><v>3</v></c><c t="b"><v>1</v></c></row>` +
		`<row r="9"><c r="A9" t="str"><f>A3+1</f><v>320</v></c><c r="C9" t="e"><v>#N/A</v></c></row>` +
		`<row r="10"><c r="A10"><v>999999999999999</v></c></row>` +
		`<row r="11"><c r="A11"><v>1234567890123450000</v></c></row>` +
		`<row r="12"><c r="A12"><v>1.23456789012345E+18</v></c></row>` +
		`<row r="13"><c r="B13" t="inlineStr"><is><t>beside</t></is></c></row>` +
		`<row r="14"><c r="A14" t="inlineStr"><is><t>  </t></is></c><c r="B14" s="1"/></row>` +
		`<row r="15"><c r="A15" s="1"><v>45672.43940972222</v></c><c r="C15" s="2"><v>45672</v></c></row>` +
		`<row r="16"><c r="A16"><v>318.5</v></c><c r="XFD16"><v>1</v></c></row>`
	want := []string{
		"1 @3 318||a b", "2 @5 319||c\nd", "3 @6 318||TRUE", "4 @9 320||#N/A", "5 @10 999999999999999||", "6 @11 1.23456789012345E+18||", "7 @12 1.23456789012345E+18||",
		"8 @13 ||", "9 @15 2025-01-15 10:32:45||2025-01-15 00:00:00", "10 @16 318.5||",
	}
	for date1904, first := range map[string]string{"": "2025-01-15", `<workbookPr date1904="1"/>`: "2029-01-16"} {
		info, got, err := read(t, strings.NewReader(bookOf(t, date1904, styles, shared, testSheet{"List", "", data})), jobColumns)
		if err != nil {
			t.Fatal(err)
		}
		var here []string
		for _, line := range want {
			here = append(here, strings.ReplaceAll(line, "2025-01-15", first))
		}
		if diff := cmp.Diff(here, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		wantInfo := rows.Info{Format: "xlsx", Sheet: "List", Columns: map[string]string{"report_id": "report_id", "client_reference": "client_reference"}}
		if diff := cmp.Diff(wantInfo, info); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestWorkbook_sheets(t *testing.T) {
	cover, list, other := sheetOf("Our list", "of 2026"), sheetOf("Report ID", "1"), sheetOf("report_id", "2")
	cover.name, list.name, other.name = "Cover", "List", "Other"
	empty := testSheet{"Empty", "", ""}
	hidden := other
	hidden.more = `state="hidden"`
	for name, c := range map[string]struct {
		sheets        []testSheet
		asked, want   string
		wanted, error string
	}{
		"the first":                           {[]testSheet{list, other}, "", "List", "1 @2 1||", ""},
		"after a cover":                       {[]testSheet{empty, cover, list, other}, "", "List", "1 @2 1||", ""},
		"that is asked for":                   {[]testSheet{cover, list, other}, "Other", "Other", "1 @2 2||", ""},
		"hidden ones last":                    {[]testSheet{hidden, list}, "", "List", "1 @2 1||", ""},
		"hidden, when there is no other":      {[]testSheet{hidden, cover}, "", "Other", "1 @2 2||", ""},
		"hidden, when it is asked for":        {[]testSheet{hidden, list}, "Other", "Other", "1 @2 2||", ""},
		"one that is not there":               {[]testSheet{cover, list}, "Lists", "", "", `The workbook has no such sheet. It has "Cover", "List".`},
		"one that is asked for and is none":   {[]testSheet{cover, list}, "Cover", "", "", `The first row must be a header that names the column report_id. It has one column: "Our list".`},
		"none":                                {[]testSheet{cover, empty}, "", "", "", `The first row must be a header that names the column report_id. It has one column: "Our list".`},
		"a workbook without a sheet of cells": {nil, "", "", "", "The workbook has no sheet with cells."},
	} {
		t.Run(name, func(t *testing.T) {
			o := jobColumns
			o.Sheet = c.asked
			info, got, err := read(t, strings.NewReader(workbookOf(t, c.sheets...)), o)
			if c.error != "" {
				if err == nil || err.Error() != c.error {
					t.Fatalf("%v", err)
				}
				return
			}
			if err != nil || info.Sheet != c.want || strings.Join(got, " ") != c.wanted {
				t.Errorf("%+v %v %v", info, got, err)
			}
		})
	}
	t.Run("of text", func(t *testing.T) {
		o := jobColumns
		o.Sheet = "List"
		_, _, err := read(t, strings.NewReader("report_id\n1\n"), o)
		if failed, ok := errors.AsType[*rows.FileError](err); !ok || failed.Reason != rows.NoSheet {
			t.Error(err)
		}
	})
}

// TestWorkbook_damaged cuts and changes a workbook at every place: it is never taken for a shorter list.
func TestWorkbook_damaged(t *testing.T) {
	whole := bookOf(t, "", "", "<si><t>report_id</t></si>", testSheet{
		"List", "",
		`<row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="2"><c r="A2"><v>318</v></c></row><row r="3"><c r="A3"><v>319</v></c></row>`,
	})
	_, want, err := read(t, strings.NewReader(whole), jobColumns)
	if err != nil || len(want) != 2 {
		t.Fatalf("%v %v", want, err)
	}
	for n := 4; n < len(whole); n++ {
		if _, got, err := read(t, strings.NewReader(whole[:n]), jobColumns); !errors.As(err, new(*rows.FileError)) {
			t.Fatalf("%d bytes of %d gave %v, %v", n, len(whole), got, err)
		}
		changed := []byte(whole)
		changed[n] ^= 0x11
		switch _, got, err := read(t, bytes.NewReader(changed), jobColumns); {
		case err == nil && cmp.Diff(want, got) != "":
			t.Fatalf("with another byte %d: %v", n, got)
		case err != nil && !errors.As(err, new(*rows.FileError)):
			t.Fatalf("with another byte %d: %v", n, err)
		}
	}
	for name, data := range map[string]string{
		"a row that does not end":  `<row r="1"><c r="A1" t="inlineStr"><is><t>report_id</t></is></c></row><row r="2"><c r="A2"><v>1</v></c>`,
		"a string that is missing": `<row r="1"><c r="A1" t="inlineStr"><is><t>report_id</t></is></c></row><row r="2"><c r="A2" t="s"><v>7</v></c></row>`,
		"XML that is none":         `<row r="1"><c r="A1" t="inlineStr"><is><t>report_id</t></is></c></row><row r="2"><c r="A2"><v>1</v></c></row><`,
		"a column too far":         `<row r="1"><c r="A1" t="inlineStr"><is><t>report_id</t></is></c></row><row r="2"><c r="XFE2"><v>1</v></c></row>`,
	} {
		_, got, err := read(t, strings.NewReader(workbookOf(t, testSheet{"List", "", data})), jobColumns)
		if failed, ok := errors.AsType[*rows.FileError](err); !ok && name != "a row that does not end" || ok && failed.Reason != rows.Damaged {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

// TestWorkbook_limits has workbooks that unpack to far more than they are: the memory that they take does not grow.
func TestWorkbook_limits(t *testing.T) {
	o := jobColumns
	o.MaxWorkbook = 1 << 20
	refused := func(t *testing.T, content io.Reader) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := read(t, content, o)
		runtime.ReadMemStats(&after)
		if failed, ok := errors.AsType[*rows.FileError](err); !ok || failed.Reason != rows.TooLarge {
			t.Errorf("%v", err)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 10<<20 {
			t.Errorf("%d MiB were allocated", allocated>>20)
		}
	}
	t.Run("packed", func(t *testing.T) {
		refused(t, io.MultiReader(strings.NewReader("PK\x03\x04"), io.LimitReader(zeros{}, 1<<20)))
	})
	const header = `<row r="1"><c r="A1" t="inlineStr"><is><t>report_id</t></is></c></row>`
	t.Run("a text", func(t *testing.T) {
		refused(t, strings.NewReader(workbookOf(t, testSheet{"List", "", header + `<row r="2"><c r="A2"><v>` + strings.Repeat("1", 20<<20)})))
	})
	t.Run("an attribute", func(t *testing.T) {
		refused(t, strings.NewReader(workbookOf(t, testSheet{"List", "", header + `<row r="2"><c r="` + strings.Repeat("A", 20<<20)})))
	})
	t.Run("a string", func(t *testing.T) {
		refused(t, strings.NewReader(bookOf(t, "", "", "<si><t>"+strings.Repeat("x", 20<<20), sheetOf("report_id"))))
	})
	t.Run("many long strings", func(t *testing.T) {
		const n = 200
		var list strings.Builder
		list.WriteString(header)
		for i := range n {
			fmt.Fprintf(&list, `<row><c t="s"><v>%d</v></c></row>`, i)
		}
		book := bookOf(t, "", "", strings.Repeat("<si><t>"+strings.Repeat("x", 60_000)+"</t></si>", n), testSheet{"List", "", list.String()})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		table, err := rows.Open(strings.NewReader(book), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = table.Close() }()
		for read := 0; ; read++ {
			row, err := table.Next()
			if errors.Is(err, io.EOF) {
				if read != n {
					t.Errorf("%d rows", read)
				}
				break
			}
			if err != nil || len(row.Cells[0]) != 60_000 {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("the table holds %d MiB", grown>>20)
		}
	})
	t.Run("a row that is too long", func(t *testing.T) {
		long := strings.Repeat("x", rows.MaxRow+1)
		_, got, err := read(t, strings.NewReader(workbookOf(t, sheetOf("report_id", long, "2"))), jobColumns)
		if diff := cmp.Diff([]string{"1 @2 ! " + rows.ErrLong.Error(), "2 @3 2||"}, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestWorkbook_leavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	whole := bookOf(t, "", "", "<si><t>report_id</t></si>", testSheet{"List", "", `<row r="1"><c r="A1" t="s"><v>0</v></c></row>`})
	for _, content := range []string{whole, whole[:len(whole)/2], zipOf(t, "a", "b"), workbookOf(t, sheetOf("x"))} {
		_, _, _ = read(t, strings.NewReader(content), jobColumns)
		if left, err := os.ReadDir(os.TempDir()); len(left) > 0 || err != nil {
			t.Errorf("%v %v", left, err)
		}
	}
	t.Run("while it is read", func(t *testing.T) {
		table, err := rows.Open(strings.NewReader(whole), jobColumns)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = table.Close() }()
		if left, err := os.ReadDir(os.TempDir()); len(left) > 0 || err != nil {
			t.Errorf("%v %v: a process that is killed would leave it", left, err)
		}
	})
}
