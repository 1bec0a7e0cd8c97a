package invites

import (
	"context"
	"time"

	"rescind/internal/revocation"
)

const (
	// batchInvites and batchBytes bound what one transaction writes. It is enough to be fast, and so little that the
	// submissions of a running service do not wait long. A Writer holds twice as much in memory.
	batchInvites = 5000
	batchBytes   = 512 << 10
	// batchPause lets others write between two transactions, on a database with only one writer.
	batchPause = 5 * time.Millisecond
)

// Store writes invites; see revocation.InviteStore.
type Store interface {
	UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error
	FinishImport(ctx context.Context, account string, invites []revocation.Invite, counts revocation.Import) error
}

// Writer writes invites in batches, one while the next is read. Make it with NewWriter. It is not safe for concurrent use.
type Writer struct {
	store   Store
	account string
	actor   revocation.Actor
	written int
	// batch is filled while another one is written.
	batch, spare []revocation.Invite
	bytes        int
	writing      chan error // receives the error of the batch that is being written; nil if no batch is
}

// NewWriter returns a Writer for an account. actor is who imports.
func NewWriter(store Store, account string, actor revocation.Actor) *Writer {
	return &Writer{store: store, account: account, actor: actor}
}

// Add adds an invite. If it returns full, the caller must call Flush before the next Add.
func (w *Writer) Add(invite revocation.Invite) (full bool) {
	w.batch = append(w.batch, invite)
	w.bytes += size(&invite)
	return len(w.batch) >= batchInvites || w.bytes >= batchBytes
}

// size returns about how much memory an invite takes, in bytes.
func size(i *revocation.Invite) int {
	const fixed = 128 // what is not text
	n := fixed + len(i.CandidateName) + len(i.CandidateEmail) + len(i.AssessmentName)
	if i.AssessmentID != nil {
		n += len(*i.AssessmentID)
	}
	return n
}

// Flush waits until the previous batch is written, and begins to write what was added since. It returns the error of the
// previous batch.
func (w *Writer) Flush(ctx context.Context) error {
	if err := w.settle(); err != nil || len(w.batch) == 0 {
		return err
	}
	batch, writing := w.batch, make(chan error, 1)
	w.batch, w.bytes, w.spare, w.writing = w.spare, 0, batch, writing
	go func() {
		err := Patiently(ctx, func() error { return w.store.UpsertInvites(ctx, w.account, batch) })
		time.Sleep(batchPause)
		writing <- err
	}()
	return nil
}

// settle waits for the batch that is being written, and counts it if it was.
func (w *Writer) settle() error {
	if w.writing == nil {
		return nil
	}
	err := <-w.writing
	w.writing = nil
	if err == nil {
		w.written += len(w.spare)
	}
	clear(w.spare) // its texts must not stay in memory until the next batch is full
	w.spare = w.spare[:0]
	return err
}

// Close writes the rest, together with the event of the import, and returns how many invites are written. bad is the
// number of rows that could not be read. If failed is not nil, the import broke off: then Close writes no more invites, and returns
// failed.
func (w *Writer) Close(ctx context.Context, bad int, failed error) (written int, err error) {
	if err := w.settle(); failed == nil {
		failed = err
	}
	var last []revocation.Invite
	if failed == nil {
		last = w.batch
	}
	if w.written+len(last) == 0 {
		return 0, failed
	}
	counts := revocation.Import{Written: w.written + len(last), Bad: bad, By: w.actor}
	if err := Patiently(ctx, func() error { return w.store.FinishImport(ctx, w.account, last, counts) }); err != nil {
		if failed == nil {
			failed = err
		}
		return w.written, failed
	}
	return w.written + len(last), failed
}
