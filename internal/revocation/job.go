package revocation

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Job is a bulk request: many revocations under one id. At every read its pending, retrying and counted items
// are all there are.
type Job struct {
	ID      ID
	Account string
	// Label is the caller's, nil without one.
	Label *string
	State JobState
	// File is what was recognised of the file that it came in; nil for one that came in another form.
	File *File
	// RetryOf is the job whose failed items this one tries again; zero for none.
	RetryOf ID
	// RequestedBy is the API key that asked.
	RequestedBy ID

	Total int
	// Retrying are the items that wait for another attempt.
	Retrying int
	Counts   Counts
	Mails    MailCounts

	// StartedAt is when the first item was taken up, FinishedAt when the last became final; zero before.
	StartedAt  time.Time
	FinishedAt time.Time

	// ReadAt is the database's time of this reading. Since is a moment of the recent past, at which SinceDone
	// items were final: what the speed is reckoned from.
	ReadAt    time.Time
	Since     time.Time
	SinceDone int
}

// JobState is how far a job has come.
type JobState string

const (
	// JobReceiving is set at the first byte of an upload. Stored only: nobody sees such a job, or its items.
	JobReceiving JobState = "RECEIVING"
	// JobQueued is set when all items are durable. RUNNING follows, or the end at once.
	JobQueued JobState = "QUEUED"
	// JobRunning is set when the first item is taken up.
	JobRunning JobState = "RUNNING"
	// JobCancelling is set by a caller on a job that has not ended: what is not carried out yet becomes
	// CANCELLED.
	JobCancelling JobState = "CANCELLING"
	// JobCompleted is set when the last item is final. An end.
	JobCompleted JobState = "COMPLETED"
	// JobCancelled is set when the last item of a job that was cancelled is final. An end.
	JobCancelled JobState = "CANCELLED"
	// JobDropped is set on an upload that broke off, and on a job that has been kept for long enough. Stored
	// only: nobody sees it any more, and it is deleted in small steps.
	JobDropped JobState = "DROPPED"
)

// Ended tells whether all items of the job are final.
func (j *Job) Ended() bool { return j.State == JobCompleted || j.State == JobCancelled }

// CreatedAt is when the upload began, in UTC, to the millisecond.
func (j *Job) CreatedAt() time.Time { return j.ID.Time() }

// Pending are the items of which no attempt has ended.
func (j *Job) Pending() int { return j.Total - j.Retrying - j.Counts.Sum() }

// Progress is the part of the items that are final, from 0 to 1.
func (j *Job) Progress() float64 {
	if j.Total == 0 {
		return 0
	}
	return float64(j.Counts.Sum()) / float64(j.Total)
}

// ItemsPerSecond is how many items became final a second: of late while the job runs, over all of it when it
// has ended.
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

// maxETA bounds what is worth telling.
const maxETA = 365 * 24 * time.Hour

// ETA is when the job will end if it goes on as of late; zero when that cannot be told.
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

// Counts are a job's final items by their status.
type Counts struct {
	Revoked, AlreadyRevoked, NotAllowed, NotFound, ErrorRevoking, Invalid, Cancelled int
}

// Sum is the number of final items.
func (c *Counts) Sum() int {
	return c.Revoked + c.AlreadyRevoked + c.NotAllowed + c.NotFound + c.ErrorRevoking + c.Invalid + c.Cancelled
}

// Of is the counter of a final status; nil for any other.
func (c *Counts) Of(status Status) *int {
	switch status {
	case StatusRevoked:
		return &c.Revoked
	case StatusAlreadyRevoked:
		return &c.AlreadyRevoked
	case StatusNotAllowed:
		return &c.NotAllowed
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

// MailCounts are the emails of a job's revoked items, by what callers see of them. Pending are those that are
// not settled.
type MailCounts struct {
	Pending, Sent, Failed, Unknown, Delegated int
}

const (
	// MaxJobItems bounds JOB_MAX_ITEMS: rows are numbered in 31 bits.
	MaxJobItems = math.MaxInt32
	// ChunkSize is how many rows of a job are carried out in one transaction. Larger ones cost less a row, up to
	// about this; smaller ones let others in sooner.
	ChunkSize = 2500
)

// JobID makes an id that a job can have: one whose last four bytes are free to number its items.
func JobID(id ID) ID {
	clear(id[12:])
	return id
}

// Item is the id of a job's item: the job's own, with the row in its last four bytes. So a job's items are a
// range of ids, in the order of the input.
func (id ID) Item(row int) ID {
	id[12], id[13], id[14], id[15] = byte(row>>24), byte(row>>16), byte(row>>8), byte(row) //nolint:gosec // MaxJobItems
	return id
}

// Row is the number of an item's row, from 1. It means nothing for other ids.
func (id ID) Row() int {
	return int(id[12])<<24 | int(id[13])<<16 | int(id[14])<<8 | int(id[15])
}

// JobCount is what a transaction adds to a job's counters.
type JobCount struct {
	Account string
	Job     ID
	Counts  Counts
	// Retrying is the change of that number.
	Retrying int
	// Mails are the emails that were wanted and that no upstream is known to send, Unknown those of them that are
	// UNKNOWN from the start. Delegated are those that the upstream sends.
	Mails     int
	Unknown   int
	Delegated int
}

// CountDecisions gathers what decisions mean for their jobs, in the order of the jobs' keys, which is the
// order in which every transaction locks them.
func CountDecisions(decisions []Decision) []JobCount {
	type key struct {
		account string
		job     ID
	}
	at := make(map[key]*JobCount)
	for _, d := range decisions {
		if d.Job.IsZero() || d.Status == "" {
			continue
		}
		k := key{d.Account, d.Job}
		count := at[k]
		if count == nil {
			count = &JobCount{Account: d.Account, Job: d.Job}
			at[k] = count
		}
		switch {
		case d.Final:
			*count.Counts.Of(d.Status)++
			if d.Attempt > 0 {
				count.Retrying--
			}
		case d.Attempt == 0:
			count.Retrying++
		}
		switch d.Email {
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
