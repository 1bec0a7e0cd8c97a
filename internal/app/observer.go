package app

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/revocation"
	"rescind/internal/submission"
	"rescind/internal/worker"
)

// observer counts what the services report. No label identifies an account.
type observer struct {
	submissions       *prometheus.CounterVec
	flushSize         prometheus.Histogram
	batchSize         *prometheus.HistogramVec
	attempts          *prometheus.CounterVec
	attemptsToOutcome prometheus.Histogram
	jobs              prometheus.Counter
	jobItems          *prometheus.CounterVec
	notifications     *prometheus.CounterVec
	deliveryFailures  *prometheus.CounterVec
	dispatched        *prometheus.CounterVec
}

var (
	_ submission.Observer = (*observer)(nil)
	_ worker.Observer     = (*observer)(nil)
)

// The results of a submission, as labels.
const (
	submissionAccepted = "accepted"
	submissionJoined   = "joined"
	submissionNotFound = "not_found"
	submissionMismatch = "mismatch"
	submissionFailed   = "failed"
)

// The outcomes of an attempt that left the revocation without a final status, as labels.
const (
	attemptRetried   = "retried"
	attemptPostponed = "postponed"
)

// What a dispatcher enqueued and why, as labels.
const (
	dispatchedRevocation, dispatchedEmail = "revocation", "email"
	dispatchedDue, dispatchedLost         = "due", "lost"
)

var sizes = []float64{1, 2, 5, 10, 25, 50, 100, 256, 500, 1000, 2500, 5000}

func newObserver(to prometheus.Registerer) *observer {
	o := &observer{
		submissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rescind_submissions_total",
			Help: "Single submissions by result; joined: they returned a revocation that existed, or replayed a request.",
		}, []string{"result"}),
		flushSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rescind_flush_size", Help: "Number of submissions that one transaction wrote.", Buckets: sizes,
		}),
		batchSize: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rescind_batch_size", Help: "Number of revocations or emails that were carried out together, by class.", Buckets: sizes,
		}, []string{"class"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rescind_attempts_total",
			Help: "Attempts on revocations by the final status that they led to; retried: they failed and another follows; " +
				"postponed: they were put off and do not count as attempts.",
		}, []string{"outcome"}),
		attemptsToOutcome: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rescind_attempts_to_outcome", Help: "Number of attempts that a revocation needed until its final status.",
			Buckets: []float64{1, 2, 3, 4, 5, 7, 10, 15, 20},
		}),
		jobs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rescind_jobs_total", Help: "Bulk jobs that were accepted.",
		}),
		jobItems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rescind_job_items_total", Help: "Items of bulk jobs that became final, by status.",
		}, []string{"status"}),
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rescind_notifications_total",
			Help: "Attempts on emails by the final status that they led to; pending: they failed and another follows.",
		}, []string{"status"}),
		deliveryFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rescind_delivery_failures_total", Help: "Deliveries of emails that failed, by reason.",
		}, []string{"reason"}),
		dispatched: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rescind_dispatched_total",
			Help: "Revocations and emails that the dispatcher enqueued; due: for another attempt, or after waiting for a time; " +
				"lost: for the first, because its task was lost or is late.",
		}, []string{"kind", "cause"}),
	}
	o.fill()
	to.MustRegister(o.submissions, o.flushSize, o.batchSize, o.attempts, o.attemptsToOutcome,
		o.jobs, o.jobItems, o.notifications, o.deliveryFailures, o.dispatched)
	return o
}

// fill exports every counter as 0 from the start, so that Prometheus sees the first event as an increase.
func (o *observer) fill() {
	for _, result := range []string{submissionAccepted, submissionJoined, submissionNotFound, submissionMismatch, submissionFailed} {
		o.submissions.WithLabelValues(result)
	}
	for _, class := range revocation.Classes {
		o.batchSize.WithLabelValues(string(class))
	}
	o.attempts.WithLabelValues(attemptRetried)
	o.attempts.WithLabelValues(attemptPostponed)
	for _, status := range revocation.Statuses {
		if status == revocation.StatusPending {
			continue
		}
		o.jobItems.WithLabelValues(label(status))
		if status != revocation.StatusInvalid {
			o.attempts.WithLabelValues(label(status))
		}
	}
	for _, status := range []revocation.NotificationStatus{
		revocation.NotificationPending, revocation.NotificationSent, revocation.NotificationFailed,
		revocation.NotificationUnknown, revocation.NotificationSkipped, revocation.NotificationDelegated,
	} {
		o.notifications.WithLabelValues(label(status))
	}
	for _, reason := range revocation.Reasons {
		o.deliveryFailures.WithLabelValues(string(reason))
	}
	for _, kind := range []string{dispatchedRevocation, dispatchedEmail} {
		o.dispatched.WithLabelValues(kind, dispatchedDue)
		o.dispatched.WithLabelValues(kind, dispatchedLost)
	}
}

