package search

import (
	"rescind/internal/revocation"
)

// segment is a range of an index: invites in the order of a list.
type segment struct {
	part  revocation.InvitePart
	index string
	// column has the text by which the index is sorted first; empty for an index of times alone. Within equal texts the
	// newest come first.
	column string
	// equal reports whether the text is low. Otherwise it is from low on, or behind low if behind is true, and below high,
	// if there is a high.
	equal     bool
	low, high string
	behind    bool
	// after is the time and the report behind which the segment begins, unless its ReportID is zero.
	after revocation.InvitePosition
	// unlike are the columns whose text must not begin with the same prefix: an earlier part has listed those.
	unlike []string
}

// The columns with folded texts.
const (
	nameColumn       = "name_folded"
	emailColumn      = "email_folded"
	assessmentColumn = "assessment_folded"
)

// parts are what a Query is compared with, in the order of the list.
var parts = []segment{
	{part: revocation.ByName, index: "invites_name", column: nameColumn},
	{part: revocation.ByEmail, index: "invites_email", column: emailColumn, unlike: []string{nameColumn}},
	{part: revocation.ByAssessment, index: "invites_assessment", column: assessmentColumn, unlike: []string{nameColumn, emailColumn}},
}

// segments returns what a list consists of, from its After on. at has the texts of the invite at After, if a Query is
// given.
func segments(f *revocation.InviteFilter, at texts) []segment {
	if f.Query == "" {
		return []segment{simple(f)}
	}
	prefix := Fold(f.Query)
	end, _ := above(prefix)
	var all []segment
	for _, s := range parts {
		if s.part < f.After.Part {
			continue
		}
		s.low, s.high = prefix, end
		if text := at.of(s.part); s.part == f.After.Part && text >= prefix && (end == "" || text < end) {
			rest := s
			rest.equal, rest.low, rest.high, rest.after = true, text, "", f.After
			all = append(all, rest)
			s.low, s.behind = text, true
		}
		// If the text of the invite at After has changed since, the part begins anew.
		all = append(all, s)
	}
	return all
}

// simple returns the segment of a list that begins with the newest invites. It uses the filter that few invites match.
func simple(f *revocation.InviteFilter) segment {
	s := segment{index: "invites_newest", after: f.After}
	switch {
	case f.Email != "":
		s.index, s.column, s.low = "invites_email", emailColumn, Fold(f.Email)
	case f.AssessmentID != "":
		s.index, s.column, s.low = "invites_assessment_id", "assessment_id", f.AssessmentID
	case f.Assessment != "":
		s.index, s.column, s.low = "invites_assessment", assessmentColumn, Fold(f.Assessment)
	}
	s.equal = s.column != ""
	return s
}

// texts are the folded texts of an invite.
type texts struct{ name, email, assessment string }

func textsOf(i *revocation.StoredInvite) texts {
	return texts{Fold(i.CandidateName), Fold(i.CandidateEmail), Fold(i.AssessmentName)}
}

func (t texts) of(part revocation.InvitePart) string {
	switch part {
	case revocation.ByName:
		return t.name
	case revocation.ByEmail:
		return t.email
	default:
		return t.assessment
	}
}
