package rows_test

import (
	"errors"
	"testing"

	"rescind/internal/rows"
)

func TestInteger(t *testing.T) {
	for cell, want := range map[string]int64{
		"318": 318, "318.0": 318, "318.000": 318, "007": 7, "-1": -1, "0": 0, "9223372036854775807": 9223372036854775807, "9223372036854775807.0": 9223372036854775807,
	} {
		if got, err := rows.Integer(cell); got != want || err != nil {
			t.Errorf("%q: %d %v", cell, got, err)
		}
	}
	for cell, want := range map[string]error{
		"": rows.ErrNoInteger, "x": rows.ErrNoInteger, "318.5": rows.ErrNoInteger, "318.": rows.ErrNoInteger, ".0": rows.ErrNoInteger, "-": rows.ErrNoInteger,
		"--1": rows.ErrNoInteger, "+1": rows.ErrNoInteger, "1 2": rows.ErrNoInteger, "318,0": rows.ErrNoInteger, "0x1": rows.ErrNoInteger, "९": rows.ErrNoInteger, "318.0.0": rows.ErrNoInteger,
		"9223372036854775808": rows.ErrRange, "99999999999999999999.0": rows.ErrRange,
		"3.18E+10": rows.ErrLostDigits, "3,18E+10": rows.ErrLostDigits, "3e2": rows.ErrLostDigits, "-1E5": rows.ErrLostDigits,
	} {
		if _, err := rows.Integer(cell); !errors.Is(err, want) {
			t.Errorf("%q: %v", cell, err)
		}
	}
}

func TestBool(t *testing.T) {
	for cell, want := range map[string]bool{"TRUE": true, "true": true, "Yes": true, "1": true, "FALSE": false, "no": false, "NO": false, "0": false} {
		if got, ok := rows.Bool(cell); got != want || !ok {
			t.Errorf("%q: %t %t", cell, got, ok)
		}
	}
	for _, cell := range []string{"", "x", "wahr", "y", "2", "1.0", "true,"} {
		if _, ok := rows.Bool(cell); ok {
			t.Errorf("%q is taken", cell)
		}
	}
}
