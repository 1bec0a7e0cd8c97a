package rows

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// table reads all records; what cannot be read stands in its place as the error's text.
func table(t *testing.T, text io.Reader) (records [][]string) {
	t.Helper()
	r := newRecords(text)
	for {
		cells, err := r.Next()
		unreadable, ok := errors.AsType[Error](err)
		switch {
		case errors.Is(err, io.EOF):
			return records
		case ok:
			records = append(records, []string{"! " + unreadable.Error()})
		case err != nil:
			t.Fatal(err)
		default:
			records = append(records, append([]string{}, cells...))
		}
	}
}

func TestCSV(t *testing.T) {
	quote, long := []string{"! " + ErrQuote.Error()}, []string{"! " + ErrLong.Error()}
	full := strings.Repeat("x", MaxRow)
	for name, c := range map[string]struct {
		text string
		want [][]string
	}{
		"empty":                 {"", nil},
		"a mark alone":          {"\ufeff", nil},
		"blank lines alone":     {"\n\r\n \t\r\n", nil},
		"plain":                 {"a,b\n1,2\n", [][]string{{"a", "b"}, {"1", "2"}}},
		"a mark":                {"\ufeffa,b\n1,2", [][]string{{"a", "b"}, {"1", "2"}}},
		"a mark before quotes":  {"\ufeff\"a\",b", [][]string{{"a", "b"}}},
		"CRLF":                  {"a,b\r\n1,2\r\n", [][]string{{"a", "b"}, {"1", "2"}}},
		"CR at the end":         {"a,b\r", [][]string{{"a", "b"}}},
		"blank lines":           {"\na\n\n \t\r\n1\n\n", [][]string{{"a"}, {"1"}}},
		"spaces around cells":   {" a ,\tb\u00a0\n 1, \"2\" ,\" 3 \"\t\n", [][]string{{"a", "b"}, {"1", "2", "3"}}},
		"empty cells":           {",\n\"\",,\n", [][]string{{"", ""}, {"", "", ""}}},
		"quotes":                {"\"a,b\",\"c\"\"d\",\"\"\"\"\n", [][]string{{"a,b", `c"d`, `"`}}},
		"a cell of two lines":   {"1,\"a\r\nb\",2\n3,4\n", [][]string{{"1", "a\r\nb", "2"}, {"3", "4"}}},
		"a cell with blanks":    {"1,\"a\n\n\nb\",2\n3\n", [][]string{{"1", "a\n\n\nb", "2"}, {"3"}}},
		"lines of commas":       {"1,\"\n,\n\",2\n", [][]string{{"1", ",", "2"}}},
		"never closed":          {"1,\"a\n2,b\n3,c\n", [][]string{quote, {"2", "b"}, {"3", "c"}}},
		"never closed, at last": {"1,a\n2,\"b", [][]string{{"1", "a"}, quote}},
		"two never closed":      {"1,\"a\n2,b\n3,\"c\n4,d\n", [][]string{quote, {"2", "b"}, quote, {"4", "d"}}},
		"every one never closed": {
			"1,\"a\n2,\"b\n3,\"c\n", [][]string{quote, quote, quote},
		},
		"a quote within a cell":  {"1,a\"b\n2,c\n", [][]string{quote, {"2", "c"}}},
		"a quote after a cell":   {"1,a\"\n2,c\n", [][]string{quote, {"2", "c"}}},
		"text after the quotes":  {"1,\"a\"b\n2,c\n", [][]string{quote, {"2", "c"}}},
		"three quotes":           {"\"\"\"\n1\n", [][]string{quote, {"1"}}},
		"the longest":            {full + "\r\n1\n", [][]string{{full}, {"1"}}},
		"the longest at the end": {"1\n" + full, [][]string{{"1"}, {full}}},
		"too long by one":        {full + "x\n1\n", [][]string{long, {"1"}}},
		"far too long":           {"1\n" + full + full + full + "\n2\n", [][]string{{"1"}, long, {"2"}}},
		"far too long at last":   {"1\n" + full + full, [][]string{{"1"}, long}},
		"closed far too late": {
			"1,\"a\n" + strings.Repeat("2,b\n", MaxRow/4) + "3,c\"\n4,d\n",
			append(append([][]string{quote}, repeated([]string{"2", "b"}, MaxRow/4)...), quote, []string{"4", "d"}),
		},
		"any bytes": {"\xff\x00,\xe2\x82\n", [][]string{{"\xff\x00", "\xe2\x82"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, table(t, strings.NewReader(c.text))); diff != "" {
				t.Errorf("(-want +got):\n%.2000s", diff)
			}
			if len(c.text) < 1000 {
				if diff := cmp.Diff(c.want, table(t, iotest.OneByteReader(strings.NewReader(c.text)))); diff != "" {
					t.Errorf("byte by byte (-want +got):\n%.2000s", diff)
				}
			}
			if diff := cmp.Diff(c.want, table(t, iotest.DataErrReader(strings.NewReader(c.text)))); diff != "" {
				t.Errorf("with the end at once (-want +got):\n%.2000s", diff)
			}
		})
	}
}

