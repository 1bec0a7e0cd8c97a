package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"rescind/internal/revocation"
)

// taskClass holds the parameters of one kind of account tasks.
type taskClass struct {
	queue string
	// perAccount is how many tasks an account has in Redis at most, pending and active together.
	perAccount int
	// slots is how many tasks a worker runs at once by default.
	slots int
	// length is the time after which Yield asks a task to end even if no other task waits. It makes a finite timeout
	// possible that cancels only a task that hangs. ending is how long the last step may take after that.
	length, ending time.Duration
}

var taskClasses = map[revocation.AccountTask]taskClass{
	// A step is a batch of due items and a chunk.
	revocation.JobsTask: {queue: "bulk", perAccount: 4, slots: 2, length: accountTaskLength, ending: 2 * revocationsTimeout},
	// A step is a group of calls. With one task at a time, an account's limits hold for all workers together. There are
	// many slots, so that accounts with a slow upstream do not delay others. Between the end of a task's length and
	// the end of its last call no call begins, so the length is long.
	revocation.UpstreamTask: {queue: "upstream", perAccount: 1, slots: 64, length: 10 * time.Minute, ending: revocationsTimeout},
	// A step is a batch of emails.
	revocation.MailTask: {queue: "bulkmail", perAccount: 4, slots: 4, length: accountTaskLength, ending: notificationsTimeout},
}

const (
	// accountTaskLength is the length of tasks whose steps are short.
	accountTaskLength = 30 * time.Second

	// deadWorkerSilence is how old the last heartbeat of a worker must be before the worker counts as dead.
	deadWorkerSilence = 12 * time.Second

	// missingBatch bounds the ids of one run of the script, because Redis runs nothing else meanwhile.
	missingBatch = 1000
	// concurrentSends is how many tasks are sent at once. It matters only after Redis was emptied.
	concurrentSends = 8
)

// EnqueueAccountTasks ensures that each account has all its tasks of a kind pending or active. The ids of the tasks are
// fixed, so a task that exists is not added again, however often the method is called. One round trip checks up to a
// thousand ids. Accounts alternate in the queue. It returns within 3 seconds, even if ctx has no deadline.
func (c *Client) EnqueueAccountTasks(ctx context.Context, kind revocation.AccountTask, accounts []string) error {
	class, ok := taskClasses[kind]
	if !ok {
		return fmt.Errorf("enqueue account tasks: no queue for the kind %q", kind)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := c.enqueueMissing(ctx, kind, class, accounts); err != nil {
		return fmt.Errorf("enqueue account tasks of %s: %w", kind, err)
	}
	return nil
}

// enqueueMissing enqueues the tasks that do not exist: the first task of every account, then the second, and so on.
func (c *Client) enqueueMissing(ctx context.Context, kind revocation.AccountTask, class taskClass, accounts []string) error {
	// The last tasks in the queue run until more are enqueued. The order is random, so that no account is always last.
	accounts = slices.Clone(accounts)
	rand.Shuffle(len(accounts), func(i, j int) { accounts[i], accounts[j] = accounts[j], accounts[i] })
	ids := make([]string, 0, class.perAccount*len(accounts))
	for n := range class.perAccount {
		for _, account := range accounts {
			ids = append(ids, fmt.Sprintf("%s:%s:%d", kind, account, n))
		}
	}
	missing := make([][]int, class.perAccount) // indexes of ids, by the number of the task
	for first := 0; first < len(ids); first += missingBatch {
		found, err := c.missingTasks(ctx, class.queue, ids[first:min(first+missingBatch, len(ids))], deadWorkerSilence)
		if err != nil {
			return err
		}
		for _, i := range found {
			i := first + int(i)
			missing[i/len(accounts)] = append(missing[i/len(accounts)], i)
		}
	}
	traceParent := revocation.TraceParent(ctx)
	for _, indexes := range missing {
		sends, ctx := errgroup.WithContext(ctx)
		sends.SetLimit(concurrentSends)
		for _, i := range indexes {
			sends.Go(func() error {
				return c.send(ctx, newAccountTask(traceParent, kind, class, accounts[i%len(accounts)], ids[i]))
			})
		}
		if err := sends.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// traceParentHeader is the header with the trace context of the request that led to a task. A worker may ignore it. Its name
// stays, because earlier versions use it.
const traceParentHeader = "origin"

// newAccountTask returns a task that asynq does not retry: the dispatcher enqueues another for the account.
func newAccountTask(traceParent string, kind revocation.AccountTask, class taskClass, account, id string) *asynq.Task {
	var headers map[string]string
	if traceParent != "" {
		headers = map[string]string{traceParentHeader: traceParent}
	}
	return asynq.NewTaskWithHeaders(accountTaskType(kind), []byte(account), headers,
		asynq.Queue(class.queue), asynq.MaxRetry(0), asynq.Timeout(class.length+class.ending), asynq.TaskID(id))
}

func readAccountTask(data []byte) (account string, err error) {
	if len(data) == 0 {
		return "", errPayload
	}
	return string(data), nil
}
