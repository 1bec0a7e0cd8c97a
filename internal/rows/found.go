package rows

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// maxSample is how many bytes of a text are used to recognize its kind.
const maxSample = 4 << 10

// Reason is why a file cannot be read as a list.
type Reason string

// The reasons. FileError.Detail describes each case.
const (
	// NoColumn means that a required column is missing, or that the file is not a table.
	NoColumn Reason = "required"
	// ColumnTwice means that a known column occurs more than once.
	ColumnTwice Reason = "duplicate_field"
	// NoSheet means that the workbook has no such sheet, or that the file is not a workbook.
	NoSheet Reason = "no_sheet"
	// Damaged means that the workbook cannot be read to its end.
	Damaged Reason = "damaged"
	// TooLarge means that the workbook exceeds a limit, compressed or uncompressed.
	TooLarge Reason = "too_large"
)

// FileError is why a file cannot be read at all. Detail has sentences for the person who has the file. It may contain
// names of columns and sheets, and nothing else of the file.
type FileError struct {
	Reason Reason
	// Column is the known column that is concerned.
	Column string
	Detail string
}

func (e *FileError) Error() string { return e.Detail }

// saveAs is the advice for a file that is not a list.
const saveAs = "Save the list as CSV or .xlsx and use that."

// The kinds of files that a caller may accept in another way.
const (
	kindJSON = "JSON"
	kindGzip = "a file packed by gzip"
)

// describe returns the error for a text without the required columns. samples are the same text in several encodings. If
// the kind of one is recognized, the error names it; otherwise it has detail.
func (o *Options) describe(samples, missing []string, detail string) *FileError {
	for _, sample := range samples {
		if kind := kindOf(strings.TrimPrefix(sample, "\ufeff")); kind != "" {
			advice := ""
			switch kind {
			case kindJSON:
				advice = o.IfJSON
			case kindGzip:
				advice = o.IfGzip
			}
			detail = "This is " + kind + ". " + cmp.Or(advice, saveAs)
			break
		}
	}
	return &FileError{Reason: NoColumn, Column: missing[0], Detail: detail}
}

var (
	mailHeader = regexp.MustCompile(`(?i)^(?:From \S+@|(?:received|return-path|delivered-to|mime-version|message-id|dkim-signature|from|to|subject|date|x-[a-z-]+): .)`)
	excelXML   = []byte("urn:schemas-microsoft-com:office:spreadsheet")
)

// kindOf returns the kind of a text that is not a table, with its article, or "" if it is not recognized.
func kindOf(sample string) string {
	trimmed := strings.TrimSpace(sample)
	media := http.DetectContentType([]byte(sample))
	switch {
	case media == "application/pdf":
		return "a PDF"
	case strings.HasPrefix(media, "image/") && media != "image/bmp" || media == "image/bmp" && strings.Contains(sample, "\x00"):
		return "an image"
	case media == "application/x-gzip":
		return kindGzip
	case strings.HasPrefix(trimmed, `{\rtf`):
		return "a Rich Text document"
	case strings.HasPrefix(media, "text/xml") && strings.Contains(sample, string(excelXML)):
		return "an Excel 2003 XML workbook"
	case strings.HasPrefix(media, "text/html") || strings.HasPrefix(trimmed, "<?xml") && strings.Contains(sample, "<html"):
		return "HTML"
	case strings.HasPrefix(media, "text/xml") || strings.HasPrefix(trimmed, "<?xml"):
		return "XML"
	case mailHeader.MatchString(trimmed):
		return "an e-mail"
	case strings.HasPrefix(trimmed, "BEGIN:V"):
		return "a contact or a calendar"
	case looksLikeJSON(trimmed):
		return kindJSON
	case strings.Contains(sample, "\x00\x00"):
		return "a binary file"
	}
	return ""
}

func looksLikeJSON(s string) bool {
	if s == "" || s[0] != '{' && s[0] != '[' {
		return false
	}
	d := json.NewDecoder(strings.NewReader(s))
	_, first := d.Token()
	_, second := d.Token()
	return first == nil && (second == nil || errors.Is(second, io.ErrUnexpectedEOF) || errors.Is(second, io.EOF))
}

var oleMagic = []byte{0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}

func isOLE(beginning []byte) bool {
	return len(beginning) >= 4 && bytes.HasPrefix(oleMagic, beginning[:min(len(beginning), len(oleMagic))])
}

// oleKinds are the names of streams in compound files, with the kind of file that has them.
var oleKinds = []struct{ stream, kind string }{
	{"EncryptedPackage", "a workbook that is protected by a password"},
	{"Workbook", "an Excel 97 workbook (.xls)"},
	{"Book", "an Excel 5 workbook (.xls)"},
	{"WordDocument", "a Word document"},
	{"__properties_version1.0", "an e-mail that Outlook has saved"},
}

// describeOLE returns the error for a compound file: a document of Office from before .xlsx, or one with a password.
func describeOLE(src io.Reader) error {
	kind := "an old Office document"
	const overlap = 64
	buf, kept := make([]byte, overlap+MaxRow), 0
	for best := len(oleKinds); ; {
		n, err := io.ReadFull(src, buf[kept:])
		held := buf[:kept+n]
		for i, k := range oleKinds[:best] {
			if bytes.Contains(held, utf16Name(k.stream)) {
				best, kind = i, k.kind
				break
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || best == 0 {
			break
		}
		if err != nil {
			return err
		}
		kept = copy(buf, held[max(0, len(held)-overlap):])
	}
	advice := saveAs
	if kind == oleKinds[0].kind {
		advice = "Save it without the password, or save the list as CSV, and use that."
	}
	return &FileError{Reason: NoColumn, Detail: "This is " + kind + ". " + advice}
}

// utf16Name returns the name of a stream as it is encoded in a compound file.
func utf16Name(name string) []byte {
	b := make([]byte, 0, 2*len(name)+2)
	for _, c := range []byte(name + "\x00") {
		b = append(b, c, 0)
	}
	return b
}

// separatorNames are for sentences.
var separatorNames = map[string]string{",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

// shownNames is how many columns an error names at most.
const shownNames = 20

// notFound returns a text about the missing columns and the columns that were found.
func notFound(header []string, separator string, missing []string) string {
	var b strings.Builder
	b.WriteString(headerOf(missing) + " ")
	var names []string
	for _, name := range header {
		if name = ShownName(name); name != "" && len(names) < shownNames {
			names = append(names, `"`+name+`"`)
		}
	}
	if len(header) == 1 {
		b.WriteString("It has one column: ")
	} else if name := separatorNames[separator]; name != "" {
		b.WriteString("It has these columns, separated by " + name + ": ")
	} else {
		b.WriteString("It has these columns: ")
	}
	b.WriteString(strings.Join(names, ", "))
	if len(names) == shownNames {
		b.WriteString(" and more")
	}
	b.WriteString(".")
	if near := nearest(header, missing[0]); near != "" {
		b.WriteString(` If "` + near + `" is meant, call it ` + missing[0] + ".")
	}
	return b.String()
}

// wanted returns a sentence about the required columns.
func (o *Options) wanted() string {
	return headerOf(o.Columns[:o.Required])
}

// headerOf returns a sentence about the header that must have the columns.
func headerOf(columns []string) string {
	what := "column "
	if len(columns) > 1 {
		what = "columns "
	}
	return "The first row must be a header that names the " + what + strings.Join(columns, ", ") + "."
}
