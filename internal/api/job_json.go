package api

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"rescind/internal/revocation"
)

// appendJob appends a job as JSON. Every response and event with a job uses it.
func appendJob(b []byte, j *revocation.Job) []byte {
	b = append(b, `{"id":`...)
	b = appendID(b, j.ID)
	b = append(b, `,"label":`...)
	b = appendOptional(b, j.Label)
	b = append(b, `,"reason":`...)
	b = appendOptional(b, j.Reason)
	b = append(b, `,"candidate_message":`...)
	b = appendOptional(b, j.CandidateMessage)
	b = append(b, `,"not_before":`...)
	b = appendTime(b, j.NotBefore)
	b = append(b, `,"state":"`...)
	b = append(b, j.State...)
	b = append(b, `","retry_of":`...)
	b = appendOptionalID(b, j.RetryOf)
	b = appendCount(b, `,"total":`, j.Total)
	b = appendCount(b, `,"pending":`, j.Pending())
	b = appendCount(b, `,"retrying":`, j.Retrying)
	b = appendCount(b, `,"counts":{"REVOKED":`, j.Counts.Revoked)
	b = appendCount(b, `,"ALREADY_REVOKED":`, j.Counts.AlreadyRevoked)
	b = appendCount(b, `,"NOT_ALLOWED":`, j.Counts.NotAllowed)
	b = appendCount(b, `,"ALREADY_STARTED":`, j.Counts.AlreadyStarted)
	b = appendCount(b, `,"NOT_FOUND":`, j.Counts.NotFound)
	b = appendCount(b, `,"ERROR_REVOKING":`, j.Counts.ErrorRevoking)
	b = appendCount(b, `,"INVALID":`, j.Counts.Invalid)
	b = appendCount(b, `,"CANCELLED":`, j.Counts.Cancelled)
	b = appendCount(b, `},"notifications":{"PENDING":`, j.Mails.Pending)
	b = appendCount(b, `,"SENT":`, j.Mails.Sent)
	b = appendCount(b, `,"FAILED":`, j.Mails.Failed)
	b = appendCount(b, `,"UNKNOWN":`, j.Mails.Unknown)
	b = appendCount(b, `,"DELEGATED":`, j.Mails.Delegated)
	// BOUNCED and SUPPRESSED are for a later version; callers can rely on all seven.
	b = append(b, `,"BOUNCED":0,"SUPPRESSED":0},"preview":`...)
	b = appendPreview(b, j.Preview)
	b = append(b, `,"file":`...)
	b = appendFile(b, j.File)
	b = append(b, `,"progress":`...)
	b = appendProgress(b, j)
	b = append(b, `,"items_per_second":`...)
	b = appendSpeed(b, j.ItemsPerSecond())
	b = append(b, `,"eta":`...)
	b = appendTime(b, j.ETA())
	b = append(b, `,"requested_by":`...)
	b = appendID(b, j.RequestedBy)
	b = append(b, `,"confirmed_by":`...)
	b = appendOptionalID(b, j.ConfirmedBy)
	b = append(b, `,"approved_by":`...)
	b = appendOptionalID(b, j.ApprovedBy)
	b = append(b, `,"cancelled_by":`...)
	b = appendOptionalID(b, j.CancelledBy)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, j.CreatedAt())
	b = append(b, `,"started_at":`...)
	b = appendTime(b, j.StartedAt)
	b = append(b, `,"finished_at":`...)
	b = appendTime(b, j.FinishedAt)
	b = append(b, `,"expires_at":`...)
	b = appendTime(b, j.ExpiresAt)
	return append(b, '}')
}

// appendPreview appends what a job would do, or null for a job without a preview and while the preview is being made.
func appendPreview(b []byte, p *revocation.Preview) []byte {
	if p == nil || p.PredictedAt.IsZero() {
		return append(b, "null"...)
	}
	b = appendCount(b, `{"predicted":{"REVOKED":`, p.Predicted.Revoked)
	b = appendCount(b, `,"ALREADY_REVOKED":`, p.Predicted.AlreadyRevoked)
	b = appendCount(b, `,"NOT_ALLOWED":`, p.Predicted.NotAllowed)
	b = appendCount(b, `,"NOT_FOUND":`, p.Predicted.NotFound)
	b = appendCount(b, `,"ALREADY_STARTED":`, p.Predicted.AlreadyStarted)
	b = appendCount(b, `,"INVALID":`, p.Predicted.Invalid)
	b = appendCount(b, `,"UNKNOWN":`, p.Predicted.Unknown)
	b = append(b, `},"emails":`...)
	if p.Emails == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(*p.Emails), 10)
	}
	b = append(b, `,"predicted_at":`...)
	b = appendTime(b, p.PredictedAt)
	return append(b, '}')
}

// appendFile appends the format and the columns that were recognised in a job's file, or null for none.
func appendFile(b []byte, f *revocation.File) []byte {
	if f == nil {
		return append(b, "null"...)
	}
	b = append(b, `{"format":`...)
	b = appendString(b, f.Format)
	b = append(b, `,"separator":`...)
	b = appendOptional(b, f.Separator)
	b = append(b, `,"encoding":`...)
	b = appendOptional(b, f.Encoding)
	b = append(b, `,"sheet":`...)
	b = appendOptional(b, f.Sheet)
	b = append(b, `,"columns":{`...)
	for i, name := range slices.Sorted(maps.Keys(f.Columns)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
		b = append(b, ':')
		b = appendString(b, f.Columns[name])
	}
	b = append(b, `},"ignored":[`...)
	for i, name := range f.Ignored {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
	}
	return append(b, "]}"...)
}

func appendCount(b []byte, name string, n int) []byte {
	return strconv.AppendInt(append(b, name...), int64(n), 10)
}

// appendProgress appends the final part of a job's items, or the predicted part while a preview is being made. It is
// rounded down to four decimals, so that it is 1 only at the end. It divides integers, because a quotient of floats can be
// slightly too small.
func appendProgress(b []byte, j *revocation.Job) []byte {
	const digits = 10_000
	if j.Total == 0 {
		return append(b, '0')
	}
	part := j.Counts.Sum() * digits / j.Total
	if j.State == revocation.JobPreviewing && j.Preview != nil {
		// When all items are predicted, the search for duplicates follows.
		part = min(j.Preview.Predicted.Sum()*digits/j.Total, digits-1)
	}
	return strconv.AppendFloat(b, float64(part)/digits, 'f', -1, 64)
}

// appendSpeed appends items per second: a whole number, or a number with one decimal if it is below 10.
func appendSpeed(b []byte, speed float64) []byte {
	const slow = 10
	if speed < slow {
		return strconv.AppendFloat(b, math.Round(speed*slow)/slow, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, math.Round(speed), 'f', -1, 64)
}
