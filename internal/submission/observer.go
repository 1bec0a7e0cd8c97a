package submission

import "rescind/internal/revocation"

// Observer counts what is accepted. Its methods must be safe for concurrent use and must not block.
type Observer interface {
	// Flushed reports the answers to size submissions of one flush, or the error that all of them got.
	Flushed(size int, accepted []revocation.Accepted, err error)
	// JobAccepted reports that a job has become durable.
	JobAccepted(job revocation.Job)
}

// unobserved is the Observer of a Service without one.
type unobserved struct{}

func (unobserved) Flushed(int, []revocation.Accepted, error) {}
func (unobserved) JobAccepted(revocation.Job)                {}
