package mail

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

var update = flag.Bool("update", false, "write the golden files anew")

// parsed is a parsed message.
type parsed struct {
	header     netmail.Header
	text, html string
}

func parse(t *testing.T, data []byte) parsed {
	t.Helper()
	msg, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("read message: %v", err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q, %v", msg.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	next := func(want string) string {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatalf("next part: %v", err)
		}
		if got := part.Header.Get("Content-Type"); got != want {
			t.Fatalf("part of type %q, want %q", got, want)
		}
		content, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatalf("read part: %v", err)
		}
		return strings.ReplaceAll(string(content), "\r\n", "\n")
	}
	p := parsed{header: msg.Header}
	p.text = next("text/plain; charset=UTF-8")
	p.html = next("text/html; charset=UTF-8")
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		t.Fatalf("after two parts: %v, want the end", err)
	}
	return p
}

func (p parsed) subject(t *testing.T) string {
	t.Helper()
	subject, err := new(mime.WordDecoder).DecodeHeader(p.header.Get("Subject"))
	if err != nil {
		t.Fatalf("subject: %v", err)
	}
	return subject
}

func (p parsed) address(t *testing.T, key string) netmail.Address {
	t.Helper()
	list, err := p.header.AddressList(key)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %v, %v, want one address", key, list, err)
	}
	return *list[0]
}

