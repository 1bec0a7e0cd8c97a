package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
)

// part is a decoded text of an email.
func part(t *testing.T, message *netmail.Message, media string) string {
	t.Helper()
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatalf("no part of type %s: %v", media, err)
		}
		if !strings.HasPrefix(p.Header.Get("Content-Type"), media) {
			continue
		}
		var content io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			content = quotedprintable.NewReader(p)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// TestHostileWords imports names and assessments that attack the email, and reads the email at the mail server.
func TestHostileWords(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	p := startProduction(t)
	words := []string{
		"Eve\r\nBcc: everybody@evil.example\r\n\r\nHi",
		"Eve\nSubject: another",
		"Eve\r\n.\r\nMAIL FROM:<x@evil.example>",
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`</td><a href="https://evil.example">click</a>`,
		"{{.Contact}} ${7*7}",
		"=?utf-8?q?a=0D=0ABcc:_everybody@evil.example?=",
	}
	var invites bytes.Buffer
	rows := csv.NewWriter(&invites)
	write := func(cells ...string) {
		t.Helper()
		if err := rows.Write(cells); err != nil {
			t.Fatal(err)
		}
	}
	write("report_id", "candidate_name", "candidate_email", "assessment_name", "sent_at")
	for i, word := range words {
		write(string(rune('1'+i)), word, "eve@example.com", word, "2026-01-01T00:00:00Z")
	}
	rows.Flush()
	mustCommand(t, p.env, "", "account", "set", "acme", "--name", `Acme <b>&</b> "Sons"`)
	mustCommand(t, p.env, invites.String(), "invites", "import", "--account", "acme", "-")
	p.startAPI()
	p.startWorker()
	for i, word := range words {
		t.Run(word, func(t *testing.T) {
			a := p.settled(p.revoke(i+1, true, "wait=30").str("id"))
			if a.notification() != "SENT" {
				t.Fatalf("%v", a.body)
			}
			sent := p.mail.Messages()[i]
			if !slices.Equal(sent.To, []string{"eve@example.com"}) || len(p.mail.Messages()) != i+1 {
				t.Errorf("%d emails, the last to %q", len(p.mail.Messages()), sent.To)
			}
			message, err := netmail.ReadMessage(bytes.NewReader(sent.Data))
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range message.Header {
				if name == "Bcc" || name == "Cc" || len(values) != 1 {
					t.Errorf("header %s: %q", name, values)
				}
			}
			html := part(t, message, "text/html")
			for _, tag := range []string{"<script", "<img", "<a href=\"https://evil", "<b>&"} {
				if strings.Contains(html, tag) {
					t.Errorf("%s is in the HTML text: %s", tag, html)
				}
			}
			if strings.Contains(word, "{{") && !strings.Contains(html, word) {
				t.Errorf("it was evaluated: %s", html)
			}
		})
	}
	t.Run("an address of two lines is refused", func(t *testing.T) {
		out, errs, exit := command(t, p.env, "report_id,candidate_name,candidate_email,assessment_name,sent_at\n"+
			"90,Eve,\"eve@example.com\r\nBcc: everybody@evil.example\",Go,2026-01-01T00:00:00Z\n", "invites", "import", "--account", "acme", "-")
		if exit != 1 || strings.Contains(out+errs, "evil") {
			t.Errorf("exit %d: %s %s", exit, out, errs)
		}
	})
	t.Run("a client's reference is not a formula in CSV", func(t *testing.T) {
		formula := `=HYPERLINK("https://evil.example","open")`
		a := p.must("POST", "/jobs", `{"items":[{"report_id":1,"client_reference":"=HYPERLINK(\"https://evil.example\",\"open\")"}]}`, "")
		for _, result := range p.results(p.ended(a.str("id")).str("id")) {
			if got := result["client_reference"]; got != "'"+formula {
				t.Errorf("%q", got)
			}
		}
	})
}
