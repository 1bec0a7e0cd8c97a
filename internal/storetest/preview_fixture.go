package storetest

import (
	"context"
	"errors"
	"time"

	"rescind/internal/revocation"
)

// predict completes the previews of the account's jobs. It returns the number of items that were predicted.
func (f *fixture) predict(account string) int {
	f.Helper()
	items, err := f.predictAll(f.Context(), account)
	f.must(err)
	return items
}

func (f *fixture) predictAll(ctx context.Context, account string) (items int, err error) {
	for {
		step, err := f.PredictChunk(ctx, account)
		if err != nil || step.Job.IsZero() {
			return items, err
		}
		items += step.Items
		if step.Complete {
			if _, err := f.ChangeJob(ctx, account, step.Job, predicted); err != nil {
				return items, err
			}
		}
	}
}

var predicted = revocation.JobChange{
	Kind: revocation.ChangePredicted, By: revocation.Actor{Type: revocation.ActorService}, PreviewTTL: time.Hour,
}

// preview uploads a job with a preview, and completes the preview.
func (f *fixture) preview(items []revocation.Item) revocation.Job {
	f.Helper()
	job := f.bulk(items, withPreview(time.Hour))
	f.predict(job.Account)
	f.state(job, revocation.JobPreviewed)
	return *f.job(job)
}

// confirm confirms a job with the number that its preview names.
func (f *fixture) confirm(job revocation.Job) {
	f.Helper()
	_, err := f.ChangeJob(f.Context(), job.Account, job.ID, confirmation(job))
	f.must(err)
}

func confirmation(job revocation.Job) revocation.JobChange {
	return revocation.JobChange{
		Kind: revocation.ChangeConfirm, By: revocation.ByKey(apiKey), Count: job.Preview.Predicted.Confirmable(),
	}
}

// predictions returns the predicted outcomes of a job's items in the order of their rows.
func (f *fixture) predictions(job revocation.Job) []revocation.Status {
	f.Helper()
	results := f.results(job)
	all := make([]revocation.Status, len(results))
	for i, r := range results {
		all[i] = r.Predicted
	}
	return all
}

// finishJob carries out the account's jobs until no job is left. Items that wait for others are due again at once.
func (f *fixture) finishJob(ctx context.Context, account string, job revocation.ID) (revocation.Job, error) {
	for range 100 {
		if _, err := f.drainJobs(ctx, account); err != nil {
			return revocation.Job{}, err
		}
		j, err := f.Job(ctx, account, job)
		if err != nil || j.Ended() {
			return j, err
		}
	}
	return revocation.Job{}, errors.New("the job does not end")
}