func repeated(record []string, n int) (records [][]string) {
	for range n {
		records = append(records, record)
	}
	return records
}

// TestCSV_readsWhatIsWritten holds the reader to another's writer, whatever the cells hold.
func TestCSV_readsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[a-z0-9 ,"é\n]{0,12}`), rapid.String())
		records := rapid.SliceOfN(rapid.SliceOfN(text, 2, 5), 1, 20).Draw(t, "records")
		var written strings.Builder
		written.WriteString("\ufeff") // or it would be taken out of the first cell
		w := csv.NewWriter(&written)
		w.UseCRLF = rapid.Bool().Draw(t, "CRLF")
		if err := w.WriteAll(records); err != nil {
			t.Fatal(err)
		}
		r := newRecords(strings.NewReader(written.String()))
		for i, want := range records {
			got, err := r.Next()
			if err != nil {
				t.Fatalf("record %d of %q: %v", i, written.String(), err)
			}
			for j := range want {
				if diff := cmp.Diff(asCell(want[j]), asCell(got[j])); diff != "" {
					t.Fatalf("cell %d of record %d of %q (-want +got):\n%s", j, i, written.String(), diff)
				}
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last record: %v", err)
		}
	})
}

// asCell is a text as a cell can hold it, without the returns that the writer sets and leaves out by itself.
func asCell(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\r", "") }

func TestLines(t *testing.T) {
	full := strings.Repeat("x", MaxRow)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"empty":               {"", nil},
		"blank":               {" \n\t\r\n\n", nil},
		"lines":               {"a\nb\r\n\n c \nd", []string{"a", "b", " c ", "d"}},
		"a mark":              {"\ufeffa\n\ufeffb\n", []string{"a", "\ufeffb"}},
		"the longest":         {full + "\r\n" + full, []string{full, full}},
		"too long":            {full + "x\n" + full + full + "\na\n" + full + "x", []string{"!", "!", "a", "!"}},
		"any bytes":           {"\x00\n\xff", []string{"\x00", "\xff"}},
		"a return in between": {"a\rb\r\r\n", []string{"a\rb\r"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for r := NewLines(strings.NewReader(c.text)); ; {
				line, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if errors.Is(err, ErrLong) {
					line, err = []byte("!"), nil
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(line))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%.2000s", diff)
			}
		})
	}
}

// TestNext_brokenText has the text end in an error at every place.
func TestNext_brokenText(t *testing.T) {
	broken := errors.New("broken")
	text := "a,b\n1,\"x\ny\"\n\n2,\"z\n3,c\n" + strings.Repeat("x", 100)
	for n := range len(text) {
		src := io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken))
		r := newRecords(src)
		var err error
		for err == nil || errors.As(err, new(Error)) {
			_, err = r.Next()
		}
		if !errors.Is(err, broken) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	t.Run("a line that is too long", func(t *testing.T) {
		src := io.MultiReader(strings.NewReader(strings.Repeat("x", 3*MaxRow)), iotest.ErrReader(broken))
		if _, err := NewLines(src).Next(); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	t.Run("a text that never comes", func(t *testing.T) {
		if _, err := newRecords(idle{}).Next(); !errors.Is(err, io.ErrNoProgress) {
			t.Error(err)
		}
	})
}

// idle gives nothing, for ever.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func BenchmarkCSV(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "%d,true,\"reference %d\"\n", 1_000_000+i, i)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		r := newRecords(strings.NewReader(text.String()))
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}
