package submission

import (
	"context"
	"crypto/sha256"
	"time"

	"rescind/internal/revocation"
)

// Job returns a job. With wait, it returns when the job has ended or waits for a person or a time, at the latest after wait.
// The error's code is CodeNotFound if the account has no such job.
func (s *Service) Job(ctx context.Context, account string, id revocation.ID, wait time.Duration) (revocation.Job, error) {
	job, err := s.store.Job(ctx, account, id)
	if err != nil || wait <= 0 || job.Idle() {
		return job, err
	}
	watch := s.WatchJob(account, id)
	defer watch.Close()
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for !job.Idle() {
		select {
		case newer, ok := <-watch.Jobs():
			if !ok {
				return s.store.Job(ctx, account, id)
			}
			job = newer
		case <-deadline.C:
			return s.store.Job(ctx, account, id)
		case <-s.drained:
			return job, nil
		case <-ctx.Done():
			return job, nil
		}
	}
	return job, nil
}

// Jobs returns a page of jobs, newest first.
func (s *Service) Jobs(ctx context.Context, f revocation.JobFilter) (revocation.Page[revocation.Job], error) {
	return s.store.Jobs(ctx, f)
}

// Results returns a page of a job's items, in the order of the input. The error's code is CodeNotFound if the account has no
// such job.
func (s *Service) Results(ctx context.Context, f revocation.ResultFilter) (revocation.Page[revocation.Revocation], error) {
	if _, err := s.store.Job(ctx, f.Account, f.Job); err != nil {
		return revocation.Page[revocation.Revocation]{}, err
	}
	return s.store.Results(ctx, f)
}

// CancelJob cancels the items of a job that are not carried out yet, and returns the job, which is CANCELLING until they are
// final. A job that was cancelled before is returned unchanged. by is the API key of the request. With onlyApproval, the
// error's code is CodeMissingScope unless the job waits for an approval. It is CodeJobEnded if the job is COMPLETED or
// EXPIRED, and CodeNotFound if the account has no such job.
func (s *Service) CancelJob(ctx context.Context, account string, id, by revocation.ID, onlyApproval bool) (revocation.Job, error) {
	return s.changeJob(ctx, account, id, revocation.JobChange{
		Kind: revocation.ChangeCancel, By: revocation.ByKey(by), OnlyApproval: onlyApproval,
	})
}

// ConfirmJob confirms the preview of a job, which predicts that count items can be revoked. A job that was confirmed before
// with the same count is returned unchanged. The error's code is CodeCountMismatch if the preview predicts another number,
// CodeWrongState if the job is not PREVIEWED, and CodeNotFound if the account has no such job.
func (s *Service) ConfirmJob(ctx context.Context, account string, id, by revocation.ID, count int) (revocation.Job, error) {
	return s.changeJob(ctx, account, id, revocation.JobChange{
		Kind: revocation.ChangeConfirm, By: revocation.ByKey(by), Count: count,
	})
}

// ApproveJob approves a job as ConfirmJob confirms it: the job must be AWAITING_APPROVAL. The error's code is also
// CodeSameKey if the API key by has submitted or confirmed the job.
func (s *Service) ApproveJob(ctx context.Context, account string, id, by revocation.ID, count int) (revocation.Job, error) {
	return s.changeJob(ctx, account, id, revocation.JobChange{
		Kind: revocation.ChangeApprove, By: revocation.ByKey(by), Count: count,
	})
}

// StartJob begins a SCHEDULED job now. The error's code is CodeWrongState in every other state, and CodeNotFound if the
// account has no such job.
func (s *Service) StartJob(ctx context.Context, account string, id, by revocation.ID) (revocation.Job, error) {
	return s.changeJob(ctx, account, id, revocation.JobChange{Kind: revocation.ChangeStart, By: revocation.ByKey(by)})
}

func (s *Service) changeJob(ctx context.Context, account string, id revocation.ID, change revocation.JobChange) (revocation.Job, error) {
	job, err := s.store.ChangeJob(ctx, account, id, change)
	if err != nil {
		return revocation.Job{}, err
	}
	if !job.Idle() {
		s.startJobs(ctx, account)
	}
	s.watches.refresh(id)
	return job, nil
}

// retryPage is how many items a retry reads at once.
const retryPage = 1000

// RetryJob creates a new job from the items of the job of that ended as ERROR_REVOKING. job contains the account, the API key
// and the idempotency key of the request. If that idempotency key was used before for a retry of the same job, RetryJob
// returns that retry. permit is called as by BeginJob. The error's code is CodeJobRunning if the job has not ended,
// CodeRetryRunning if another retry of it has not ended, and CodeInvalid if it has no such items.
func (s *Service) RetryJob(ctx context.Context, of revocation.ID, job revocation.NewJob, permit func() error) (revocation.Job, error) {
	job.RetryOf, job.Route = of, revocation.RouteRetry
	fingerprint := revocation.Fingerprint(sha256.Sum256(of[:]))
	if bound, err := s.store.BoundJob(ctx, job); err != nil {
		return revocation.Job{}, err
	} else if bound != nil {
		return s.replay(ctx, job, bound, fingerprint)
	}
	failed, err := s.store.Job(ctx, job.Account, of)
	switch {
	case err != nil:
		return revocation.Job{}, err
	case !failed.Ended():
		return revocation.Job{}, &revocation.Error{Code: revocation.CodeJobRunning, Detail: "The job has not ended yet."}
	case failed.Counts.ErrorRevoking == 0:
		return revocation.Job{}, &revocation.Error{Code: revocation.CodeInvalid, Detail: "The job has no items that ended as ERROR_REVOKING."}
	}
	in, ctx, err := s.BeginJob(ctx, job, permit)
	if err != nil {
		return revocation.Job{}, err
	}
	defer in.Abandon(ctx)
	if in.Bound() {
		return in.Replay(ctx, fingerprint)
	}
	if err := s.copyFailed(ctx, in, of, failed.Reason); err != nil {
		return revocation.Job{}, whyEnded(ctx, err)
	}
	return in.Finalize(ctx, revocation.JobValues{
		Label: failed.Label, Reason: failed.Reason, CandidateMessage: failed.CandidateMessage,
	}, fingerprint)
}

// copyFailed adds the items of a job that ended as ERROR_REVOKING. reason is the job's.
func (s *Service) copyFailed(ctx context.Context, in *JobUpload, of revocation.ID, reason *string) error {
	f := revocation.ResultFilter{Account: in.job.Account, Job: of, Statuses: revocation.StatusFilter{revocation.StatusErrorRevoking}, Limit: retryPage}
	for {
		page, err := s.store.Results(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Entries {
			r := &page.Entries[i]
			item := revocation.Item{ReportID: r.ReportID, Notify: &r.Notify, ClientReference: r.ClientReference}
			if r.Reason != nil && (reason == nil || *r.Reason != *reason) {
				item.Reason = r.Reason // its own
			}
			full, err := in.Add(item)
			if err == nil && full {
				err = in.Flush(ctx)
			}
			if err != nil {
				return err
			}
		}
		if page.Next.IsZero() {
			return nil
		}
		f.After = page.Next.Row()
	}
}
