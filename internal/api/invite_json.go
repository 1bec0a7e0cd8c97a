package api

import (
	"strconv"

	"rescind/internal/revocation"
)

// appendInvite appends an invite of a list as JSON.
func appendInvite(b []byte, i *revocation.StoredInvite) []byte {
	return append(appendInviteMembers(b, i), '}')
}

// appendOneInvite appends an invite with the revocation that revoked it.
func appendOneInvite(b []byte, i *revocation.StoredInvite) []byte {
	b = append(appendInviteMembers(b, i), `,"revocation_id":`...)
	return append(appendOptionalID(b, i.RevokedBy), '}')
}

func appendInviteMembers(b []byte, i *revocation.StoredInvite) []byte {
	b = append(b, `{"report_id":`...)
	b = strconv.AppendInt(b, i.ReportID, 10)
	b = append(b, `,"candidate_name":`...)
	b = appendFilled(b, i.CandidateName)
	b = append(b, `,"candidate_email":`...)
	b = appendFilled(b, i.CandidateEmail)
	b = append(b, `,"assessment_id":`...)
	b = appendOptional(b, i.AssessmentID)
	b = append(b, `,"assessment_name":`...)
	b = appendFilled(b, i.AssessmentName)
	b = append(b, `,"language":`...)
	b = appendOptional(b, i.Language)
	b = append(b, `,"state":`...)
	b = appendString(b, string(i.Progress))
	b = append(b, `,"sent_at":`...)
	b = appendTime(b, i.SentAt)
	b = append(b, `,"revoked_at":`...)
	b = appendTime(b, i.RevokedAt)
	b = append(b, `,"predicted":`...)
	return appendString(b, string(i.Predicted))
}
