package rows

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// The common libraries for .xlsx were measured and not used. Each reads parts of any size into memory or unpacks all of
// them to the disk first, and each reads a truncated or damaged sheet as a shorter list without an error. This package
// reads each part as a stream, with archive/zip and encoding/xml, and returns an error if it cannot read it to its end.

const (
	// maxUnpacked bounds the uncompressed size of a workbook. A sheet of a million rows has a third of it.
	maxUnpacked = 512 << 20
	// maxDirectory bounds the directory of a zip file, which is held in memory.
	maxDirectory = 1 << 20
	// maxElement bounds an XML element without its child elements, because it is held in memory.
	maxElement = 1 << 20
)

var (
	errDamaged  = &FileError{Reason: Damaged, Detail: "The workbook is damaged: it cannot be read to its end. " + saveAs}
	errUnpacked = &FileError{Reason: TooLarge, Detail: "The workbook unpacks to more than 512 MiB. Save the list as CSV and use that."}
	errElement  = &FileError{Reason: TooLarge, Detail: "The workbook has an element that is larger than 1 MiB. Save the list as CSV and use that."}
)

func isZip(beginning []byte) bool { return bytes.HasPrefix(beginning, []byte("PK\x03\x04")) }

// workbook is an .xlsx file (ECMA-376, part 1).
type workbook struct {
	file *os.File
	zip  *zip.Reader
	// left is how many bytes may still be unpacked.
	left    int64
	yield   func() // Options.Yield
	sheets  []sheetPart
	strings *sharedStrings
	dates   []bool // which of the styles show a date
	// from1904 reports whether dates are counted from 1904.
	from1904 bool
}

// sheetPart is a sheet with cells.
type sheetPart struct {
	name, part string
	hidden     bool
}

// openWorkbook reads a workbook up to the rows of the sheet.
func openWorkbook(src io.Reader, o Options) (*Table, error) {
	f, size, err := spool(src, o.MaxWorkbook)
	if err != nil {
		return nil, err
	}
	b := &workbook{file: f, left: maxUnpacked, yield: o.Yield}
	t := &Table{options: o}
	if err = b.open(size); err == nil {
		err = b.chooseSheet(t)
	}
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	return t, nil
}

// Close removes the temporary files.
func (b *workbook) Close() error {
	var err error
	if b.strings != nil {
		err = discard(b.strings.file)
	}
	return errors.Join(err, discard(b.file))
}

// directoryReader bounds what archive/zip reads of a file's directory.
type directoryReader struct {
	io.ReaderAt
	left int
	open bool
}

func (d *directoryReader) ReadAt(p []byte, at int64) (int, error) {
	if !d.open {
		if d.left -= len(p); d.left < 0 {
			return 0, zip.ErrFormat
		}
	}
	return d.ReaderAt.ReadAt(p, at)
}

func (b *workbook) open(size int64) (err error) {
	file := &directoryReader{ReaderAt: b.file, left: maxDirectory}
	if b.zip, err = zip.NewReader(file, size); err != nil {
		return errDamaged
	}
	file.open = true
	main, err := b.mainPart()
	if err != nil {
		return err
	}
	if main == "" || !strings.HasSuffix(main, ".xml") {
		return &FileError{Reason: NoColumn, Detail: "This is " + b.kind() + ". " + saveAs}
	}
	related, err := b.relations(main)
	if err != nil {
		return err
	}
	if err := b.readWorkbook(main, related); err != nil {
		return err
	}
	for _, r := range related {
		switch r.kind {
		case "sharedStrings":
			b.strings, err = b.readStrings(r.part)
		case "styles":
			b.dates, err = b.readStyles(r.part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mainPart returns the name of the part with the workbook, or "" if the file is not a workbook.
func (b *workbook) mainPart() (string, error) {
	if b.find("_rels/.rels") == nil {
		return "", nil
	}
	related, err := b.relations("")
	if err != nil {
		return "", err
	}
	for _, r := range related {
		if r.kind == "officeDocument" && strings.HasPrefix(strings.ToLower(path.Base(r.part)), "workbook") {
			return r.part, nil
		}
	}
	return "", nil
}

// zipKinds are the beginnings of names in a zip file, each with what has it.
var zipKinds = []struct{ name, kind string }{
	{"xl/workbook.bin", "a binary Excel workbook (.xlsb)"},
	{"Index/Document.iwa", "an Apple Numbers spreadsheet"},
	{"Index.zip", "an Apple Numbers spreadsheet"},
	{"word/", "a Word document"},
	{"ppt/", "a PowerPoint presentation"},
}

// kind names what a zip file is that is no workbook.
func (b *workbook) kind() string {
	if mime := b.find("mimetype"); mime != nil {
		var name [64]byte
		if r, err := mime.Open(); err == nil {
			n, _ := io.ReadFull(r, name[:]) // short, or not what it should be
			_ = r.Close()
			switch s := string(name[:n]); {
			case strings.Contains(s, "opendocument.spreadsheet"):
				return "an OpenDocument spreadsheet (.ods)"
			case strings.Contains(s, "opendocument"):
				return "an OpenDocument file"
			}
		}
	}
	for _, k := range zipKinds {
		if slices.ContainsFunc(b.zip.File, func(f *zip.File) bool { return strings.HasPrefix(f.Name, k.name) }) {
			return k.kind
		}
	}
	return "a zip archive"
}

// find finds a part. Their names do not differ in case.
func (b *workbook) find(name string) *zip.File {
	for _, f := range b.zip.File {
		if strings.EqualFold(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"), name) {
			return f
		}
	}
	return nil
}

// chooseSheet finds the sheet to read: the one that is asked for, or else the first with the required columns, those
// that can be seen before hidden sheets.
func (b *workbook) chooseSheet(t *Table) error {
	sheets := slices.Clone(b.sheets)
	slices.SortStableFunc(sheets, func(x, y sheetPart) int {
		switch {
		case x.hidden == y.hidden:
			return 0
		case x.hidden:
			return 1
		default:
			return -1
		}
	})
	if t.options.Sheet != "" {
		sheets = slices.DeleteFunc(sheets, func(s sheetPart) bool { return s.name != t.options.Sheet })
		if len(sheets) == 0 {
			return b.noSheet()
		}
	}
	var first error
	for _, s := range sheets {
		rows, err := b.openSheet(s.part)
		if err != nil {
			return err
		}
		rows.table = t
		err = rows.findHeader(s.name)
		if err == nil {
			t.source = rows
			return nil
		}
		_ = rows.content.Close()
		failed, ok := errors.AsType[*FileError](err)
		if !ok || failed.Reason != NoColumn {
			return err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return &FileError{Reason: NoColumn, Column: t.options.Columns[0], Detail: "The workbook has no sheet with cells."}
	}
	return first
}

func (b *workbook) noSheet() error {
	var names []string
	for _, s := range b.sheets[:min(len(b.sheets), shownNames)] {
		names = append(names, `"`+ShownName(s.name)+`"`)
	}
	return &FileError{Reason: NoSheet, Detail: "The workbook has no such sheet. It has " + strings.Join(names, ", ") + "."}
}
