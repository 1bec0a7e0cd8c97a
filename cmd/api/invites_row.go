package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // for systems without time zones
	"unicode"
	"unicode/utf8"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// maxText is the largest number of characters of a name.
const maxText = 500

// inviteColumns are the columns of a list of invites, in the order of a row's cells. The first requiredColumns must be there.
var inviteColumns = []string{"report_id", "candidate_name", "candidate_email", "assessment_name", "sent_at", "state"}

const requiredColumns = 5

// parseInvite parses a row. Its errors name the column and do not contain the cell, which can be a candidate's data.
func parseInvite(cells []string, zone *time.Location) (revocation.Invite, error) {
	for i, cell := range cells {
		if !utf8.ValidString(cell) {
			return revocation.Invite{}, fmt.Errorf("%s: not valid UTF-8", inviteColumns[i])
		}
	}
	id, err := rows.Integer(cells[0])
	switch {
	case errors.Is(err, rows.ErrLostDigits):
		return revocation.Invite{}, fmt.Errorf("report_id: %w", err)
	case err != nil || id < 1:
		return revocation.Invite{}, fmt.Errorf("report_id: must be a whole number from 1 to 9223372036854775807")
	}
	name, assessment := withoutControls(cells[1]), withoutControls(cells[3])
	if utf8.RuneCountInString(name) > maxText {
		return revocation.Invite{}, fmt.Errorf("candidate_name: at most %d characters", maxText)
	}
	if utf8.RuneCountInString(assessment) > maxText {
		return revocation.Invite{}, fmt.Errorf("assessment_name: at most %d characters", maxText)
	}
	address, err := mail.ParseAddress(cells[2])
	if err != nil || address.Address != cells[2] || len(cells[2]) > 254 {
		return revocation.Invite{}, fmt.Errorf("candidate_email: not an email address")
	}
	sent, err := parseSentAt(cells[4], zone)
	if err != nil {
		return revocation.Invite{}, fmt.Errorf("sent_at: %w", err)
	}
	progress, err := parseProgress(cells[5])
	if err != nil {
		return revocation.Invite{}, err
	}
	return revocation.Invite{
		ReportID: id, CandidateName: name, CandidateEmail: cells[2], AssessmentName: assessment, SentAt: sent, Progress: progress,
	}, nil
}

// parseProgress parses a state in any case. An empty cell leaves the state as it is.
func parseProgress(cell string) (revocation.Progress, error) {
	switch p := revocation.Progress(strings.ToUpper(cell)); p {
	case "", revocation.ProgressPending, revocation.ProgressStarted, revocation.ProgressCompleted:
		return p, nil
	default:
		return "", errors.New("state: must be PENDING, STARTED or COMPLETED")
	}
}

// sentAt matches a date, a time, and an optional zone: Z, or an offset with or without minutes and a colon.
var sentAt = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2}(?:\.\d+)?) ?(?:([Zz])|([+-]\d{2})(?::?(\d{2}))?)?$`)

// parseSentAt parses a time in the formats of RFC 3339 and of databases. A time without a zone is in zone; if zone is nil,
// it is an error. So is a year that does not have four digits in every time zone.
func parseSentAt(s string, zone *time.Location) (time.Time, error) {
	parts := sentAt.FindStringSubmatch(s)
	if parts == nil {
		return time.Time{}, errTime
	}
	date, clock, utc, hours, minutes := parts[1], parts[2], parts[3], parts[4], parts[5]
	text := date + "T" + clock
	switch {
	case utc != "":
		text += "Z"
	case hours != "":
		text += hours + ":" + cmp.Or(minutes, "00")
	case zone == nil:
		return time.Time{}, errNoZone
	default:
		t, err := time.ParseInLocation("2006-01-02T15:04:05", text, zone)
		if err != nil {
			return time.Time{}, errTime
		}
		text = t.UTC().Format(time.RFC3339Nano)
	}
	return parseTime(text)
}

var errNoZone = errors.New("the time has no zone: add one, such as Z, or use --timezone")

// withoutControls replaces control characters, including line breaks, by spaces, because the text will be in headers of
// emails.
func withoutControls(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}
