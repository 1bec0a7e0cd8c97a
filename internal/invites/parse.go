package invites

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// The columns of a list, in the order of a row's cells.
const (
	reportID = iota
	candidateName
	candidateEmail
	assessmentName
	sentAt
	assessmentID
	languageTag
	state
)

// columns are the names of the columns, which are also those of a JSON object's members. The first requiredColumns must be
// there.
var columns = []string{
	reportID: "report_id", candidateName: "candidate_name", candidateEmail: "candidate_email", assessmentName: "assessment_name",
	sentAt: "sent_at", assessmentID: "assessment_id", languageTag: "language", state: "state",
}

const requiredColumns = sentAt + 1

const (
	// MaxName is the largest number of characters of a name.
	MaxName = 500
	// maxAssessmentID is the largest number of characters of an assessment's id.
	maxAssessmentID = 255
	// MaxEmail is the largest number of bytes of an address (RFC 5321, section 4.5.3.1.3, less the angle brackets).
	MaxEmail = 254
	// maxLanguage is a number of bytes.
	maxLanguage = 64
)

// fault is why a cell cannot be read. It contains nothing of the cell, which can be a candidate's data.
type fault struct {
	column       int
	code, detail string
}

// parse reads a row. has reports whether the list has a column: an absent one leaves what is there.
func parse(cells []string, has func(column int) bool, zone *time.Location) (revocation.Invite, *fault) {
	for i, cell := range cells {
		if !utf8.ValidString(cell) {
			return revocation.Invite{}, &fault{i, "invalid_characters", "not valid UTF-8"}
		}
	}
	var invite revocation.Invite
	id, err := rows.Integer(cells[reportID])
	switch {
	case errors.Is(err, rows.ErrLostDigits):
		return invite, &fault{reportID, "wrong_type", err.Error()}
	case err != nil || id < 1:
		return invite, &fault{reportID, "out_of_range", "must be a whole number from 1 to 9223372036854775807"}
	}
	invite.ReportID = id
	for _, text := range []struct {
		column, limit int
		to            *string
	}{{candidateName, MaxName, &invite.CandidateName}, {assessmentName, MaxName, &invite.AssessmentName}} {
		if *text.to = WithoutControls(cells[text.column]); utf8.RuneCountInString(*text.to) > text.limit {
			return invite, &fault{text.column, "too_long", fmt.Sprintf("at most %d characters", text.limit)}
		}
	}
	invite.CandidateEmail = cells[candidateEmail]
	if address, err := mail.ParseAddress(invite.CandidateEmail); err != nil || address.Address != invite.CandidateEmail || len(invite.CandidateEmail) > MaxEmail {
		return invite, &fault{candidateEmail, "invalid_format", "not an email address"}
	}
	sent, err := parseTime(cells[sentAt], zone)
	if err != nil {
		return invite, &fault{sentAt, "invalid_format", err.Error()}
	}
	invite.SentAt = sent
	if has(assessmentID) {
		text := WithoutControls(cells[assessmentID])
		if utf8.RuneCountInString(text) > maxAssessmentID {
			return invite, &fault{assessmentID, "too_long", fmt.Sprintf("at most %d characters", maxAssessmentID)}
		}
		invite.AssessmentID = &text
	}
	if has(languageTag) {
		text := cells[languageTag]
		if text != "" {
			tag, err := language.Parse(text[:min(len(text), maxLanguage+1)])
			if err != nil || len(text) > maxLanguage {
				return invite, &fault{languageTag, "unknown_value", "must be a language tag of BCP 47, such as de or pt-BR"}
			}
			text = tag.String()
		}
		invite.Language = &text
	}
	switch p := revocation.Progress(strings.ToUpper(cells[state])); p {
	case "", revocation.ProgressPending, revocation.ProgressStarted, revocation.ProgressCompleted:
		invite.Progress = p // an empty cell leaves the state as it is
	default:
		return invite, &fault{state, "unknown_value", "must be PENDING, STARTED or COMPLETED"}
	}
	return invite, nil
}

// WithoutControls replaces control characters, including line breaks, by spaces, because the text will be in headers of
// emails.
func WithoutControls(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}
