package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rescind/internal/client"
)

// separatorNames are the names of separators in messages.
var separatorNames = map[string]string{",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

// describeFile describes how the service has read a file, so that people notice a column that was ignored by mistake.
func describeFile(f *client.File) string {
	var b strings.Builder
	switch {
	case f.Sheet != nil:
		fmt.Fprintf(&b, "Read the sheet %q of the workbook", printable(*f.Sheet))
	case f.Separator != nil && f.Encoding != nil:
		separator, ok := separatorNames[*f.Separator]
		if !ok {
			separator = fmt.Sprintf("%q", *f.Separator)
		}
		fmt.Fprintf(&b, "Read CSV separated by %s, in %s", separator, printable(strings.ToUpper(*f.Encoding)))
	default:
		fmt.Fprintf(&b, "Read %s", printable(f.Format))
	}
	var names []string
	for _, column := range slices.Sorted(maps.Keys(f.Columns)) {
		name := printable(column)
		if f.Columns[column] != column {
			name += fmt.Sprintf(" (%q)", printable(f.Columns[column]))
		}
		names = append(names, name)
	}
	fmt.Fprintf(&b, ". Columns: %s.", strings.Join(names, ", "))
	if len(f.Ignored) > 0 {
		names = names[:0]
		for _, name := range f.Ignored {
			names = append(names, fmt.Sprintf("%q", printable(name)))
		}
		fmt.Fprintf(&b, " Ignored: %s.", strings.Join(names, ", "))
	}
	return b.String()
}
