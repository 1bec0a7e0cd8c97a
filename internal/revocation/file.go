package revocation

// File describes the file that a job was uploaded in, as it is stored and shown. It contains names of columns and of a
// sheet, each cut to 64 characters, and never the content of a cell.
type File struct {
	// Format is csv or xlsx.
	Format string `json:"format"`
	// Separator separates the cells of csv, and Encoding is utf-8, utf-16le or utf-16be; both are nil for xlsx.
	Separator *string `json:"separator"`
	Encoding  *string `json:"encoding"`
	// Sheet is the name of the xlsx sheet that was read; nil for csv.
	Sheet *string `json:"sheet"`
	// Columns maps each column that was recognised to its name in the file.
	Columns map[string]string `json:"columns"`
	// Ignored contains the names of the first 50 other columns. It is never nil.
	Ignored []string `json:"ignored"`
}
