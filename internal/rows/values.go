package rows

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// The errors of Integer.
var (
	// ErrNoInteger means that the cell is not an integer in digits.
	ErrNoInteger = errors.New("it is not an integer in digits")
	// ErrRange means that the integer does not fit into 64 bits.
	ErrRange = errors.New("it is out of range")
	// ErrLostDigits means that the number has an exponent: spreadsheets round long numbers and write them so.
	ErrLostDigits = errors.New("a spreadsheet has lost its digits: format the column as text and enter it again")
)

var exponent = regexp.MustCompile(`^[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+$`)

// Integer parses a cell as an integer. A fraction of zeros is allowed, because programs write 318.0 in a column that has
// empty cells.
func Integer(cell string) (int64, error) {
	whole, fraction, broken := strings.Cut(cell, ".")
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" || broken && (fraction == "" || strings.Trim(fraction, "0") != "") {
		if exponent.MatchString(cell) {
			return 0, ErrLostDigits
		}
		return 0, ErrNoInteger
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, ErrRange
	}
	return n, nil
}

// Bool parses 1, true, yes, 0, false or no, in any case. ok is false for any other cell.
func Bool(cell string) (value, ok bool) {
	switch {
	case cell == "1" || strings.EqualFold(cell, "true") || strings.EqualFold(cell, "yes"):
		return true, true
	case cell == "0" || strings.EqualFold(cell, "false") || strings.EqualFold(cell, "no"):
		return false, true
	default:
		return false, false
	}
}
