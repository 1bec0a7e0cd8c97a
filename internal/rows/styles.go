package rows

import (
	"encoding/xml"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxStyles bounds the styles of a workbook. Excel has at most 65,490.
const maxStyles = 1 << 17

// notInDates matches the parts of a number format that do not concern dates: texts, colours and escapes.
var notInDates = regexp.MustCompile(`"[^"]*"|\\.|_.|\*.|\[[^\]]*\]`)

// showsDate reports whether a number with this format is a date, a time or both.
func showsDate(format string) bool {
	if strings.EqualFold(format, "General") {
		return false
	}
	return strings.ContainsAny(strings.ToLower(notInDates.ReplaceAllString(format, "")), "dmyhs")
}

// readStyles reads which styles show a date.
func (b *workbook) readStyles(name string) (dates []bool, err error) {
	own := map[string]bool{}
	inCells := false
	err = b.each(name, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "numFmt":
			if len(own) < maxStyles {
				own[attribute(e, "numFmtId")] = showsDate(attribute(e, "formatCode"))
			}
		case "cellXfs":
			inCells = true
		case "cellStyleXfs", "cellStyles", "dxfs":
			inCells = false
		case "xf":
			if !inCells {
				return nil
			}
			if len(dates) == maxStyles {
				return errDamaged
			}
			id := attribute(e, "numFmtId")
			isDate, ok := own[id]
			if !ok {
				n, _ := strconv.Atoi(id)
				// The formats that need no definition: dates, and dates in eastern Asia.
				isDate = n >= 14 && n <= 22 || n >= 27 && n <= 36 || n >= 45 && n <= 47 || n >= 50 && n <= 58
			}
			dates = append(dates, isDate)
		}
		return nil
	})
	return dates, err
}

// exactDigits is how many digits a spreadsheet keeps of a number.
const exactDigits = 1e15

// number returns the text of a stored number: an integer in digits, a date as 2025-01-15 10:32:45, without a zone. A number
// of 16 digits or more has an exponent, because the spreadsheet has rounded it.
func (b *workbook) number(stored string, isDate bool) string {
	if !isDate && plainInteger(stored) {
		return stored
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(stored), 64)
	switch {
	case err != nil || math.IsNaN(f) || math.IsInf(f, 0):
		return stored
	case isDate:
		return b.date(f)
	case math.Abs(f) >= exactDigits:
		return strconv.FormatFloat(f, 'E', -1, 64)
	case f == math.Trunc(f):
		return strconv.FormatInt(int64(f), 10)
	default:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
}

// plainInteger reports whether s is an integer that is short enough to be exact.
func plainInteger(s string) bool {
	if s == "" || len(s) >= 15 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// date returns the time for a day number, to the millisecond. Before March 1900 it can be one day off, because Excel counts
// a day that did not exist.
func (b *workbook) date(day float64) string {
	const last = 2958465 // 9999-12-31
	if day < 0 || day > last+1 {
		return strconv.FormatFloat(day, 'f', -1, 64)
	}
	first := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	if b.from1904 {
		first = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	whole, part := math.Modf(day)
	t := first.AddDate(0, 0, int(whole)).Add(time.Duration(math.Round(part*24*60*60*1000)) * time.Millisecond)
	return t.Format("2006-01-02 15:04:05.999")
}
