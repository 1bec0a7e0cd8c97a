package api

import (
	"math"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

// jobBody is a job. Every response and event with a job has it.
type jobBody struct {
	ID               string            `json:"id" format:"uuid" doc:"The id of the job."`
	Label            *string           `json:"label" doc:"The label that was sent."`
	Reason           *string           `json:"reason" doc:"The reason that was sent. The service never mails it."`
	CandidateMessage *string           `json:"candidate_message" doc:"The message in the emails to the candidates."`
	NotBefore        *string           `json:"not_before" format:"date-time" doc:"The time before which nothing must be done, as it was sent. A hold of the account can make the job begin later."`
	State            jobState          `json:"state"`
	RetryOf          *string           `json:"retry_of" format:"uuid" doc:"The job whose failed items this job retries."`
	Total            int               `json:"total" minimum:"0" doc:"The number of items."`
	Pending          int               `json:"pending" minimum:"0" doc:"The items that are not final and have no ended attempt."`
	Retrying         int               `json:"retrying" minimum:"0" doc:"The items that wait for another attempt."`
	Counts           jobCountsBody     `json:"counts" doc:"The final items, by status."`
	Notifications    notificationsBody `json:"notifications" doc:"The emails about REVOKED items, by status. PENDING counts the emails without a final status."`
	Preview          *previewBody      `json:"preview" doc:"What the job would do; null for a job without a preview and in PREVIEWING."`
	File             *fileBody         `json:"file" doc:"The format and the columns that the service recognised in the uploaded table; null for JSON, NDJSON and a retry. It holds names of columns, cut to 64 characters, but no other cell."`
	Progress         float64           `json:"progress" minimum:"0" maximum:"1" doc:"The part of the items that are final, from 0 to 1, rounded down to four decimals. It is 1 only when all items are final. In PREVIEWING it is the part of the items whose outcome is predicted."`
	ItemsPerSecond   float64           `json:"items_per_second" minimum:"0" doc:"How many items became final per second: lately while the job runs, on average when it has ended."`
	ETA              *string           `json:"eta" format:"date-time" doc:"When the job will end at its present speed; null if that cannot be computed."`
	RequestedBy      string            `json:"requested_by" format:"uuid" doc:"The id of the API key that submitted the job."`
	ConfirmedBy      *string           `json:"confirmed_by" format:"uuid" doc:"The id of the API key that confirmed the preview."`
	ApprovedBy       *string           `json:"approved_by" format:"uuid" doc:"The id of the API key that approved the job."`
	CancelledBy      *string           `json:"cancelled_by" format:"uuid" doc:"The id of the API key that cancelled the job; null if the service cancelled it."`
	CreatedAt        string            `json:"created_at" format:"date-time" doc:"When the upload began."`
	StartedAt        *string           `json:"started_at" format:"date-time" doc:"When the first attempt started; null before that. It stays null if the job was cancelled first."`
	FinishedAt       *string           `json:"finished_at" format:"date-time" doc:"When the last item became final, or the job expired."`
	ExpiresAt        *string           `json:"expires_at" format:"date-time" doc:"When the job expires in its present state. Only PREVIEWED and AWAITING_APPROVAL have such a time."`
}

func jobOf(j *revocation.Job) jobBody {
	return jobBody{
		ID: j.ID.String(), Label: j.Label, Reason: j.Reason, CandidateMessage: j.CandidateMessage, NotBefore: optionalTime(j.NotBefore),
		State: jobState(j.State), RetryOf: optionalID(j.RetryOf), Total: j.Total, Pending: j.Pending(), Retrying: j.Retrying,
		Counts: jobCountsBody(j.Counts),
		Notifications: notificationsBody{
			Pending: j.Mails.Pending, Sent: j.Mails.Sent, Failed: j.Mails.Failed, Unknown: j.Mails.Unknown, Delegated: j.Mails.Delegated,
		},
		Preview: previewOf(j.Preview), File: (*fileBody)(j.File),
		Progress: progressOf(j), ItemsPerSecond: rounded(j.ItemsPerSecond()), ETA: optionalTime(j.ETA()),
		RequestedBy: j.RequestedBy.String(), ConfirmedBy: optionalID(j.ConfirmedBy), ApprovedBy: optionalID(j.ApprovedBy), CancelledBy: optionalID(j.CancelledBy),
		CreatedAt: timeOf(j.CreatedAt()), StartedAt: optionalTime(j.StartedAt), FinishedAt: optionalTime(j.FinishedAt), ExpiresAt: optionalTime(j.ExpiresAt),
	}
}

func jobRef(schemas huma.Registry) *huma.Schema {
	return schemaOf[jobBody](schemas, "A bulk request: many revocations under one id. At every read, total equals the sum of pending, retrying and counts.")
}

type jobState revocation.JobState

// Schema returns the schema of a job's state.
func (jobState) Schema(huma.Registry) *huma.Schema { return jobStateSchema() }

func jobStateSchema() *huma.Schema {
	return &huma.Schema{
		Type: "string", Enum: oneOf(revocation.JobStates...),
		Description: `A job enters the first of these states that applies to it, and moves on in this order. PREVIEWING: outcomes are being predicted. PREVIEWED: it waits for a confirmation. AWAITING_APPROVAL: it waits for another key. SCHEDULED: it waits for not_before or the end of the account's hold. QUEUED: it has begun, and no item was taken up yet. RUNNING: items are being carried out. CANCELLING: the remaining items are being ended.

COMPLETED, CANCELLED and EXPIRED are final: all items are final, but emails may still be sent. EXPIRED: it was not confirmed or approved in time and has done nothing; its items are deleted, and counts shows the readable ones as CANCELLED.`,
	}
}

type jobCountsBody struct {
	Revoked        int `json:"REVOKED" minimum:"0"`
	AlreadyRevoked int `json:"ALREADY_REVOKED" minimum:"0"`
	NotAllowed     int `json:"NOT_ALLOWED" minimum:"0"`
	AlreadyStarted int `json:"ALREADY_STARTED" minimum:"0"`
	NotFound       int `json:"NOT_FOUND" minimum:"0"`
	ErrorRevoking  int `json:"ERROR_REVOKING" minimum:"0"`
	Invalid        int `json:"INVALID" minimum:"0"`
	Cancelled      int `json:"CANCELLED" minimum:"0"`
}

type notificationsBody struct {
	Pending   int `json:"PENDING" minimum:"0"`
	Sent      int `json:"SENT" minimum:"0"`
	Failed    int `json:"FAILED" minimum:"0"`
	Unknown   int `json:"UNKNOWN" minimum:"0"`
	Delegated int `json:"DELEGATED" minimum:"0"`
	// Bounced and Suppressed are for a later version; callers can rely on all seven.
	Bounced    int `json:"BOUNCED" minimum:"0"`
	Suppressed int `json:"SUPPRESSED" minimum:"0"`
}

type previewBody struct {
	_           struct{}      `nullable:"true"`
	Predicted   predictedBody `json:"predicted" doc:"The items by their predicted outcome. They add up to total. UNKNOWN counts the items that an upstream decides about."`
	Emails      *int          `json:"emails" minimum:"0" doc:"The most emails that can be sent; null if an upstream sends them."`
	PredictedAt string        `json:"predicted_at" format:"date-time" doc:"When the preview was complete."`
}

type predictedBody struct {
	Revoked        int `json:"REVOKED" minimum:"0"`
	AlreadyRevoked int `json:"ALREADY_REVOKED" minimum:"0"`
	NotAllowed     int `json:"NOT_ALLOWED" minimum:"0"`
	NotFound       int `json:"NOT_FOUND" minimum:"0"`
	AlreadyStarted int `json:"ALREADY_STARTED" minimum:"0"`
	Invalid        int `json:"INVALID" minimum:"0"`
	Unknown        int `json:"UNKNOWN" minimum:"0"`
}

// previewOf returns what a job would do, or nil for a job without a preview and while the preview is being made.
func previewOf(p *revocation.Preview) *previewBody {
	if p == nil || p.PredictedAt.IsZero() {
		return nil
	}
	return &previewBody{Predicted: predictedBody(p.Predicted), Emails: p.Emails, PredictedAt: timeOf(p.PredictedAt)}
}

type fileBody struct {
	Format    string            `json:"format" enum:"csv,xlsx"`
	Separator *string           `json:"separator" doc:"The separator of the cells; for CSV."`
	Encoding  *string           `json:"encoding" enum:"utf-8,utf-16le,utf-16be" doc:"The encoding; for CSV."`
	Sheet     *string           `json:"sheet" maxLength:"64" doc:"The sheet that was read; for a workbook."`
	Columns   map[string]string `json:"columns" doc:"The columns that were recognised, each with its name in the file."`
	Ignored   []string          `json:"ignored" nullable:"false" maxItems:"50" maxLength:"64" doc:"The names of the ignored columns; at most the first 50."`
}

// TransformSchema adds what tags cannot say.
func (fileBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Nullable = true
	s.Properties["encoding"].Enum = append(s.Properties["encoding"].Enum, nil)
	s.Properties["columns"].AdditionalProperties = &huma.Schema{Type: "string", MaxLength: new(64), Description: "The name of the column in the file."}
	return s
}

// progressOf returns the final part of a job's items, or the predicted part while a preview is being made. It is rounded
// down to four decimals, so that it is 1 only at the end. It divides integers, because a quotient of floats can be slightly
// too small.
func progressOf(j *revocation.Job) float64 {
	const digits = 10_000
	if j.Total == 0 {
		return 0
	}
	part := j.Counts.Sum() * digits / j.Total
	if j.State == revocation.JobPreviewing && j.Preview != nil {
		// When all items are predicted, the search for duplicates follows.
		part = min(j.Preview.Predicted.Sum()*digits/j.Total, digits-1)
	}
	return float64(part) / digits
}

// rounded returns a speed as a whole number, or with one decimal if it is below 10.
func rounded(speed float64) float64 {
	const slow = 10
	if speed < slow {
		return math.Round(speed*slow) / slow
	}
	return math.Round(speed)
}
