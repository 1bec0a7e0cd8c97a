package rows

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Why a cell is no number, from Integer.
var (
	// ErrNoInteger means anything else than an integer in digits.
	ErrNoInteger = errors.New("it is not an integer in digits")
	// ErrRange means an integer that does not fit into 64 bits.
	ErrRange = errors.New("it is out of range")
	// ErrLostDigits means a number with an exponent, as a spreadsheet writes a long one after it has rounded it.
	ErrLostDigits = errors.New("a spreadsheet has lost its digits: format the column as text and enter it again")
)

var exponent = regexp.MustCompile(`^[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+$`)

// Integer reads an integer from a cell. Its fraction may be zeros: programs write 318.0 in a column that has empty
// cells.
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

// Bool reads a yes or a no from a cell, as programs and people write it. ok is false for anything else.
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
