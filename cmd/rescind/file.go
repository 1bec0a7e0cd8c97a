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

	"rescind/internal/client"
)

const (
	mediaCSV   = "text/csv"
	mediaXLSX  = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	mediaLines = "application/x-ndjson"
	mediaJSON  = "application/json"
)

// maxSniff is how many bytes are read to recognise the type of a file.
const maxSniff = 64 << 10

// mediaByEnding maps the ending of a file's name to its media type.
var mediaByEnding = map[string]string{
	".csv": mediaCSV, ".tsv": mediaCSV, ".xlsx": mediaXLSX, ".ndjson": mediaLines, ".jsonl": mediaLines, ".json": mediaJSON,
}

// input is a file that can be read again from its beginning.
type input struct {
	*os.File
	size  int64
	media string
	gzip  bool
	spool bool // the file is a temporary copy
}

// openInput opens a file; the name - means standard input. An input that cannot be read twice is copied to a temporary file
// first. The ending of the name decides the media type (.csv, .tsv, .xlsx, .ndjson, .jsonl, .json, each with or without
// .gz). For other names, the first characters of the content decide.
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
	if err := in.prepare(ctx, source); err != nil {
		_ = in.Close()
		return nil, err
	}
	return in, nil
}

// prepare sets the size and the media type of the input, and copies source if it is not a regular file.
func (in *input) prepare(ctx context.Context, source io.Reader) error {
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

// copy replaces the file of the input by a temporary copy of source. It removes the name of the copy at once where the
// system allows this for an open file, so that no copy remains when the program is killed.
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

// addMembers adds options to a job in JSON. It replaces the file by a temporary copy with their members at the beginning. If the
// job has one of them itself, the service refuses it.
func (in *input) addMembers(ctx context.Context, options client.JobOptions) error {
	members, err := json.Marshal(struct {
		Notify  bool   `json:"notify_candidate,omitempty"`
		Preview bool   `json:"preview,omitempty"`
		Sheet   string `json:"sheet,omitempty"`
		client.Wishes
	}{options.Notify, options.Preview, options.Sheet, options.Wishes})
	if err != nil || string(members) == "{}" {
		return err
	}
	var source io.Reader = io.NewSectionReader(in.File, 0, in.size) // copy replaces in.File
	if in.gzip {
		if source, err = gzip.NewReader(source); err != nil {
			return fmt.Errorf("unpack the job: %w", err)
		}
	}
	content := bufio.NewReader(source)
	if bom, _ := content.Peek(3); string(bom) == "\ufeff" {
		_, _ = content.Discard(len(bom)) // Peek has buffered it
	}
	beginning, _ := content.ReadString('{') // its end follows
	if strings.TrimSpace(beginning) != "{" {
		return nil // it is no object: the service reports it
	}
	first, err := content.Peek(1)
	for err == nil && strings.ContainsRune(" \t\r\n", rune(first[0])) {
		_, _ = content.Discard(1) // Peek has buffered it
		first, err = content.Peek(1)
	}
	separator := ","
	if err == nil && first[0] == '}' {
		separator = ""
	}
	in.gzip = false
	return in.copy(ctx, io.MultiReader(strings.NewReader(strings.TrimSuffix(string(members), "}")+separator), content))
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

// sniff recognises the media type of a file by its first bytes, and reports whether the file is compressed with gzip.
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
		_, _ = beginning.Discard(len(bom)) // Peek has buffered it
	}
	return mediaOf(io.LimitReader(beginning, maxSniff)), zipped, nil
}

// mediaOf returns the media type of a text. A text that does not begin with { is a table. If its first object has a member
// that only a job has, it is a job in JSON; otherwise each line is a revocation.
func mediaOf(beginning io.Reader) string {
	members := json.NewDecoder(beginning)
	if first, _ := members.Token(); first != json.Delim('{') {
		return mediaCSV
	}
	for members.More() {
		switch name, _ := members.Token(); name {
		case "report_ids", "items", "select", "label", "preview", "not_before", "candidate_message":
			return mediaJSON
		}
		var value json.RawMessage
		if members.Decode(&value) != nil {
			break // the service will report the fault
		}
	}
	return mediaLines
}
