package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rescind/internal/invites"
	"rescind/internal/revocation"
)

// selectEmails is the member of a selection with the addresses.
const selectEmails = "candidate_emails"

// selectMembers are the other members, with what their values must be.
var selectMembers = map[string]string{
	"assessment_id": aString, "assessment_name": aString, "state": aString, "sent_after": aString, "sent_before": aString,
}

// selectingScopes are the scopes that a selection needs, because its number of items shows who has an invite.
var selectingScopes = [][]revocation.Scope{{revocation.ScopeRevoke, revocation.ScopeInvites}}

// selection reads the member select. A member with null or an empty value is a fault: if it counted as not given, the
// selection would match more invites than its author thought.
func (d *jobDocument) selection() error {
	if !allowed(d.key, selectingScopes) {
		return missingScope(selectingScopes)
	}
	if d.text.PeekKind() != jsontext.KindBeginObject {
		return d.refuse(listSelect, "wrong_type", "select must be an object.")
	}
	q := readQuery("")
	var emails []string
	hasEmails := false
	err := readObject(d.text, func(_ *jsontext.Decoder, name string) (err error) {
		if name == selectEmails && !hasEmails {
			hasEmails = true
			emails, err = d.emails(q)
			return err
		}
		raw, err := d.value()
		switch {
		case err != nil:
			return err
		case name == selectEmails:
			q.fault(name, "duplicate_field", name+" is given more than once.")
		default:
			q.add(name, raw, selectMembers)
		}
		return nil
	})
	d.selected = readSelection(q, emails)
	if len(q.wrong) == 0 && d.selected.IsEmpty() {
		d.values.fault(listSelect, "required", "select must have at least one member.")
	}
	for _, f := range q.wrong {
		d.values.fault(listSelect+"."+f.Field, f.Code, f.Detail)
	}
	if len(d.values.faults) > 0 {
		d.limitRest()
	}
	return err
}

// readSelection takes the members of a selection.
func readSelection(q *query, emails []string) *revocation.Selection {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if sent := q.values[name]; len(sent) == 1 && sent[0] == "" {
			q.fault(name, "out_of_range", name+" must not be empty. Leave it out to select by the other members alone.")
			delete(q.values, name)
		}
	}
	return &revocation.Selection{
		Emails: emails, AssessmentID: q.searchText("assessment_id"), Assessment: q.searchText("assessment_name"),
		Progress: q.progress("state"), SentAfter: q.time("sent_after"), SentBefore: q.time("sent_before"),
	}
}

// emails reads the addresses of a selection. It adds its faults to q.
func (d *jobDocument) emails(q *query) (emails []string, err error) {
	if d.text.PeekKind() != jsontext.KindBeginArray {
		q.fault(selectEmails, "wrong_type", selectEmails+" must be an array.")
		_, err := d.value()
		return nil, err
	}
	if _, err := d.text.ReadToken(); err != nil {
		return nil, syntaxOf(err)
	}
	n := 0
	for d.text.PeekKind() != jsontext.KindEndArray {
		raw, err := d.value()
		if err != nil {
			return nil, err
		}
		n++
		email, f := selectedEmail(raw, n)
		if n == revocation.MaxSelectionEmails+1 {
			f = &fault{selectEmails, "too_long", fmt.Sprintf("%s must have at most %d addresses.", selectEmails, revocation.MaxSelectionEmails)}
		}
		switch {
		case f != nil:
			d.limitRest()
			if len(q.wrong) < maxFaults {
				q.wrong = append(q.wrong, *f)
			}
		case len(q.wrong) == 0:
			emails = append(emails, email)
		}
	}
	if n == 0 {
		q.fault(selectEmails, "required", selectEmails+" must have at least one address.")
	}
	_, err = d.text.ReadToken()
	return emails, syntaxOf(err)
}

// selectedEmail returns the n-th address of a selection, or what is wrong with it.
func selectedEmail(raw jsontext.Value, n int) (string, *fault) {
	if raw.Kind() != jsontext.KindString {
		return "", &fault{selectEmails, "wrong_type", fmt.Sprintf("Entry %d of candidate_emails must be a string.", n)}
	}
	unquoted, err := jsontext.AppendUnquote(nil, raw)
	email := strings.TrimSpace(string(unquoted))
	switch {
	case err != nil || !utf8.ValidString(email) || strings.IndexByte(email, 0) >= 0:
		return "", &fault{selectEmails, "invalid_characters", fmt.Sprintf("Entry %d of candidate_emails must be Unicode text without NUL.", n)}
	case len(email) > invites.MaxEmail:
		return "", &fault{selectEmails, "too_long", fmt.Sprintf("Entry %d of candidate_emails must have at most %d bytes.", n, invites.MaxEmail)}
	case !strings.Contains(email, "@"):
		return "", &fault{selectEmails, "invalid_format", fmt.Sprintf("Entry %d of candidate_emails is not an email address.", n)}
	}
	return email, nil
}
