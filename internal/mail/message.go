package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"rescind/internal/revocation"
)

// Messages composes the emails to candidates: a subject, a plain text and an HTML text, from templates.
type Messages struct {
	from *netmail.Address
	// envelope is the sender in MAIL FROM, without angle brackets.
	envelope string
	// domain is the domain of from.
	domain    string
	templates templates
	now       func() time.Time
}

// NewMessages returns Messages with the sender from, which may have a display name, as in
// "Example Ltd <no-reply@example.com>". Files in templateDir replace the embedded templates of the same names:
// subject.txt, revoked.txt (both text/template) and revoked.html (html/template). If templateDir is empty, none is
// replaced. NewMessages executes each template, and the error names a file that fails. bounce is the address to which
// mail servers return what they cannot deliver; if it is empty, it is the address in from.
func NewMessages(from, bounce, templateDir string) (*Messages, error) {
	sender, err := parseSender(from)
	envelope, bounceFault := parseBounce(bounce)
	t, fault := loadTemplates(templateDir)
	if err = errors.Join(err, bounceFault, fault); err != nil {
		return nil, err
	}
	if envelope == "" {
		envelope = sender.Address
	}
	domain := sender.Address[strings.LastIndexByte(sender.Address, '@')+1:]
	return &Messages{from: sender, envelope: envelope, domain: domain, templates: t, now: time.Now}, nil
}

func parseSender(from string) (*netmail.Address, error) {
	parsed, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, errors.New(`mail: the sender is no address such as no-reply@example.com or "Example Ltd <no-reply@example.com>"`)
	}
	bare, err := address(parsed.Address)
	if err != nil {
		return nil, errors.New("mail: the sender's address has a domain that no mail server can have")
	}
	if !isASCII(bare) {
		return nil, errors.New("mail: the sender's address must be ASCII before the @, since many mail servers take nothing else")
	}
	return &netmail.Address{Name: inHeader(clean(parsed.Name, maxName)), Address: bare}, nil
}

// parseBounce parses the envelope's sender, which may be empty.
func parseBounce(bounce string) (string, error) {
	if bounce == "" {
		return "", nil
	}
	bare, err := bareAddress(bounce)
	if err != nil || !isASCII(bare) {
		return "", errors.New("mail: the bounce address is no ASCII address that stands alone, such as bounces@example.com")
	}
	return bare, nil
}

// message is an email that is ready to be delivered.
type message struct {
	id revocation.ID
	// from and to are the addresses of the envelope in angle brackets, as in MAIL and RCPT.
	from, to string
	// utf8 reports whether the recipient's address needs a server with SMTPUTF8.
	utf8 bool
	// data is the message, with CRLFs and not dot-stuffed. It is ASCII, except for the recipient's address if utf8 is
	// true.
	data []byte
}

// compose returns the message for an email. A second message for the same email differs only in its Date. The error is
// a *revocation.DeliveryError.
func (m *Messages) compose(email revocation.Email) (message, error) {
	to, err := bareAddress(email.ToAddress)
	if err != nil {
		return message{}, &revocation.DeliveryError{Verdict: revocation.VerdictRefused, Reason: revocation.ReasonAddress}
	}
	msg, err := m.build(email.Revocation, to, detailsOf(email))
	if err != nil {
		// The templates worked at the start, so one fails for the details of this email. The operator may correct it
		// before the email is too old.
		return message{}, &revocation.DeliveryError{Verdict: revocation.VerdictDeferred, Reason: revocation.ReasonTemplate}
	}
	return msg, nil
}

func detailsOf(email revocation.Email) details {
	d := details{
		Name:       cleanName(email.ToName),
		Assessment: cleanName(email.Assessment),
		Company:    cleanName(email.Company),
		Contact:    clean(email.Contact, maxAddress),
		Message:    cleanNote(email.Message),
	}
	// A Reply-To that is not ASCII would require SMTPUTF8 of every server on the way.
	if contact, err := bareAddress(d.Contact); err == nil && isASCII(contact) {
		d.ContactAddress = contact
	}
	return d
}

func (m *Messages) build(id revocation.ID, to string, d details) (message, error) {
	content, err := m.templates.render(d)
	if err != nil {
		return message{}, err
	}

	// The hash of the parts is a boundary that no part contains, and the same each time.
	boundary := sha256.Sum256([]byte(content.Text + content.HTML))
	msg := gomail.NewMsg(gomail.WithBoundary(hex.EncodeToString(boundary[:])), gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(m.from)
	msg.ToMailAddress(&netmail.Address{Name: inHeader(d.Name), Address: to})
	if d.ContactAddress != "" {
		msg.ReplyToMailAddress(&netmail.Address{Name: inHeader(d.Company), Address: d.ContactAddress})
	}
	msg.Subject(inHeader(content.Subject))
	msg.SetDateWithValue(m.now())
	msg.SetMessageIDWithValue(id.String() + "@" + m.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, content.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, content.HTML)

	var data bytes.Buffer
	if _, err := msg.WriteTo(&data); err != nil {
		return message{}, err
	}
	return message{
		id:   id,
		from: (&netmail.Address{Address: m.envelope}).String(),
		to:   (&netmail.Address{Address: to}).String(),
		utf8: !isASCII(to),
		data: data.Bytes(),
	}, nil
}

var errNoAddress = errors.New("no email address")

// bareAddress parses an address without a display name or a comment.
func bareAddress(s string) (string, error) {
	parsed, err := netmail.ParseAddress(s)
	if err != nil || parsed.Name != "" || strings.ContainsAny(s, "<>") {
		return "", errNoAddress
	}
	return address(parsed.Address)
}

// address returns an address with the domain in its ASCII form, which every mail server understands.
func address(s string) (string, error) {
	at := strings.LastIndexByte(s, '@')
	local, domain := s[:at], s[at+1:]
	if !isASCII(domain) {
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", errNoAddress
		}
	}
	if len(local)+1+len(domain) > maxAddress {
		return "", errNoAddress
	}
	return local + "@" + domain, nil
}

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
