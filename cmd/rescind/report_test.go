package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is a file that a program has written.
func written(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "internal", "rows", "testdata", "files", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestBulk_files(t *testing.T) {
	s := startStandalone(t)
	for name, want := range map[string]string{
		"openpyxl-cover.xlsx":     `Read the sheet "Liste 1" of the workbook. Columns: client_reference ("Client Reference"), notify_candidate ("Notify Candidate"), report_id ("Report ID"). Ignored: "Name".`,
		"r-write-csv2.csv":        `Read CSV separated by semicolons, in UTF-8. Columns: client_reference ("Client Reference"), notify_candidate ("Notify Candidate"), report_id ("Report ID"). Ignored: "Name".`,
		"python-utf16.txt":        `Read CSV separated by tabs, in UTF-16LE. Columns: `,
		"python-excel-tab.tsv":    `Read CSV separated by tabs, in UTF-8. Columns: `,
		"xlsxwriter-rich.xlsx":    `Read the sheet "Sheet1" of the workbook. `,
		"python-dictwriter.csv":   `Read CSV separated by vertical bars, in UTF-8. Columns: report_id. Ignored: "name".`,
		"papaparse-semicolon.csv": `Read CSV separated by semicolons, in UTF-8. `,
	} {
		t.Run(name, func(t *testing.T) {
			content := written(t, name)
			_, stderr := s.do(0, "", "bulk", file(t, name, content))
			contains(t, stderr, want)
			_, stderr = s.do(0, content, "bulk", "-")
			contains(t, stderr, want)
			_, stderr = s.do(0, zipped(t, content), "bulk", "-")
			contains(t, stderr, want)
		})
	}
	t.Run("a sheet by its name", func(t *testing.T) {
		book := file(t, "list.xlsx", written(t, "openpyxl-hidden.xlsx"))
		_, stderr := s.do(0, "", "bulk", "--sheet", "Hidden", book)
		contains(t, stderr, `Read the sheet "Hidden" of the workbook. `)
		_, stderr = s.do(2, "", "bulk", "--sheet", "Other", book)
		contains(t, stderr, `  sheet: The workbook has no such sheet. It has "Hidden", "List". (unknown_value)`)
	})
	t.Run("a file that is not a list", func(t *testing.T) {
		_, stderr := s.do(2, "", "bulk", file(t, "list.ods", written(t, "libreoffice.ods")))
		contains(t, stderr, "This is an OpenDocument spreadsheet (.ods). Save the list as CSV or .xlsx and use that.")
		_, stderr = s.do(2, "", "bulk", file(t, "list.xls", written(t, "libreoffice.xls")))
		contains(t, stderr, "This is an Excel 97 workbook (.xls). ")
	})
}

func TestBulk_report(t *testing.T) {
	s := startStandalone(t)
	// reportOf is the report of a list, without what differs from run to run.
	reportOf := func(t *testing.T, exit int, name, content string, args ...string) string {
		t.Helper()
		dir := t.TempDir()
		out := filepath.Join(dir, "out.csv")
		_, stderr := s.do(exit, "", append([]string{"bulk", file(t, name, content), "--report", out}, args...)...)
		contains(t, stderr, "The report is in "+out+".\n")
		written, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
			t.Errorf("%v %v", left, err)
		}
		return regexp.MustCompile(`"(PENDING|SENT)"`).ReplaceAllString(jobID.ReplaceAllString(string(written), "ID"), `"MAILED"`)
	}
	t.Run("the rows unchanged, with their outcomes", func(t *testing.T) {
		list := "\ufeffName;Report ID;notify_candidate;=x\r\n" +
			" Ada ;318;yes;=1+1\r\n" +
			";;;\r\n" +
			"\"a;b\r\nc\";317\r\n" +
			"x;999;;\"\"\"q\"\"\"\r\n" +
			"x;3.18E+10;;\r\n" +
			"x;\"1;;\r\n" +
			"x;319;;;more\r\n"
		want := "\ufeff" + `"Name";"Report ID";"notify_candidate";"'=x";"status";"message";"timestamp";"notification";"revocation_id"` + "\r\n" +
			`" Ada ";"318";"yes";"'=1+1";"REVOKED";"Invite Revoked successfully.";"";"MAILED";"ID"` + "\r\n" +
			"\"a;b\r\nc\";\"317\";;;\"NOT_ALLOWED\";\"Invite was sent before the latest plan change\";\"2025-01-15 10:32:45\";\"NOT_REQUESTED\";\"ID\"\r\n" +
			`"x";"999";"";"""q""";"NOT_FOUND";"No such invite in this account.";"";"NOT_REQUESTED";"ID"` + "\r\n" +
			`"x";"3.18E+10";"";"";"INVALID";"Line 7: report_id is a power of ten, because the spreadsheet has lost digits. Format the column as text and enter it again.";"";"NOT_REQUESTED";"ID"` + "\r\n" +
			`;;;;"INVALID";"Line 8: The row cannot be read: a quote is not closed, or stands within a cell.";"";"NOT_REQUESTED";"ID"` + "\r\n" +
			`"x";"319";"";"";"INVALID";"Line 9: The row has more cells than the header.";"";"NOT_REQUESTED";"ID"` + "\r\n"
		if diff := cmp.Diff(want, reportOf(t, 1, "list.csv", list)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a workbook", func(t *testing.T) {
		want := "\ufeff" + `,"Report ID","Notify Candidate","Client Reference","Name","status","message","timestamp","notification","revocation_id"` + "\r\n" +
			`,"320","TRUE","ref, 1","Ångström","REVOKED","Invite Revoked successfully.","","MAILED","ID"` + "\r\n"
		got := reportOf(t, 0, "list.xlsx", written(t, "openpyxl-cover.xlsx"))
		got = strings.ReplaceAll(strings.ReplaceAll(got, `"",`, `,`), `"318","TRUE","ref, 1","Ångström","ALREADY_REVOKED","The invite has already been revoked.",,"SKIPPED"`, `"320","TRUE","ref, 1","Ångström","REVOKED","Invite Revoked successfully.","","MAILED"`)
		if !strings.HasPrefix(got, want) || strings.Count(got, "\r\n") != 4 {
			t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
		}
	})
	t.Run("compressed, in several pages", func(t *testing.T) {
		got := reportOf(t, 1, "list.csv.gz", zipped(t, csvOf(2500)))
		lines := strings.Split(got, "\r\n")
		if len(lines) != 2502 || !strings.HasPrefix(lines[2500], `"1002499","NOT_FOUND",`) {
			t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-2])
		}
	})
	t.Run("a report that cannot be written is an error before anything is revoked", func(t *testing.T) {
		jobs := func() int { return len(body(t, s.get("/jobs?limit=1000"))["data"].([]any)) }
		before := jobs()
		list := file(t, "list.csv", "report_id\n321\n")
		for out, want := range map[string]string{
			list: "which the report would overwrite", filepath.Join(t.TempDir(), "absent", "out.csv"): "no such file", t.TempDir(): "is not a file",
		} {
			_, stderr := s.do(2, "", "bulk", list, "--report", out)
			contains(t, stderr, want)
		}
		_, stderr := s.do(2, "", "bulk", file(t, "list.json", `{"report_ids":[321]}`), "--report", "out.csv")
		contains(t, stderr, "only a table has rows and columns")
		if after := jobs(); after != before {
			t.Errorf("%d jobs were made", after-before)
		}
	})
	t.Run("nothing is left when the list is refused", func(t *testing.T) {
		dir := t.TempDir()
		s.do(2, "", "bulk", file(t, "list.csv", "x\n"), "--report", filepath.Join(dir, "out.csv"))
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Error(fmt.Sprint(left), err)
		}
	})
}
