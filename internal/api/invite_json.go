package api

import "rescind/internal/revocation"

// InviteBody is an invite of a list. It is exported because huma ignores an embedded struct that is not.
type InviteBody struct {
	ReportID       int64   `json:"report_id" minimum:"1"`
	CandidateName  *string `json:"candidate_name" doc:"As it was imported."`
	CandidateEmail *string `json:"candidate_email" doc:"As it was imported."`
	AssessmentID   *string `json:"assessment_id" doc:"The platform's id of the assessment."`
	AssessmentName *string `json:"assessment_name" doc:"As it was imported."`
	Language       *string `json:"language" doc:"A BCP 47 tag."`
	State          string  `json:"state" enum:"PENDING,STARTED,COMPLETED" doc:"How far the candidate has come."`
	SentAt         string  `json:"sent_at" format:"date-time" doc:"When the invite was sent."`
	RevokedAt      *string `json:"revoked_at" format:"date-time" doc:"When the invite was revoked."`
	Predicted      string  `json:"predicted" enum:"REVOKED,ALREADY_REVOKED,ALREADY_STARTED,NOT_ALLOWED" doc:"The outcome that a revocation would have now."`
}

func inviteOf(i *revocation.StoredInvite) InviteBody {
	return InviteBody{
		ReportID: i.ReportID, CandidateName: filled(&i.CandidateName), CandidateEmail: filled(&i.CandidateEmail),
		AssessmentID: i.AssessmentID, AssessmentName: filled(&i.AssessmentName), Language: i.Language, State: string(i.Progress),
		SentAt: timeOf(i.SentAt), RevokedAt: optionalTime(i.RevokedAt), Predicted: string(i.Predicted),
	}
}

// inviteDetailsBody is an invite with the revocation that revoked it.
type inviteDetailsBody struct {
	InviteBody
	RevocationID *string `json:"revocation_id" format:"uuid" doc:"The revocation that revoked it."`
}

func inviteDetailsOf(i *revocation.StoredInvite) inviteDetailsBody {
	return inviteDetailsBody{inviteOf(i), optionalID(i.RevokedBy)}
}
