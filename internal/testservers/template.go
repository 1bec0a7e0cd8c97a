package testservers

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Template makes a file once for all tests of a binary, and gives each test a copy of its own. It is for files that take long
// to make, such as a database with its tables.
type Template struct {
	// Make makes the file at path.
	Make func(path string) error

	once    sync.Once
	content []byte
	err     error
}

// Copy returns the path of a copy, which is deleted when the test ends.
func (f *Template) Copy(t testing.TB) string {
	t.Helper()
	f.once.Do(func() { f.content, f.err = f.read() })
	if f.err != nil {
		t.Fatal(f.err)
	}
	path := filepath.Join(t.TempDir(), "rescind.db")
	if err := os.WriteFile(path, f.content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (f *Template) read() ([]byte, error) {
	dir, err := os.MkdirTemp("", "rescind-template-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // best effort: the operating system cleans up temporary files
	path := filepath.Join(dir, "rescind.db")
	if err := f.Make(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
