package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// results are the tables of a run, in the order in which they were begun.
type results struct {
	tables []*table
}

// table has a row for each contender and a column for each measure; a cell holds a value a round.
type table struct {
	name, title string
	rows        []string
	columns     []string
	cells       map[cell][]float64
}

type cell struct{ row, column string }

// table is the one of that name, which is begun when there is none.
func (r *results) table(name, title string) *table {
	for _, t := range r.tables {
		if t.name == name {
			return t
		}
	}
	t := &table{name: name, title: title, cells: make(map[cell][]float64)}
	r.tables = append(r.tables, t)
	return t
}

// add records one round's value, and prints it to show the progress.
func (t *table) add(row, column string, value float64) {
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	if !slices.Contains(t.columns, column) {
		t.columns = append(t.columns, column)
	}
	at := cell{row, column}
	t.cells[at] = append(t.cells[at], value)
	fmt.Printf("%s: %s: %s: %s\n", t.name, row, column, number(value))
}

// values are a cell's, by round; none when it was not measured.
func (r *results) values(table, row, column string) []float64 {
	for _, t := range r.tables {
		if t.name == table {
			return t.cells[cell{row, column}]
		}
	}
	return nil
}

// rowsOf are the rows of a table; none when it was not measured.
func (r *results) rowsOf(table string) []string {
	for _, t := range r.tables {
		if t.name == table {
			return t.rows
		}
	}
	return nil
}

// spread is the middle of some values, and their ends.
type spread struct{ least, median, most float64 }

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{sorted[0], quantile(sorted, .5), sorted[len(sorted)-1]}
}

func (s spread) String() string {
	middle, least, most := number(s.median), number(s.least), number(s.most)
	if least == most {
		return middle
	}
	return fmt.Sprintf("%s (%s to %s)", middle, least, most)
}

// number shows three digits at least, and no more than help.
func number(v float64) string {
	switch {
	case math.Abs(v) >= 1000:
		return thousands(int64(math.Round(v)))
	case math.Abs(v) >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// markdown writes a table as documents have it.
func (t *table) markdown(out *strings.Builder) {
	line := func(cells ...string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }
	fmt.Fprintf(out, "### %s\n\n", t.title)
	line(append([]string{""}, t.columns...)...)
	line("---" + strings.Repeat(" | ---:", len(t.columns)))
	for _, row := range t.rows {
		cells := []string{row}
		for _, column := range t.columns {
			if values := t.cells[cell{row, column}]; len(values) > 0 {
				cells = append(cells, spreadOf(values).String())
			} else {
				cells = append(cells, "")
			}
		}
		line(cells...)
	}
	out.WriteByte('\n')
}

// markdown returns the whole run: the goals with their results, and then all tables.
func (r *results) markdown(machine string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s Each value is the median of the rounds, with the least and the most of them.\n\n", machine)
	if met := r.goals(); len(met) > 0 {
		out.WriteString("| goal | wanted | measured | reached |\n| --- | ---: | ---: | --- |\n")
		for _, g := range met {
			fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", g.title, g.wanted, g.measured, g.reached)
		}
		out.WriteByte('\n')
	}
	for _, t := range r.tables {
		t.markdown(&out)
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}
