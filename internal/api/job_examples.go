package api

import (
	"time"

	"rescind/internal/revocation"
)

// The code that encodes the responses encodes these examples too.
var (
	exampleQueued  = exampleJob(func(*revocation.Job) {})
	exampleRunning = exampleJob(func(j *revocation.Job) {
		j.State, j.StartedAt = revocation.JobRunning, j.CreatedAt().Add(2*time.Second)
		j.Retrying = 12
		j.Counts = revocation.Counts{Revoked: 590_000, NotAllowed: 9000, NotFound: 888, Invalid: 100}
		j.ReadAt = j.CreatedAt().Add(30 * time.Second)
		j.Since, j.SinceDone = j.ReadAt.Add(-10*time.Second), 389_988
	})
	exampleCompleted = exampleJob(func(j *revocation.Job) {
		j.State, j.StartedAt = revocation.JobCompleted, j.CreatedAt().Add(2*time.Second)
		j.FinishedAt = j.StartedAt.Add(48 * time.Second)
		j.Counts = revocation.Counts{Revoked: 990_000, NotAllowed: 9000, NotFound: 890, ErrorRevoking: 10, Invalid: 100}
	})
	exampleCancelling = exampleJob(func(j *revocation.Job) {
		*j = exampleRunning
		j.State, j.CancelledBy = revocation.JobCancelling, j.RequestedBy
	})
	examplePreviewed = exampleJob(func(j *revocation.Job) {
		at := j.CreatedAt().Add(21 * time.Second)
		j.State, j.ExpiresAt = revocation.JobPreviewed, at.Add(time.Hour)
		j.Counts.Invalid = 100
		j.Preview = &revocation.Preview{
			Predicted: revocation.PredictedCounts{Revoked: 990_000, NotAllowed: 9000, NotFound: 900, Invalid: 100},
			Emails:    new(700_000), PredictedAt: at,
		}
	})
	exampleConfirmed = exampleJob(func(j *revocation.Job) {
		*j = examplePreviewed
		j.State, j.ConfirmedBy, j.ExpiresAt = revocation.JobQueued, j.RequestedBy, time.Time{}
	})
	exampleApproved = exampleJob(func(j *revocation.Job) {
		*j = exampleConfirmed
		j.ApprovedBy, _ = revocation.ParseID("01979d12-7b80-7c11-9a2e-3f4051627384")
	})
	exampleStarted = exampleJob(func(j *revocation.Job) {
		j.NotBefore = j.CreatedAt().Add(24 * time.Hour)
	})
	exampleRetry = exampleJob(func(j *revocation.Job) {
		j.RetryOf = j.ID
		j.ID, _ = revocation.ParseID("0197a3c4-1b2c-7d3e-8f40-516200000000")
		j.Total = 10
	})

	exampleResults = []revocation.Revocation{
		exampleResult(1, revocation.StatusRevoked, func(r *revocation.Revocation) {
			r.ClientReference = new("ticket 4711")
			r.Notification.Status = revocation.NotificationPending
		}),
		exampleResult(2, revocation.StatusNotAllowed, func(r *revocation.Revocation) {
			r.Timestamp = "2025-01-15 10:32:45"
		}),
		exampleResult(3, revocation.StatusInvalid, func(r *revocation.Revocation) {
			r.Invalid, r.Attempts = "report_id must be an integer.", 0
		}),
	}
)

func exampleJob(change func(*revocation.Job)) revocation.Job {
	j := revocation.Job{
		ID: revocation.JobID(exampleRevoked.ID), Label: new("closed positions"), State: revocation.JobQueued,
		RequestedBy: exampleRevoked.RequestedBy, Total: 1_000_000,
	}
	change(&j)
	return j
}

func exampleResult(row int, status revocation.Status, change func(*revocation.Revocation)) revocation.Revocation {
	return exampleRevocation(status, func(r *revocation.Revocation) {
		r.Job = revocation.JobID(r.ID)
		r.ID, r.ReportID = r.Job.Item(row), int64(317+row)
		change(r)
	})
}