// label returns a status in the form of a label: in lower case.
func label[Status ~string](status Status) string { return strings.ToLower(string(status)) }

// Flushed implements submission.Observer.
func (o *observer) Flushed(size int, accepted []revocation.Accepted, err error) {
	o.flushSize.Observe(float64(size))
	if err != nil {
		o.submissions.WithLabelValues(submissionFailed).Add(float64(size))
		return
	}
	results := make(map[string]int, 4)
	for _, a := range accepted {
		results[resultOf(a)]++
	}
	for result, n := range results {
		o.submissions.WithLabelValues(result).Add(float64(n))
	}
}

func resultOf(a revocation.Accepted) string {
	failure, failed := errors.AsType[*revocation.Error](a.Err)
	switch {
	case a.Err == nil && a.Created:
		return submissionAccepted
	case a.Err == nil:
		return submissionJoined
	case failed && failure.Code == revocation.CodeNotFound:
		return submissionNotFound
	case failed && failure.Code == revocation.CodeIdempotencyMismatch:
		return submissionMismatch
	default:
		return submissionFailed
	}
}

// JobAccepted implements submission.Observer.
func (o *observer) JobAccepted(job revocation.Job) {
	o.jobs.Inc()
	o.jobItems.WithLabelValues(label(revocation.StatusInvalid)).Add(float64(job.Counts.Invalid))
}

// BatchCarriedOut implements worker.Observer.
func (o *observer) BatchCarriedOut(class revocation.Class, size int) {
	o.batchSize.WithLabelValues(string(class)).Observe(float64(size))
}

// Decided implements worker.Observer.
func (o *observer) Decided(decisions []revocation.Decision) {
	for i := range decisions {
		d := &decisions[i]
		switch d.Kind {
		case revocation.Final:
		case revocation.RouteUpstream:
			continue // the upstream's task makes the attempt
		case revocation.Postpone:
			o.attempts.WithLabelValues(attemptPostponed).Inc()
			continue
		case revocation.Retry:
			o.attempts.WithLabelValues(attemptRetried).Inc()
			continue
		}
		o.ended(d.Status, 1, d.Attempts())
		if !d.Job.IsZero() {
			o.jobItems.WithLabelValues(label(d.Status)).Inc()
		}
		if email := d.EmailStatus(); email == revocation.NotificationDelegated || email == revocation.NotificationUnknown {
			o.notifications.WithLabelValues(label(email)).Inc()
		}
	}
}

// ended counts n revocations that became final.
func (o *observer) ended(status revocation.Status, n, attempts int) {
	o.attempts.WithLabelValues(label(status)).Add(float64(n))
	if status == revocation.StatusCancelled {
		return // a cancelled revocation says nothing about attempts
	}
	for range n {
		o.attemptsToOutcome.Observe(float64(attempts))
	}
}

// ChunkEnded implements worker.Observer. Items that left the chunk for a work item of their own are counted when
// they are carried out.
func (o *observer) ChunkEnded(chunk revocation.Chunk) {
	counts := chunk.Done.Counts
	o.BatchCarriedOut(revocation.ClassItems, counts.Sum()+chunk.Spilled)
	for _, status := range revocation.Statuses {
		if n := counts.Of(status); n != nil && *n > 0 {
			o.ended(status, *n, 1)
			o.jobItems.WithLabelValues(label(status)).Add(float64(*n))
		}
	}
}

// Settled implements worker.Observer.
func (o *observer) Settled(s revocation.Settlement) {
	o.notifications.WithLabelValues(label(s.Status)).Inc()
}

// DeliveryFailed implements worker.Observer.
func (o *observer) DeliveryFailed(reason revocation.Reason) {
	o.deliveryFailures.WithLabelValues(string(reason)).Inc()
}

// Dispatched implements worker.Observer.
func (o *observer) Dispatched(due []revocation.DueAttempt) {
	for _, d := range due {
		o.dispatched.WithLabelValues(dispatchedRevocation, causeOf(d.Attempt > 0 || d.Waited && d.DispatchCount == 1)).Inc()
	}
}

// DispatchedEmails implements worker.Observer.
func (o *observer) DispatchedEmails(refs []revocation.NotificationRef) {
	for _, ref := range refs {
		o.dispatched.WithLabelValues(dispatchedEmail, causeOf(ref.Claims > 0)).Inc()
	}
}

// causeOf returns the label for why something was enqueued. What was attempted before counts as due, because its row does
// not record whether a task for this attempt existed. So does what had to wait, which had no task before.
func causeOf(due bool) string {
	if due {
		return dispatchedDue
	}
	return dispatchedLost
}