func compose(t *testing.T, messages *Messages, email revocation.Email) message {
	t.Helper()
	msg, err := messages.compose(email)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestMessages_Golden(t *testing.T) {
	for name, email := range map[string]revocation.Email{
		"full": testEmail(1),
		"bare": {Revocation: testID(1), ToAddress: "ada@candidates.example"},
		"without_assessment": {
			Revocation: testID(1), ToName: "Ada Lovelace", ToAddress: "ada@candidates.example", Company: "Acme & Sons",
		},
		"with_a_desk": {
			Revocation: testID(1), ToAddress: "ada@candidates.example", Assessment: "Analytical Engines", Contact: "the front desk",
		},
		"with_a_message": {
			Revocation: testID(1), ToName: "Ada Lovelace", ToAddress: "ada@candidates.example", Company: "Acme & Sons",
			Message: "The position is filled.\r\n\nMore at https://acme.example <b>&amp; \"soon\"</b>\u202e {{.Name}}\n-- ",
		},
		"with_a_message_of_nobody": {Revocation: testID(1), ToAddress: "ada@candidates.example", Message: "Sorry."},
	} {
		t.Run(name, func(t *testing.T) {
			msg := compose(t, newMessages(t, ""), email)
			p := parse(t, msg.data)
			golden(t, name+".txt", "Subject: "+p.subject(t)+"\n\n"+p.text)
			golden(t, name+".html", p.html)
			if name == "full" {
				golden(t, name+".eml", strings.ReplaceAll(string(msg.data), "\r\n", "\n"))
			}
		})
	}
}

// TestMessages_OwnTemplates shows the message in templates of an operator's own, always as text, or not at all.
func TestMessages_OwnTemplates(t *testing.T) {
	email := testEmail(1)
	email.Message = "<i>Sorry</i>\nGoodbye"
	for name, test := range map[string]struct{ template, want string }{
		"as one text":     {"<p>{{.Message}}</p>", "<p>&lt;i&gt;Sorry&lt;/i&gt;\nGoodbye</p>"},
		"line by line":    {"{{range .Message.Lines}}<p>{{.}}</p>{{end}}.", "<p>&lt;i&gt;Sorry&lt;/i&gt;</p><p>Goodbye</p>."},
		"in an attribute": {`<p title="{{.Message}}">x</p>`, "<p title=\"&lt;i&gt;Sorry&lt;/i&gt;\nGoodbye\">x</p>"},
		"without it":      {"<p>Hello</p>", "<p>Hello</p>"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, htmlFile), []byte(test.template), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := parse(t, compose(t, newMessages(t, dir), email).data).html; got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	t.Run("a message that is too long is cut", func(t *testing.T) {
		email.Message = strings.Repeat("😀", 5000)
		p := parse(t, compose(t, newMessages(t, ""), email).data)
		if got := strings.Count(p.text, "😀"); got != maxNote-1 || strings.Count(p.html, "😀") != got {
			t.Errorf("%d characters are left", got)
		}
	})
}

// TestExamples_Show shows the email that is sent.
func TestExamples_Show(t *testing.T) {
	email := testEmail(1)
	email.Message = "Sorry.\nGoodbye"
	examples, err := NewExamples("")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := examples.Show(email)
	if err != nil {
		t.Fatal(err)
	}
	sent := parse(t, compose(t, newMessages(t, ""), email).data)
	if diff := cmp.Diff(revocation.EmailText{Subject: sent.subject(t), Text: sent.text, HTML: sent.html}, shown); diff != "" {
		t.Errorf("shown (-sent +shown):\n%s", diff)
	}
}

func TestMessages_Envelope(t *testing.T) {
	messages := newMessages(t, "")
	email := testEmail(1)
	msg := compose(t, messages, email)
	p := parse(t, msg.data)

	t.Run("the Message-ID is made from the revocation and the sender's domain", func(t *testing.T) {
		if got, want := p.header.Get("Message-ID"), "<"+email.Revocation.String()+"@example.com>"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("composed again it differs in its date only", func(t *testing.T) {
		again := compose(t, messages, email)
		if diff := cmp.Diff(string(msg.data), string(again.data)); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
		messages.now = func() time.Time { return time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) }
		later := string(compose(t, messages, email).data)
		redated := strings.Replace(later, "Sun, 01 Feb 2026 00:00:00 +0000", "Thu, 15 Jan 2026 10:32:45 +0000", 1)
		if diff := cmp.Diff(string(msg.data), redated); diff != "" || later == redated {
			t.Errorf("(-first +redated):\n%s", diff)
		}
	})
	t.Run("it is ASCII in short lines that end with CRLF", func(t *testing.T) {
		long := email
		long.ToName, long.Assessment = strings.Repeat("é", 5000), strings.Repeat("x", 5000)
		for _, data := range [][]byte{msg.data, compose(t, messages, long).data} {
			for _, line := range bytes.SplitAfter(data, []byte("\n")) {
				if len(line) > 0 && !bytes.HasSuffix(line, []byte("\r\n")) || len(line) > 1000 {
					t.Errorf("line of %d bytes: %q", len(line), line)
				}
			}
			if !isASCII(string(data)) {
				t.Error("not ASCII")
			}
		}
	})
	t.Run("an international domain is sent in its ASCII form", func(t *testing.T) {
		email := testEmail(1)
		email.ToAddress = "ada@bücher.example"
		msg := compose(t, messages, email)
		if msg.to != "<ada@xn--bcher-kva.example>" || msg.utf8 {
			t.Errorf("to %s, utf8 %v", msg.to, msg.utf8)
		}
	})
	t.Run("anything but a single address is refused", func(t *testing.T) {
		for _, to := range []string{
			"", "ada", "a@b.example, c@d.example", "Ada <ada@example.com>", "<ada@example.com>",
			"a@b.example\r\nBcc: c@d.example", "a@b.example\x00", "a@b.example> SIZE=1", "a b@c.example",
			"a@" + strings.Repeat("b.", 200) + "example", "a@\u202ebücher.example",
		} {
			email := testEmail(1)
			email.ToAddress = to
			_, err := messages.compose(email)
			want := &revocation.DeliveryError{Verdict: revocation.VerdictRefused, Reason: "address"}
			if diff := cmp.Diff(error(want), err); diff != "" {
				t.Errorf("%q (-want +got):\n%s", to, diff)
			}
		}
	})
	t.Run("a contact that is no address gets no Reply-To", func(t *testing.T) {
		for _, contact := range []string{"the front desk", "Ann <ann@acme.example>", "a@b.example, c@d.example", ""} {
			email := testEmail(1)
			email.Contact = contact
			p := parse(t, compose(t, messages, email).data)
			if got, there := p.header["Reply-To"]; there {
				t.Errorf("%q: Reply-To %q", contact, got)
			}
		}
	})
}

func TestMessages_Injection(t *testing.T) {
	messages := newMessages(t, "")
	allowed := map[string]bool{
		"Auto-Submitted": true, "Content-Type": true, "Date": true, "From": true, "Message-Id": true,
		"Mime-Version": true, "Reply-To": true, "Subject": true, "To": true,
	}
	standard := parse(t, compose(t, messages, testEmail(1)).data)
	_, params, _ := mime.ParseMediaType(standard.header.Get("Content-Type"))
	boundary := params["boundary"]
	for name, tt := range map[string]struct{ in, shown string }{
		"header":             {"Ada\r\nBcc: all@evil.example\r\n\r\nHi", "Ada Bcc: all@ evil. example Hi"},
		"line feed alone":    {"Ada\nBcc: all@evil.example", "Ada Bcc: all@ evil. example"},
		"carriage return":    {"Ada\rBcc: all@evil.example", "Ada Bcc: all@ evil. example"},
		"unicode line break": {"Ada\u2028Bcc: x\u2029y\u0085z", "Ada Bcc: x y z"},
		"NUL":                {"A\x00da", "A da"},
		"quotes":             {`Ada" <all@evil.example>, "x`, `Ada" <all@ evil. example>, "x`},
		"encoded word":       {"=?utf-8?q?a=0D=0ABcc:_x?=", "=?utf-8?q?a=0D=0ABcc: _x?="},
		"final dot":          {"Ada\r\n.\r\nMAIL FROM:<x@y>", "Ada . MAIL FROM: <x@ y>"},
		"boundary":           {"--" + boundary + "--", "--" + boundary + "--"},
		"template":           {"{{.Contact}}", "{{.Contact}}"},
		"script":             {"<script>alert(1)</script>", "<script>alert(1)</script>"},
		"attribute":          {`" onmouseover="x`, `" onmouseover="x`},
		"invalid UTF-8":      {"Ad\xffa", "Ad\ufffda"},
		"direction override": {"Ada\u202egpj.exe\u202c \u2066x\u2069", "Adagpj. exe x"},
		"right to left":      {"عدا \u200fلوفلايس", "عدا \u200fلوفلايس"},
		"emoji":              {"Ada 👩🏽‍💻", "Ada 👩🏽‍💻"},
		"very long":          {strings.Repeat("é", 100_000), strings.Repeat("é", maxName-1) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			email := testEmail(1)
			email.ToName, email.Assessment, email.Company = tt.in, tt.in, tt.in
			p := parse(t, compose(t, messages, email).data)
			for key, values := range p.header {
				if !allowed[key] || len(values) != 1 {
					t.Errorf("header %s: %q", key, values)
				}
			}
			inHeader := strings.ReplaceAll(tt.shown, "=?", "= ?")
			want := netmail.Address{Name: inHeader, Address: "ada@candidates.example"}
			if got := p.address(t, "To"); got != want {
				t.Errorf("To: %q, want %q", got, want)
			}
			if got, want := p.subject(t), "Your invitation to "+inHeader+" has been withdrawn"; got != want {
				t.Errorf("subject %q, want %q", got, want)
			}
			if !strings.Contains(p.text, "Hello "+tt.shown+",\n") {
				t.Errorf("text: %s", p.text)
			}
			if got := strings.Count(p.html, "<"); got != strings.Count(standard.html, "<") {
				t.Errorf("%d tags in the HTML text:\n%s", got, p.html)
			}
		})
	}
	t.Run("contact", func(t *testing.T) {
		for _, contact := range []string{"a@b.example\r\nBcc: x@y.example", `javascript:alert(1)//@x`, `a@b.example"><script>`} {
			email := testEmail(1)
			email.Contact = contact
			p := parse(t, compose(t, messages, email).data)
			if p.header.Get("Bcc") != "" || strings.Contains(p.html, "<script") || strings.Contains(p.html, `href="javascript`) {
				t.Errorf("%q: %v\n%s", contact, p.header, p.html)
			}
		}
	})
}

func TestNewMessages_RefusesSender(t *testing.T) {
	for _, from := range []string{"", "nobody", "a@b.example, c@d.example", "a@b.example\r\nBcc: x@y.example", "ädä@example.com", "a@ex\u202eample.com"} {
		if _, err := NewMessages(from, "", ""); err == nil {
			t.Errorf("%q was accepted", from)
		} else if from != "" && strings.Contains(err.Error(), from) {
			t.Errorf("%q is in the error: %v", from, err)
		}
	}
}
