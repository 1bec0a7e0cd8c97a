package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// decoded is what was read from a job's body.
type decoded struct {
	// items are "report_id notify reference", with a dash for missing values, or "! message reference" if INVALID.
	items []string
	// job is "notify label" for a JSON document.
	job string
	// problem is the status of the problem, and its faults as "field code".
	problem string
}

func readJob(t *testing.T, media string, body io.Reader) (got decoded) {
	t.Helper()
	request := jobRequest{media: media, key: &revocation.APIKey{Scopes: revocation.Scopes}}
	values, _, err := request.readItems(body, nil, func(item revocation.Item) error {
		got.items = append(got.items, shown(t, item))
		return nil
	})
	if p, ok := errors.AsType[*problem](err); ok {
		got.problem = fmt.Sprint(p.Status)
		for _, f := range p.Errors {
			got.problem += fmt.Sprintf(" %s %s", f.Field, f.Code)
		}
		return got
	}
	if err != nil {
		t.Fatal(err)
	}
	got.job = fmt.Sprintf("%t %s", values.Notify, orDash(values.Label))
	return got
}

// shown formats an item. It also checks properties that every item must have.
func shown(t *testing.T, item revocation.Item) string {
	t.Helper()
	if ref := item.ClientReference; ref != nil && (!utf8.ValidString(*ref) || strings.Contains(*ref, "\x00") || utf8.RuneCountInString(*ref) > 255) {
		t.Errorf("reference %q", *ref)
	}
	if item.Invalid != "" {
		if item.ReportID != 0 || item.Notify != nil || !strings.HasSuffix(item.Invalid, ".") || len(item.Invalid) > 600 {
			t.Errorf("%+v", item)
		}
		return "! " + item.Invalid + " " + orDash(item.ClientReference)
	}
	if item.ReportID < 1 {
		t.Errorf("%+v", item)
	}
	notify := "-"
	if item.Notify != nil {
		notify = fmt.Sprint(*item.Notify)
	}
	return fmt.Sprintf("%d %s %s", item.ReportID, notify, orDash(item.ClientReference))
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func TestReadJobDocument(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	large, tooLong := strings.Repeat("x", maxElement), "! The row is longer than 64 KiB. -"
	for name, c := range map[string]struct {
		body string
		want decoded
	}{
		"ids":      {`{"report_ids":[318,9223372036854775807]}`, decoded{items: []string{"318 - -", "9223372036854775807 - -"}, job: "false -"}},
		"ids, all": {` { "label" : "a b" , "report_ids" : [ 1 , 2 ] , "notify_candidate" : true } ` + "\r\n", decoded{items: []string{"1 - -", "2 - -"}, job: "true a b"}},
		"items":    {`{"items":[{"report_id":1},{"report_id":2,"notify_candidate":false,"client_reference":"é\u00e9\"}]"},{"notify_candidate":true,"report_id":3}]}`, decoded{items: []string{"1 - -", `2 false éé"}]`, "3 true -"}, job: "false -"}},
		"values after the items": {
			`{"items":[{"report_id":1}],"notify_candidate":true,"label":""}`, decoded{items: []string{"1 - -"}, job: "true "},
		},
		"a label of null":     {`{"label":null,"report_ids":[1]}`, decoded{items: []string{"1 - -"}, job: "false -"}},
		"the longest label":   {`{"label":"` + strings.Repeat("é", 255) + `","report_ids":[1]}`, decoded{items: []string{"1 - -"}, job: "false " + strings.Repeat("é", 255)}},
		"names with escapes":  {`{"report\u005fids":[1]}`, decoded{items: []string{"1 - -"}, job: "false -"}},
		"the largest element": {`{"items":[{"report_id":1` + strings.Repeat(" ", maxElement-15) + `}]}`, decoded{items: []string{"1 - -"}, job: "false -"}},

		"ids that cannot be read": {
			`{"report_ids":["1",0,-1,1.5,1e2,null,true,[1],{"report_id":1},9223372036854775808,7]}`,
			decoded{job: "false -", items: []string{
				"! report_id must be an integer. -", "! report_id must be from 1 to 9223372036854775807. -", "! report_id must be from 1 to 9223372036854775807. -",
				"! report_id must be an integer, written without a fraction or an exponent. -", "! report_id must be an integer, written without a fraction or an exponent. -",
				"! report_id must be an integer. -", "! report_id must be an integer. -", "! report_id must be an integer. -", "! report_id must be an integer. -",
				"! report_id must be from 1 to 9223372036854775807. -", "7 - -",
			}},
		},
		"items that cannot be read": {
			`{"items":[1,null,[],"x",{},{"report_id":1,"x y":1,"z":2,"client_reference":"kept"},{"report_id":1,"report_id":1},{"report_id":"1","notify_candidate":1,"client_reference":7},` +
				`{"report_id":1,"client_reference":"\u0000"},{"report_id":1,"a":1,"b":1,"c":1,"d":1,"e":1},{"report_id":5}]}`,
			decoded{job: "false -", items: []string{
				"! It must be a JSON object. -", "! It must be a JSON object. -", "! It must be a JSON object. -", "! It must be a JSON object. -",
				"! report_id is needed. -", "! (other): There is no such member. z: There is no such member. kept", "! report_id is given more than once. -",
				"! report_id must be an integer. notify_candidate must be true or false. client_reference must be a string. -",
				"! client_reference must be Unicode text without NUL. -",
				"! a: There is no such member. b: There is no such member. c: There is no such member. d: There is no such member. There are more faults. -", "5 - -",
			}},
		},
		"a deep element": {
			`{"report_ids":[` + deep(65) + `,` + deep(9000) + `,1]}`,
			decoded{job: "false -", items: []string{"! report_id must be an integer. -", "! report_id must be an integer. -", "1 - -"}},
		},
		"a deep item": {`{"items":[{"x":` + deep(65) + `}]}`, decoded{job: "false -", items: []string{"! x: There is no such member. report_id is needed. -"}}},

		"nothing":               {``, decoded{problem: "400"}},
		"white space":           {" \n", decoded{problem: "400"}},
		"a mark":                {"\ufeff" + `{"report_ids":[1]}`, decoded{items: []string{"1 - -"}, job: "false -"}},
		"a mark alone":          {"\ufeff", decoded{problem: "400"}},
		"half a mark":           {"\ufeff"[:2] + `{"report_ids":[1]}`, decoded{problem: "400"}},
		"a part of a mark":      {"\ufeff"[:2], decoded{problem: "400"}},
		"two marks":             {"\ufeff\ufeff" + `{"report_ids":[1]}`, decoded{problem: "400"}},
		"a mark within":         {" \ufeff" + `{"report_ids":[1]}`, decoded{problem: "400"}},
		"NUL":                   {"\x00", decoded{problem: "400"}},
		"NUL at the end":        {`{"report_ids":[1]}` + "\x00", decoded{problem: "400", items: []string{"1 - -"}}},
		"a second value":        {`{"report_ids":[1]}{}`, decoded{problem: "400", items: []string{"1 - -"}}},
		"not closed":            {`{"report_ids":[1]`, decoded{problem: "400", items: []string{"1 - -"}}},
		"an array not closed":   {`{"report_ids":[1,2`, decoded{problem: "400", items: []string{"1 - -", "2 - -"}}},
		"an object not closed":  {`{"items":[{"report_id":1`, decoded{problem: "400"}},
		"a string not closed":   {`{"report_ids":["1]}`, decoded{problem: "400"}},
		"a name not closed":     {`{"report_ids`, decoded{problem: "400"}},
		"a bracket alone":       {`{`, decoded{problem: "400"}},
		"a name alone":          {`{"report_ids"}`, decoded{problem: "400"}},
		"no colon":              {`{"report_ids" [1]}`, decoded{problem: "400"}},
		"no name":               {`{[1]}`, decoded{problem: "400"}},
		"a comma too many":      {`{"report_ids":[1,]}`, decoded{problem: "400", items: []string{"1 - -"}}},
		"a comma first":         {`{"report_ids":[,1]}`, decoded{problem: "400"}},
		"a comma too few":       {`{"report_ids":[1 2]}`, decoded{problem: "400", items: []string{"1 - -"}}},
		"a member's comma":      {`{"report_ids":[1],}`, decoded{problem: "400", items: []string{"1 - -"}}},
		"a wrong bracket":       {`{"report_ids":[1}]`, decoded{problem: "400", items: []string{"1 - -"}}},
		"brackets mixed":        {`{"report_ids":[[1}]}`, decoded{problem: "400"}},
		"deep brackets mixed":   {`{"report_ids":[` + strings.Repeat("[", 70) + strings.Repeat("}", 70) + `]}`, decoded{problem: "400"}},
		"a wrong word":          {`{"report_ids":[nul]}`, decoded{problem: "400"}},
		"two words":             {`{"report_ids":[1"2"]}`, decoded{problem: "400", items: []string{"1 - -"}}},
		"a wrong word at last":  {`tru`, decoded{problem: "400"}},
		"a leading zero":        {`{"report_ids":[01]}`, decoded{problem: "400", items: []string{"! report_id must be from 1 to 9223372036854775807. -"}}},
		"a leading zero within": {`{"items":[{"report_id":01}]}`, decoded{problem: "400"}},
		"invalid UTF-8":         {"{\"items\":[{\"client_reference\":\"\xff\"}]}", decoded{problem: "400"}},
		"invalid UTF-8 outside": {"{\"report_ids\":[1]\xff}", decoded{problem: "400", items: []string{"1 - -"}}},
		"invalid UTF-8 in ids":  {"{\"report_ids\":[\"\xff\"]}", decoded{problem: "400"}},
		"invalid UTF-8 named":   {"{\"report_ids\":[1],\"\xff\":1}", decoded{problem: "400", items: []string{"1 - -"}}},
		"a control character":   {"{\"report_ids\":[1],\"label\":\"a\nb\"}", decoded{problem: "400", items: []string{"1 - -"}}},
		"broken after a fault":  {`{"x":1,"report_ids":[1,`, decoded{problem: "400"}},
		"deep without end":      {strings.Repeat("[", 60_000), decoded{problem: "400"}},

		"an array":        {`[{"report_id":1}]`, decoded{problem: "422 body wrong_type"}},
		"a number":        {`318`, decoded{problem: "422 body wrong_type"}},
		"a string":        {`"report_ids"`, decoded{problem: "422 body wrong_type"}},
		"null":            {`null`, decoded{problem: "422 body wrong_type"}},
		"deep":            {deep(9000), decoded{problem: "422 body wrong_type"}},
		"no member":       {`{}`, decoded{problem: "422 report_ids required"}},
		"no list":         {`{"notify_candidate":true}`, decoded{problem: "422 report_ids required"}},
		"no ids":          {`{"report_ids":[ ]}`, decoded{problem: "422 report_ids required"}},
		"no items":        {`{"items":[]}`, decoded{problem: "422 items required"}},
		"both":            {`{"report_ids":[1],"items":[{"report_id":2}]}`, decoded{problem: "422 items duplicate_field", items: []string{"1 - -"}}},
		"both, empty":     {`{"items":[],"report_ids":[]}`, decoded{problem: "422 report_ids duplicate_field"}},
		"ids twice":       {`{"report_ids":[1],"report_ids":[2]}`, decoded{problem: "422 report_ids duplicate_field", items: []string{"1 - -"}}},
		"ids no array":    {`{"report_ids":{"1":2}}`, decoded{problem: "422 report_ids wrong_type"}},
		"ids null":        {`{"report_ids":null}`, decoded{problem: "422 report_ids wrong_type"}},
		"items a string":  {`{"items":"x"}`, decoded{problem: "422 items wrong_type"}},
		"other letters":   {`{"Report_IDs":[1]}`, decoded{problem: "422 Report_IDs unknown_field report_ids required"}},
		"a broken name":   {`{"\ud83d":1,"report_ids":[1]}`, decoded{problem: "422 (other) unknown_field"}},
		"a deep unknown":  {`{"x":` + deep(200) + `,"report_ids":[1]}`, decoded{problem: "422 x unknown_field"}},
		"label a number":  {`{"label":1,"report_ids":[1]}`, decoded{problem: "422 label wrong_type"}},
		"label too long":  {`{"label":"` + strings.Repeat("é", 256) + `","report_ids":[1]}`, decoded{problem: "422 label too_long"}},
		"label with NUL":  {`{"label":"\u0000","report_ids":[1]}`, decoded{problem: "422 label invalid_characters"}},
		"notify null":     {`{"notify_candidate":null,"report_ids":[1]}`, decoded{problem: "422 notify_candidate wrong_type"}},
		"notify a string": {`{"report_ids":[1],"notify_candidate":"true"}`, decoded{problem: "422 notify_candidate wrong_type", items: []string{"1 - -"}}},
		"all at once": {
			`{"a b":1,"label":1,"label":2,"notify_candidate":0,"items":{},"report_ids":[1],"x":[{"y":1}]}`,
			decoded{problem: "422 (other) unknown_field label wrong_type label duplicate_field notify_candidate wrong_type items wrong_type report_ids duplicate_field x unknown_field"},
		},
		"a fault and much more": {
			`{"x":1,"report_ids":[1` + strings.Repeat(",1", 100_000) + ` and no end`, decoded{problem: "422 x unknown_field"},
		},
		"a large unknown value": {`{"x":"` + strings.Repeat("x", 1<<20), decoded{problem: "422 x unknown_field"}},
		"elements too large": {
			`{"report_ids":[1,"` + large + `",` + strings.Repeat("1", maxElement+1) + `,[{"x":[],"y":"` + large + `\"\u00e9é"},-0.5e+1],2]}`,
			decoded{job: "false -", items: []string{"1 - -", tooLong, tooLong, tooLong, "2 - -"}},
		},
		"an item just too large": {
			`{"items":[{"report_id":1` + strings.Repeat(" ", maxElement-14) + `},{"report_id":2}]}`,
			decoded{job: "false -", items: []string{tooLong, "2 - -"}},
		},
		"an element much too deep":     {`{"report_ids":[` + deep(20_000) + `,1]}`, decoded{problem: "400"}},
		"a value larger than is kept":  {`{"report_ids":[1,"` + strings.Repeat("x", 2*maxToken) + `",2]}`, decoded{problem: "413", items: []string{"1 - -"}}},
		"blanks without end":           {`{"report_ids":[1,` + strings.Repeat(" ", 2*maxToken) + `2]}`, decoded{problem: "413", items: []string{"1 - -"}}},
		"too large and no JSON":        {`{"report_ids":["` + large + `",["` + large + `"}]}`, decoded{problem: "400", items: []string{tooLong}}},
		"too large and not UTF-8":      {`{"report_ids":["` + large + "\xff" + `"]}`, decoded{problem: "400"}},
		"too large and not closed":     {`{"report_ids":["` + large, decoded{problem: "400"}},
		"too deep and no JSON":         {`{"report_ids":[` + strings.Repeat("[", 100) + strings.Repeat("]", 99) + `}]}`, decoded{problem: "400"}},
		"a name too large":             {`{"` + large + `":1,"report_ids":[1]}`, decoded{problem: "422 (other) unknown_field"}},
		"a label much too large":       {`{"label":"` + large + `","report_ids":[1]}`, decoded{problem: "422 label too_long"}},
		"a label that is a large list": {`{"label":["` + large + `"],"report_ids":[1]}`, decoded{problem: "422 label wrong_type"}},
		"notify much too large":        {`{"report_ids":[1],"notify_candidate":"` + large + `"}`, decoded{problem: "422 notify_candidate wrong_type", items: []string{"1 - -"}}},
		"a large list as the body":     {`["` + large + `"]`, decoded{problem: "422 body wrong_type"}},
		"a number just not":            {`{"report_ids":[` + strings.Repeat("1", maxElement) + `]}`, decoded{job: "false -", items: []string{"! report_id must be from 1 to 9223372036854775807. -"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for cut, body := range inPieces(c.body) {
				if diff := cmp.Diff(c.want, readJob(t, mediaJSON, body), cmp.AllowUnexported(decoded{})); diff != "" {
					t.Errorf("%s (-want +got):\n%.2000s", cut, diff)
				}
			}
		})
	}
}

// inPieces returns readers for a body that return different pieces of it at once.
func inPieces(body string) map[string]io.Reader {
	return map[string]io.Reader{
		"whole":           strings.NewReader(body),
		"end at once":     iotest.DataErrReader(strings.NewReader(body)),
		"byte after byte": byteAfterByte(body),
	}
}

// byteAfterByte returns a reader of single bytes. The rest of a long body comes in small pieces: the Decoder moves what
// it holds of a value at each read, so that single bytes of a value of 1 MiB would take minutes. Only maxToken is further on
// than the single bytes, and its two sides are in different pieces as well.
func byteAfterByte(body string) io.Reader {
	const single, pieces = 2 * maxElement, 509
	head := min(len(body), single)
	return io.MultiReader(iotest.OneByteReader(strings.NewReader(body[:head])), &pieceReader{body[head:], pieces})
}

// pieceReader reads text in pieces of the same size.
type pieceReader struct {
	text string
	size int
}

func (r *pieceReader) Read(b []byte) (int, error) {
	if r.text == "" {
		return 0, io.EOF
	}
	n := copy(b, r.text[:min(r.size, len(r.text))])
	r.text = r.text[n:]
	return n, nil
}

func TestReadTable(t *testing.T) {
	const notAnInteger, outOfRange = "report_id must be an integer, in digits only. ", "report_id must be from 1 to 9223372036854775807. "
	const lostDigits = "report_id is a power of ten, because the spreadsheet has lost digits. Format the column as text and enter it again. "
	const notBoolean = "notify_candidate must be true, false, yes, no, 1 or 0, or empty. "
	long := strings.Repeat("é", 255)
	for name, c := range map[string]struct {
		body string
		want decoded
	}{
		"ids":           {"report_id\n318\n9223372036854775807", decoded{items: []string{"318 - -", "9223372036854775807 - -"}}},
		"all columns":   {"report_id,notify_candidate,client_reference\n1,true,a\n2,false,\n3,,c d\n", decoded{items: []string{"1 true a", "2 false -", "3 - c d"}}},
		"another order": {"client_reference,report_id\na,1\n,2\n", decoded{items: []string{"1 - a", "2 - -"}}},
		"other columns": {"name,Report_ID,name\n\xff,1,y\n", decoded{items: []string{"1 - -"}}},
		"as a spreadsheet writes it": {
			"\ufeff\"report_id\",\"client_reference\"\r\n\r\n\"1\",\"a, \"\"b\"\"\"\r\n , \r\n,,\r\n 3 , \" c \" \r\n",
			decoded{items: []string{`1 - a, "b"`, "3 - c"}},
		},
		"a reference of lines": {"report_id,client_reference\n1,\"a\nb\"\n2,c\n", decoded{items: []string{"1 - a\nb", "2 - c"}}},
		"ids that cannot be read": {
			"report_id\nx\n1.0\n+1\n-\n-1\n0\n1e3\n0x1\n1 2\n९\n9223372036854775808\n" + strings.Repeat("9", 1000) + "\n=1\n007\n",
			decoded{items: []string{
				"! Line 2: " + notAnInteger + "-", "1 - -", "! Line 4: " + notAnInteger + "-", "! Line 5: " + notAnInteger + "-", "! Line 6: " + outOfRange + "-",
				"! Line 7: " + outOfRange + "-", "! Line 8: " + lostDigits + "-", "! Line 9: " + notAnInteger + "-", "! Line 10: " + notAnInteger + "-",
				"! Line 11: " + notAnInteger + "-", "! Line 12: " + outOfRange + "-", "! Line 13: " + outOfRange + "-", "! Line 14: " + notAnInteger + "-", "7 - -",
			}},
		},
		"notify_candidate": {
			"report_id,notify_candidate,client_reference\n1,TRUE,a\n2,1,b\n3,No,c\n4,FALSE,\nx,maybe,d\n", decoded{items: []string{
				"1 true a", "2 true b", "3 false c", "4 false -", "! Line 6: " + notAnInteger + notBoolean + "d",
			}},
		},
		"references that cannot be kept": {
			"report_id,client_reference\n1," + long + "\n2,x" + long + "\n3,a\x00b\n4,\xff\n5,\xed\xa0\x80\n",
			decoded{items: []string{
				"1 - " + long, "! Line 3: client_reference must have at most 255 characters. -", "! Line 4: client_reference must be Unicode text without NUL. -",
				"! Line 5: client_reference must be Unicode text without NUL. -", "! Line 6: client_reference must be Unicode text without NUL. -",
			}},
		},
		"rows of another length": {
			"a,report_id,client_reference,b\nx\nx,1\nx,2,r\nx,3,r,,,\nx,4,r,,y\n",
			decoded{items: []string{"! Line 2: report_id is needed. -", "1 - -", "2 - r", "3 - r", "! Line 6: The row has more cells than the header. -"}},
		},
		"a quote that is not closed": {
			"report_id,client_reference\n1,\"a\n2,b\n3,c\n", decoded{items: []string{"! Line 2: The row cannot be read: a quote is not closed, or stands within a cell. -", "2 - b", "3 - c"}},
		},
		"a row that is too long": {
			"report_id,x\n1," + strings.Repeat("x", rows.MaxRow) + "\n2,\n", decoded{items: []string{"! Line 2: The row is longer than 64 KiB. -", "2 - -"}},
		},

		"nothing":              {"", decoded{problem: "422 report_id required"}},
		"blank lines":          {"\n\r\n", decoded{problem: "422 report_id required"}},
		"no header":            {"1\n2\n", decoded{problem: "422 report_id required"}},
		"a column twice":       {"report_id,Report-ID\n1,1\n", decoded{problem: "422 report_id duplicate_field"}},
		"another twice":        {"client_reference,client reference,report_id\n", decoded{problem: "422 client_reference duplicate_field"}},
		"a broken header":      {"report_id,\"x\n1,2\n", decoded{problem: "422 report_id required"}},
		"too long a header":    {"report_id," + strings.Repeat("x", rows.MaxRow) + "\n1,2\n", decoded{problem: "422 report_id required"}},
		"a zip archive":        {"PK\x03\x04", decoded{problem: "422 body invalid_format"}},
		"too large a workbook": {"PK\x03\x04" + strings.Repeat("\x00", maxWorkbook), decoded{problem: "413"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want.problem == "" {
				c.want.job = "false -"
			}
			for cut, body := range inPieces(c.body) {
				if cut == "byte after byte" && len(c.body) > maxWorkbook {
					continue
				}
				if diff := cmp.Diff(c.want, readJob(t, mediaCSV, body), cmp.AllowUnexported(decoded{})); diff != "" {
					t.Errorf("%s (-want +got):\n%.2000s", cut, diff)
				}
			}
		})
	}
}

func TestReadNDJSON(t *testing.T) {
	body := "\ufeff{\"report_id\":318}\r\n\n \t\n" +
		`{"report_id":1,"notify_candidate":true,"client_reference":"a\nb"}` + "\n" +
		`{"report_id":1,"notify_candidate":false}` + "\n" +
		"{\n" + `{"report_id":1} {}` + "\n" + "[318]\n318\nnull\n" + `{"report_id":0,"x":1}` + "\n" +
		"{\"client_reference\":\"\xff\"}\n\x00\n" +
		`{"report_id":1,"x":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + "}\n" +
		`{"report_id":1` + strings.Repeat(" ", rows.MaxRow) + "}\n" +
		strings.Repeat("[", 60_000) + "\n" +
		`{"report_id":2}`
	want := decoded{job: "false -", items: []string{
		"318 - -", "1 true a\nb", "1 false -", "! Line 6: The row is not valid JSON, or is nested too deep. -", "! Line 7: The row continues after its first JSON value. -",
		"! Line 8: It must be a JSON object. -", "! Line 9: It must be a JSON object. -", "! Line 10: It must be a JSON object. -",
		"! Line 11: report_id must be from 1 to 9223372036854775807. x: There is no such member. -",
		"! Line 12: The row is not valid UTF-8. -", "! Line 13: The row is not valid JSON, or is nested too deep. -", "! Line 14: x: There is no such member. -",
		"! Line 15: The row is longer than 64 KiB. -", "! Line 16: The row is not valid JSON, or is nested too deep. -", "2 - -",
	}}
	for cut, body := range inPieces(body) {
		if diff := cmp.Diff(want, readJob(t, mediaNDJSON, body), cmp.AllowUnexported(decoded{})); diff != "" {
			t.Errorf("%s (-want +got):\n%.2000s", cut, diff)
		}
	}
}

// TestReadItems_returnsErrors makes the body, or the function that receives the items, fail at every position.
func TestReadItems_returnsErrors(t *testing.T) {
	for media, body := range map[string]string{
		mediaJSON:   `{"label":"x","items":[{"report_id":1},{"report_id":2}],"notify_candidate":true} `,
		mediaCSV:    "report_id,client_reference\n\n1,\"a\nb\"\n2,\"\n3,c\n",
		mediaNDJSON: "{\"report_id\":1}\n\n{\"report_id\":2}\n",
	} {
		t.Run(media, func(t *testing.T) {
			request := jobRequest{media: media, key: &revocation.APIKey{}}
			broken := newProblem(codeRequestTimeout)
			for n := range len(body) {
				src := io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(broken))
				if _, _, err := request.readItems(src, nil, func(revocation.Item) error { return nil }); !errors.Is(err, broken) {
					t.Fatalf("after %q: %v", body[:n], err)
				}
			}
			full := &revocation.Error{Code: revocation.CodeTooManyItems}
			for n := range 2 {
				_, _, err := request.readItems(strings.NewReader(body), nil, func(revocation.Item) error {
					if n--; n < 0 {
						return full
					}
					return nil
				})
				if !errors.Is(err, full) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

func TestNewJobOperation_examplesAreTaken(t *testing.T) {
	content := newTestAPI().document.Paths["/jobs"].Post.RequestBody.Content
	for media, want := range map[string]map[string]int{
		mediaJSON: {"ids": 2, "items": 2, "preview": 2, "select": 0}, mediaCSV: {"": 2}, mediaNDJSON: {"": 2},
	} {
		bodies := map[string]string{}
		for name, example := range content[media].Examples {
			bodies[name] = string(example.Value.(json.RawMessage))
		}
		if example, ok := content[media].Example.(string); ok {
			bodies[""] = example
		}
		for name, n := range want {
			got := readJob(t, media, strings.NewReader(bodies[name]))
			if got.problem != "" || len(got.items) != n || strings.Contains(strings.Join(got.items, ""), "!") || len(bodies) != len(want) {
				t.Errorf("%s %s: %+v", media, name, got)
			}
		}
	}
}

func TestReadJobRequest_fingerprints(t *testing.T) {
	label, other := "a", "ab"
	seen := map[string]jobRequest{}
	for _, j := range []jobRequest{
		{media: mediaJSON},
		{media: mediaCSV},
		{media: mediaNDJSON},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Notify: true}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Label: &label}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Label: &other}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Label: &label, Notify: true}}},
		{media: mediaCSV, jobOptions: jobOptions{sheet: label}},
		{media: mediaCSV, jobOptions: jobOptions{sheet: other}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Label: &label}, sheet: label}},
		{media: mediaXLSX},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Preview: true}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{NotBefore: time.UnixMicro(1)}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{NotBefore: time.UnixMicro(2)}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Reason: &label}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Reason: &other}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{CandidateMessage: &label}}},
		{media: mediaCSV, jobOptions: jobOptions{values: revocation.JobValues{Reason: &label, CandidateMessage: &label}}},
	} {
		preface := string(j.preface())
		if twin, ok := seen[preface]; ok {
			t.Errorf("%+v and %+v have the same fingerprint", j, twin)
		}
		for earlier := range seen {
			if strings.HasPrefix(preface, earlier) {
				t.Errorf("%q begins with %q: the content could make them equal", preface, earlier)
			}
		}
		seen[preface] = j
	}
}
