package submission

import (
	"context"

	"rescind/internal/revocation"
)

// Supervise returns the context of an upload that is no job. The context is cancelled when the service stops or permit,
// which is called every few seconds, returns an error. The caller must call end with the error of the upload, or nil. end
// returns the cause if the context was cancelled for one of these, and otherwise the error.
func (s *Service) Supervise(ctx context.Context, permit func() error) (supervised context.Context, end func(error) error) {
	k, ctx := s.keep(ctx, revocation.NewJob{}, false, permit)
	return ctx, func(err error) error {
		err = whyEnded(ctx, err)
		k.close()
		return err
	}
}
