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

	"rescind/internal/revocation"
)

//go:embed templates
var embedded embed.FS

const (
	subjectFile = "subject.txt"
	textFile    = "revoked.txt"
	htmlFile    = "revoked.html"
)

// details are the data of a template. Each field may be empty, is valid UTF-8 of a bounded length, and has no control
// characters. Each is a single line, except for Message. Mail programs find nothing to link in Name, Assessment and Company.
type details struct {
	// Name is the candidate's name.
	Name string
	// Assessment is the name of what the candidate was invited to.
	Assessment string
	// Company is the account's name.
	Company string
	// Contact is where candidates may ask questions, as the account wrote it.
	Contact string
	// ContactAddress is Contact if that is an email address, and empty otherwise.
	ContactAddress string
	// Message is what the company wrote to the candidate. Templates show it as text, never as HTML.
	Message note
}

// note is a text of one or more lines.
type note string

// Lines returns the lines, without their line breaks.
func (n note) Lines() []string { return strings.Split(string(n), "\n") }

// samples are the data with which each template is tested before it is used: all fields, and none.
var samples = []details{
	{
		Name: "Ada Example", Assessment: "Analytical Engines", Company: "Example Ltd",
		Contact: "people@example.com", ContactAddress: "people@example.com",
		Message: "The position is filled.\nThank you for your interest.",
	},
	{},
}

type template interface {
	Execute(w io.Writer, data any) error
}

type templates struct {
	subject, text, html template
}

// render returns the email with the details.
func (t *templates) render(d details) (email revocation.EmailText, err error) {
	for _, part := range []struct {
		template
		into *string
	}{{t.subject, &email.Subject}, {t.text, &email.Text}, {t.html, &email.HTML}} {
		if *part.into, err = render(part.template, d); err != nil {
			return revocation.EmailText{}, err
		}
	}
	email.Subject = clean(email.Subject, maxSubject)
	return email, nil
}

// Examples shows emails without sending them.
type Examples struct{ templates templates }

// NewExamples returns Examples with the templates that NewMessages would use.
func NewExamples(templateDir string) (*Examples, error) {
	t, err := loadTemplates(templateDir)
	if err != nil {
		return nil, err
	}
	return &Examples{t}, nil
}

// Show returns what the candidate reads of an email.
func (x *Examples) Show(email revocation.Email) (revocation.EmailText, error) {
	return x.templates.render(detailsOf(email))
}

// loadTemplates reads each file from dir, or the embedded file if dir does not have it. dir may be empty.
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

// checkTemplateDir returns an error if dir has no template, so that a misspelt file name is noticed.
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

// load parses one template and executes it with the samples. Its errors name the file.
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
		text, err := render(parsed, sample)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("template: %s: the result is empty, with all details or with none", path)
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
