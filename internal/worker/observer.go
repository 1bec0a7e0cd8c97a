package worker

import "rescind/internal/revocation"

// Observer counts what a worker does. Its methods must be safe for concurrent use and must not block.
type Observer interface {
	// BatchCarriedOut reports the number of revocations or emails of a batch.
	BatchCarriedOut(class revocation.Class, size int)
	// Decided reports the decisions that were written.
	Decided(decisions []revocation.Decision)
	// ChunkEnded reports that the first attempt on a chunk was written.
	ChunkEnded(chunk revocation.Chunk)
	// Settled reports how an attempt to send an email ended. Its status is NotificationUnknown if that is not known.
	Settled(settlement revocation.Settlement)
	// DeliveryFailed reports why a delivery of an email failed.
	DeliveryFailed(reason revocation.Reason)
	// Dispatched reports the attempts that a dispatcher has enqueued because they were due or lost.
	Dispatched(due []revocation.DueAttempt)
	// DispatchedEmails reports the same for emails.
	DispatchedEmails(refs []revocation.NotificationRef)
}

// unobserved is the Observer of a worker without one.
type unobserved struct{}

func (unobserved) BatchCarriedOut(revocation.Class, int)         {}
func (unobserved) Decided([]revocation.Decision)                 {}
func (unobserved) ChunkEnded(revocation.Chunk)                   {}
func (unobserved) Settled(revocation.Settlement)                 {}
func (unobserved) DeliveryFailed(revocation.Reason)              {}
func (unobserved) Dispatched([]revocation.DueAttempt)            {}
func (unobserved) DispatchedEmails([]revocation.NotificationRef) {}

// observing returns o, or an Observer that does nothing if o is nil.
func observing(o Observer) Observer {
	if o == nil {
		return unobserved{}
	}
	return o
}
