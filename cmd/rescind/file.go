package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	mediaCSV   = "text/csv"
	mediaXLSX  = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	mediaLines = "application/x-ndjson"
	mediaJSON  = "application/json"
)

// maxSniff bounds what is looked at to tell what a content is.
const maxSniff = 64 << 10

// mediaByEnding is what a file's name says about its content.
var mediaByEnding = map[string]string{
	".csv": mediaCSV, ".tsv": mediaCSV, ".xlsx": mediaXLSX, ".ndjson": mediaLines, ".jsonl": mediaLines, ".json": mediaJSON,
}

// input is a file that can be read again from its beginning.
type input struct {
	*os.File
	size  int64
	media string
	gzip  bool
	spool bool // it is a copy
}

// openInput opens a file by its name; - is standard input. What cannot be read twice is copied to a temporary
// file first. The name's ending says what it holds (.csv, .tsv, .xlsx, .ndjson, .jsonl, .json, each with .gz after it
// or not); without one of them, its first characters do.
func openInput(ctx context.Context, name string, stdin io.Reader) (in *input, err error) {
	in = &input{}
	ending := strings.ToLower(filepath.Ext(name))
	in.gzip = ending == ".gz"
	if in.gzip {
		ending = strings.ToLower(filepath.Ext(name[:len(name)-len(ending)]))
	}
	in.media = mediaByEnding[ending]

	source := stdin
	if name != "-" {
		if in.File, err = os.Open(name); err != nil {
			return nil, err
		}
		source = in.File
	}
	if err := in.settle(ctx, source); err != nil {
		_ = in.Close()
		return nil, err
	}
	return in, nil
}

// settle finds the size and the kind of what is read from source.
func (in *input) settle(ctx context.Context, source io.Reader) error {
	regular := false
	if in.File != nil {
		info, err := in.Stat()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a directory", in.Name())
		}
		regular, in.size = info.Mode().IsRegular(), info.Size()
	}
	if !regular {
		if err := in.copy(ctx, source); err != nil {
			return err
		}
	}
	if in.media == "" {
		var err error
		if in.media, in.gzip, err = sniff(in); err != nil {
			return fmt.Errorf("read the beginning: %w", err)
		}
	}
	return nil
}

// copy has the input be a copy of source. It goes without a name where the system lets an open file do so, and
// nothing is left of it whatever ends the program.
func (in *input) copy(ctx context.Context, source io.Reader) error {
	file, err := os.CreateTemp("", "rescind-upload-*")
	if err != nil {
		return err
	}
	_ = os.Remove(file.Name()) // or in Close
	original := in.File
	in.File, in.spool = file, true
	copied := make(chan error, 1)
	go func() {
		var err error
		in.size, err = io.Copy(file, source)
		if original != nil {
			_ = original.Close() // it was only read
		}
		copied <- err
	}()
	select {
	case err := <-copied:
		if err != nil {
			return fmt.Errorf("copy the input: %w", err)
		}
		return nil
	case <-ctx.Done(): // the source may never end
		return ctx.Err()
	}
}

// Close closes the input, and removes it if it is a copy.
func (in *input) Close() error {
	if in.File == nil {
		return nil
	}
	err := in.File.Close()
	if in.spool {
		_ = os.Remove(in.Name())
	}
	return err
}

// sniff tells what a content is by its beginning.
func sniff(in *input) (media string, zipped bool, err error) {
	beginning := bufio.NewReader(io.NewSectionReader(in, 0, in.size))
	if magic, _ := beginning.Peek(2); string(magic) == "\x1f\x8b" {
		content, err := gzip.NewReader(beginning)
		if err != nil {
			return "", false, err
		}
		zipped, beginning = true, bufio.NewReader(content)
	}
	if magic, _ := beginning.Peek(4); string(magic) == "PK\x03\x04" {
		return mediaXLSX, zipped, nil
	}
	if bom, _ := beginning.Peek(3); string(bom) == "\ufeff" {
		_, _ = beginning.Discard(len(bom)) // it was there
	}
	return mediaOf(io.LimitReader(beginning, maxSniff)), zipped, nil
}

// mediaOf takes a text for a table unless it begins with a {. Then it is JSON if that object has a member that only
// a whole job has, and otherwise a revocation a line.
func mediaOf(beginning io.Reader) string {
	members := json.NewDecoder(beginning)
	if first, _ := members.Token(); first != json.Delim('{') {
		return mediaCSV
	}
	for members.More() {
		switch name, _ := members.Token(); name {
		case "report_ids", "items", "label":
			return mediaJSON
		}
		var value json.RawMessage
		if members.Decode(&value) != nil {
			break // the service says what is wrong with it
		}
	}
	return mediaLines
}
