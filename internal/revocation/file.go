package revocation

// File is what was recognised of the file that a job came in, as it is stored and shown. It holds names of columns and
// of a sheet, each cut to 64 characters, and never a cell.
type File struct {
	// Format is csv or xlsx.
	Format string `json:"format"`
	// Separator is what separates the cells of csv, and Encoding is utf-8, utf-16le or utf-16be; nil for xlsx.
	Separator *string `json:"separator"`
	Encoding  *string `json:"encoding"`
	// Sheet is the sheet of xlsx that was read; nil for csv.
	Sheet *string `json:"sheet"`
	// Columns has the name in the file of each column that was found.
	Columns map[string]string `json:"columns"`
	// Ignored are the names of the other columns, the first 50; not nil.
	Ignored []string `json:"ignored"`
}
