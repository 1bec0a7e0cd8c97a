package revocation

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Job is a bulk request: many revocations under one id. At every read Pending, Retrying and the sum of Counts add up to
// Total.
type Job struct {
	ID      ID
	Account string
	// Label is the caller's name for the job; nil if it has none.
	Label *string
	// Reason is why the caller wants it, for other callers, and CandidateMessage plain text for the emails; nil if there
	// is none.
	Reason           *string
	CandidateMessage *string
	// NotBefore is the time before which the caller wants nothing done; zero if it gave none. DueAt is when the job begins,
	// which a hold can make later; zero while that is not known.
	NotBefore time.Time
	DueAt     time.Time
	State     JobState
	// File describes the file that the job was uploaded in; nil if it was uploaded in another form.
	File *File
	// RetryOf is the job whose failed items this one retries; zero if it is no retry.
	RetryOf ID
	// RequestedBy is the API key of the request. The others are those that confirmed, approved and cancelled the job; zero
	// if nobody did, or not by a key.
	RequestedBy ID
	ConfirmedBy ID
	ApprovedBy  ID
	CancelledBy ID

	Total int
	// Retrying counts the items that wait for another attempt.
	Retrying int
	Counts   Counts
	Mails    MailCounts
	// Preview is nil for a job without a preview.
	Preview *Preview

	// CountedAt is when the job was accepted, or confirmed if it has a preview; zero before. The limits of the account add
	// up its jobs by it.
	CountedAt time.Time
	// QueuedAt is when the job began, which is when it reached QUEUED; zero before. ExpiresAt is when the job expires in its
	// present state; zero if it does not.
	QueuedAt  time.Time
	ExpiresAt time.Time
	// StartedAt is when the first attempt on an item began, FinishedAt when the last item became final; zero before.
	StartedAt  time.Time
	FinishedAt time.Time

	// ReadAt is the time of this read, by the database's clock. Since is a recent time at which SinceDone items were
	// final. ItemsPerSecond is computed from them.
	ReadAt    time.Time
	Since     time.Time
	SinceDone int
}

// CreatedAt returns when the upload began, in UTC, to the millisecond.
func (j *Job) CreatedAt() time.Time { return j.ID.Time() }

// Pending returns how many items have had no attempt yet.
func (j *Job) Pending() int { return j.Total - j.Retrying - j.Counts.Sum() }

// ItemsPerSecond returns how many items became final each second: since j.Since while the job runs, from its start to its
// end once it has ended.
func (j *Job) ItemsPerSecond() float64 {
	done, took := j.Counts.Sum()-j.SinceDone, j.ReadAt.Sub(j.Since)
	if j.Ended() {
		done, took = j.Counts.Sum()-j.Counts.Invalid, j.FinishedAt.Sub(j.StartedAt)
	}
	if j.StartedAt.IsZero() || done <= 0 || took <= 0 {
		return 0
	}
	return float64(done) / max(took, time.Millisecond).Seconds()
}

// maxETA bounds the time for which an end is estimated.
const maxETA = 365 * 24 * time.Hour

// ETA returns when the job will end at its present speed; zero if that is not known or more than a year away.
func (j *Job) ETA() time.Time {
	speed := j.ItemsPerSecond()
	if j.Ended() || speed == 0 {
		return time.Time{}
	}
	left := float64(j.Total-j.Counts.Sum()) / speed
	if left > maxETA.Seconds() {
		return time.Time{}
	}
	return j.ReadAt.Add(time.Duration(left * float64(time.Second)))
}

// Counts counts a job's final items by their status.
type Counts struct {
	Revoked, AlreadyRevoked, NotAllowed, AlreadyStarted, NotFound, ErrorRevoking, Invalid, Cancelled int
}

// Sum returns the number of final items.
func (c *Counts) Sum() int {
	return c.Revoked + c.AlreadyRevoked + c.NotAllowed + c.AlreadyStarted + c.NotFound + c.ErrorRevoking + c.Invalid + c.Cancelled
}

// Of returns the counter of a final status, or nil for any other status.
func (c *Counts) Of(status Status) *int {
	switch status {
	case StatusRevoked:
		return &c.Revoked
	case StatusAlreadyRevoked:
		return &c.AlreadyRevoked
	case StatusNotAllowed:
		return &c.NotAllowed
	case StatusAlreadyStarted:
		return &c.AlreadyStarted
	case StatusNotFound:
		return &c.NotFound
	case StatusErrorRevoking:
		return &c.ErrorRevoking
	case StatusInvalid:
		return &c.Invalid
	case StatusCancelled:
		return &c.Cancelled
	default:
		return nil
	}
}

// MailCounts counts the emails of a job's revoked items by their status, as callers see it. Pending counts the emails that
// are not settled.
type MailCounts struct {
	Pending, Sent, Failed, Unknown, Delegated int
}

const (
	// MaxJobItems is the largest JOB_MAX_ITEMS: rows are numbered in 31 bits.
	MaxJobItems = math.MaxInt32
	// ChunkSize is how many rows of a job are carried out in one transaction. Larger chunks cost less per row, up to
	// about this size. With smaller chunks, other work waits less.
	ChunkSize = 2500
)

// JobID returns id with its last four bytes set to 0, as a job's id must be: they number its items.
func JobID(id ID) ID {
	clear(id[12:])
	return id
}

// Item returns the id of a job's item: the job's id with the row in its last four bytes. So the ids of a job's items are a
// range in the order of the input.
func (id ID) Item(row int) ID {
	id[12], id[13], id[14], id[15] = byte(row>>24), byte(row>>16), byte(row>>8), byte(row) //nolint:gosec // MaxJobItems
	return id
}

// Row returns the number of an item's row, from 1. id must be an item's.
func (id ID) Row() int {
	return int(id[12])<<24 | int(id[13])<<16 | int(id[14])<<8 | int(id[15])
}

// JobCount is what a transaction adds to a job's counters.
type JobCount struct {
	Account string
	Job     ID
	Counts  Counts
	// Retrying is the change of that counter; it can be negative.
	Retrying int
	// Mails counts the emails that were requested and that no upstream is known to send. Unknown counts those of them
	// that are UNKNOWN from the start. Delegated counts the emails that the upstream sends.
	Mails     int
	Unknown   int
	Delegated int
}

// CountDecisions returns what decisions add to the counters of their jobs, ordered by account and job. Every transaction
// locks jobs in this order.
func CountDecisions(decisions []Decision) []JobCount {
	type key struct {
		account string
		job     ID
	}
	at := make(map[key]*JobCount)
	for _, d := range decisions {
		if d.Job.IsZero() || !d.HasStatus() {
			continue
		}
		k := key{d.Account, d.Job}
		count := at[k]
		if count == nil {
			count = &JobCount{Account: d.Account, Job: d.Job}
			at[k] = count
		}
		switch {
		case d.Kind == Final:
			*count.Counts.Of(d.Status)++
			if d.Attempt > 0 {
				count.Retrying--
			}
		case d.Attempt == 0:
			count.Retrying++
		}
		switch d.EmailStatus() {
		case NotificationPending:
			count.Mails++
		case NotificationUnknown:
			count.Mails++
			count.Unknown++
		case NotificationDelegated:
			count.Delegated++
		}
	}
	counts := make([]JobCount, 0, len(at))
	for _, count := range at {
		counts = append(counts, *count)
	}
	slices.SortFunc(counts, func(a, b JobCount) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), a.Job.Compare(b.Job))
	})
	return counts
}
