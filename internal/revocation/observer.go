package revocation

// Observer is told of what was done, for whoever keeps figures. Its methods are called by many goroutines in the
// midst of their work: they must return at once.
type Observer interface {
	// Flushed tells what became of the submissions that were written together: one answer for each of size, or
	// the error of all.
	Flushed(size int, accepted []Accepted, err error)
	// JobAccepted tells that a job became durable.
	JobAccepted(job Job)
	// BatchCarriedOut tells how much was done together.
	BatchCarriedOut(class Class, size int)
	// Decided tells what was written.
	Decided(decisions []Decision)
	// ChunkEnded tells that the first pass of a chunk was written.
	ChunkEnded(chunk Chunk)
	// Settled tells how an attempt on an email ended, or that nobody knows.
	Settled(settlement Settlement)
	// DeliveryFailed tells why a delivery of an email failed.
	DeliveryFailed(reason Reason)
	// Swept tells what a dispatcher found due or lost, and has enqueued.
	Swept(due []DueAttempt)
	// SweptEmails tells the same of emails.
	SweptEmails(refs []NotificationRef)
}

// Class is a kind of work that goes its own way to the workers.
type Class string

const (
	// ClassSingle is what was submitted singly.
	ClassSingle Class = "single"
	// ClassItems are the items of jobs.
	ClassItems Class = "items"
	// ClassUpstream is what has to be revoked at upstreams, singles and items.
	ClassUpstream Class = "upstream"
	// ClassMail are the emails.
	ClassMail Class = "mail"
)

// Classes are all of them.
var Classes = []Class{ClassSingle, ClassItems, ClassUpstream, ClassMail}

// unobserved is the Observer of those who were given none.
type unobserved struct{}

func (unobserved) Flushed(int, []Accepted, error) {}
func (unobserved) JobAccepted(Job)                {}
func (unobserved) BatchCarriedOut(Class, int)     {}
func (unobserved) Decided([]Decision)             {}
func (unobserved) ChunkEnded(Chunk)               {}
func (unobserved) Settled(Settlement)             {}
func (unobserved) DeliveryFailed(Reason)          {}
func (unobserved) Swept([]DueAttempt)             {}
func (unobserved) SweptEmails([]NotificationRef)  {}

// observing gives an Observer that can be called.
func observing(o Observer) Observer {
	if o == nil {
		return unobserved{}
	}
	return o
}
