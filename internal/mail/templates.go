package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	texttemplate "text/template"
)

//go:embed templates
var embedded embed.FS

const (
	subjectFile = "subject.txt"
	textFile    = "revoked.txt"
	htmlFile    = "revoked.html"
)

// details are what a template can say. In the first three a mail program finds no address to link. Each may be empty, is a single line of valid UTF-8 without control
// characters, and has a bounded length.
type details struct {
	// Name is the candidate's.
	Name string
	// Assessment is the name of what the candidate was invited to.
	Assessment string
	// Company is the account's name.
	Company string
	// Contact is where candidates may ask, as the account has it.
	Contact string
	// ContactAddress is Contact when that is an email address, otherwise empty.
	ContactAddress string
}

// samples are what every template must be able to say before it is used: everything and nothing.
var samples = []details{
	{
		Name: "Ada Example", Assessment: "Analytical Engines", Company: "Example Ltd",
		Contact: "people@example.com", ContactAddress: "people@example.com",
	},
	{},
}

type template interface {
	Execute(w io.Writer, data any) error
}

type templates struct {
	subject, text, html template
}

// loadTemplates takes each file from dir where it is there, and otherwise the embedded one. An empty dir
// stands for none.
func loadTemplates(dir string) (templates, error) {
	if err := checkTemplateDir(dir); err != nil {
		return templates{}, fmt.Errorf("mail templates: %w", err)
	}
	var t templates
	var faults []error
	for _, file := range []struct {
		name  string
		into  *template
		parse func(name, source string) (template, error)
	}{
		{subjectFile, &t.subject, parseText},
		{textFile, &t.text, parseText},
		{htmlFile, &t.html, parseHTML},
	} {
		var err error
		if *file.into, err = load(dir, file.name, file.parse); err != nil {
			faults = append(faults, fmt.Errorf("mail templates: %w", err))
		}
	}
	return t, errors.Join(faults...)
}

// checkTemplateDir refuses a directory that replaces nothing: a misspelt name must not pass unnoticed.
func checkTemplateDir(dir string) error {
	if dir == "" {
		return nil
	}
	if _, err := os.ReadDir(dir); err != nil {
		return err
	}
	for _, name := range []string{subjectFile, textFile, htmlFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s has none of %s, %s and %s", dir, subjectFile, textFile, htmlFile)
}

// load parses one template under the name of its file, which its errors then carry, and tries it.
func load(dir, name string, parse func(name, source string) (template, error)) (template, error) {
	path, source, err := read(dir, name)
	if err != nil {
		return nil, err
	}
	parsed, err := parse(path, string(source))
	if err != nil {
		return nil, err
	}
	for _, sample := range samples {
		said, err := render(parsed, sample)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(said) == "" {
			return nil, fmt.Errorf("template: %s: says nothing, with every detail given or with none", path)
		}
	}
	return parsed, nil
}

func read(dir, name string) (path string, source []byte, err error) {
	if dir != "" {
		path = filepath.Join(dir, name)
		source, err = os.ReadFile(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return path, source, err
		}
	}
	path = "templates/" + name
	source, err = embedded.ReadFile(path)
	return path, source, err
}

func parseText(name, source string) (template, error) {
	return texttemplate.New(name).Parse(source)
}

func parseHTML(name, source string) (template, error) {
	return htmltemplate.New(name).Parse(source)
}

func render(t template, d details) (string, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, d); err != nil {
		return "", err
	}
	return b.String(), nil
}
