package submission

import "rescind/internal/revocation"

// Observer counts what is accepted. Its methods are called by many goroutines in the middle of their work: they
// must return at once.
type Observer interface {
	// Flushed reports the answers to size submissions that were written together, or the error of all.
	Flushed(size int, accepted []revocation.Accepted, err error)
	// JobAccepted reports that a job has become durable.
	JobAccepted(job revocation.Job)
}

// unobserved is the Observer of a Service without one.
type unobserved struct{}

func (unobserved) Flushed(int, []revocation.Accepted, error) {}
func (unobserved) JobAccepted(revocation.Job)                {}
