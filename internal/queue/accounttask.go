package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rescind/internal/revocation"
)

// taskClass is a class of work that accounts take turns in.
type taskClass struct {
	queue string
	// tokens is how many turns an account has in Redis at most, waiting and under way together.
	tokens int
	// slots is how many turns a worker carries out at once unless it is told otherwise.
	slots int
	// length is after what time a turn is asked to end even if nobody waits, so that the timeout of its task can be
	// finite and still cuts off only what hangs. ending is what the last step of a turn may take then.
	length, ending time.Duration
}

var taskClasses = map[revocation.AccountTask]taskClass{
	// A step is a batch of due items and a chunk.
	revocation.JobsTask: {queue: "bulk", tokens: 4, slots: 2, length: accountTaskLength, ending: 2 * revocationsTimeout},
	// A step is a group of calls. One turn at a time keeps an account's limits for all workers together, and the
	// turns of those whose upstream is slow must not be in the way of others. No call begins from the end of a turn's
	// time until the last of its calls has ended, so that time is long.
	revocation.UpstreamTask: {queue: "upstream", tokens: 1, slots: 64, length: 10 * time.Minute, ending: revocationsTimeout},
	// A step is a batch of emails.
	revocation.MailTask: {queue: "bulkmail", tokens: 4, slots: 4, length: accountTaskLength, ending: notificationsTimeout},
}

const (
	// accountTaskLength is the length of a turn where a step is short.
	accountTaskLength = 30 * time.Second

	// tokenSilence is how long the worker of a turn must have given no sign of life to count as dead. asynq gives
	// one every 5 s.
	tokenSilence = 12 * time.Second
	// leaseLength is asynq's: a lease ends that long after the last sign of life.
	leaseLength = 30 * time.Second

	// tokenBatch bounds the ids of a script, which holds up everyone else in Redis.
	tokenBatch = 1000
	// tokenSenders is how many tasks are sent at once: it matters only after Redis was emptied.
	tokenSenders = 8
)

// missingTasks finds among the ids of a class those that can be enqueued, and gives their indexes. Those that are there
// already wait, or are under way; but two kinds of them would only be in the way of their account, and are deleted:
//
//   - What asynq has archived, because its time or its lease was over.
//   - What a dead worker held. asynq waits for 60 to 120 s before it takes that back, and a worker that was killed
//     may have held all the turns of an account. Ids that change with time would be a way around it without
//     knowing asynq's keys, but each of them would be one more turn in Redis whenever the workers are behind.
//
// If the worker was only cut off, or its clock is far behind, its turn goes on beside the new one, which costs some
// fairness and no more.
var missingTasks = redis.NewScript(`
local active, lease, archived = KEYS[1], KEYS[2], KEYS[3]
local prefix, dead = ARGV[1], tonumber(ARGV[2])
local found = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local state = redis.call('HGET', prefix .. id, 'state')
  if state == 'active' then
    if tonumber(redis.call('ZSCORE', lease, id) or '0') < dead then
      redis.call('LREM', active, 0, id)
      redis.call('ZREM', lease, id)
      redis.call('DEL', prefix .. id)
      state = false
    end
  elseif state == 'archived' then
    redis.call('ZREM', archived, id)
    redis.call('DEL', prefix .. id)
    state = false
  end
  if not state then
    found[#found + 1] = i - 3
  end
end
return found
`)

// EnqueueAccountTasks sees to it that each account has all its turns of a kind waiting or under way: a few tasks of fixed
// names, so that those which are there are not added, however often it is called; finding them costs one round trip
// for up to a thousand. Accounts alternate in the queue. It returns within sendTimeout, also when ctx has no deadline.
func (c *Client) EnqueueAccountTasks(ctx context.Context, kind revocation.AccountTask, accounts []string) error {
	class, ok := taskClasses[kind]
	if !ok {
		return fmt.Errorf("enqueue turns: no queue for the kind %q", kind)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := c.fill(ctx, kind, class, accounts); err != nil {
		return fmt.Errorf("enqueue turns of %s: %w", kind, err)
	}
	return nil
}

// fill enqueues the turns that are not there: the first ones of all accounts, then the second ones, and so on.
func (c *Client) fill(ctx context.Context, kind revocation.AccountTask, class taskClass, accounts []string) error {
	// The last turns in the queue go on until more are enqueued, and that should befall all accounts alike.
	accounts = slices.Clone(accounts)
	rand.Shuffle(len(accounts), func(i, j int) { accounts[i], accounts[j] = accounts[j], accounts[i] })
	ids := make([]string, 0, class.tokens*len(accounts))
	for token := range class.tokens {
		for _, account := range accounts {
			ids = append(ids, fmt.Sprintf("%s:%s:%d", kind, account, token))
		}
	}
	missing := make([][]int, class.tokens) // of each row of tokens, indexes of ids
	for first := 0; first < len(ids); first += tokenBatch {
		found, err := c.missingTasks(ctx, class.queue, ids[first:min(first+tokenBatch, len(ids))])
		if err != nil {
			return err
		}
		for _, i := range found {
			i := first + int(i)
			missing[i/len(accounts)] = append(missing[i/len(accounts)], i)
		}
	}
	origin := revocation.TraceParent(ctx)
	for _, row := range missing {
		sending, ctx := errgroup.WithContext(ctx)
		sending.SetLimit(tokenSenders)
		for _, i := range row {
			sending.Go(func() error {
				return c.send(ctx, newAccountTask(origin, kind, class, accounts[i%len(accounts)], ids[i]))
			})
		}
		if err := sending.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) missingTasks(ctx context.Context, queue string, ids []string) ([]int64, error) {
	dead := time.Now().Add(leaseLength - tokenSilence).Unix()
	args := make([]any, 0, 2+len(ids))
	args = append(args, asynqKey(queue, "t:"), dead)
	for _, id := range ids {
		args = append(args, id)
	}
	keys := []string{asynqKey(queue, "active"), asynqKey(queue, "lease"), asynqKey(queue, "archived")}
	return missingTasks.Run(ctx, c.redis, keys, args...).Int64Slice()
}

// traceParentHeader says what a turn follows from, for those who trace; a worker that does not know it does without.
const traceParentHeader = "origin"

// newAccountTask makes the task of a turn. It is not retried: the dispatcher gives the account another.
func newAccountTask(origin string, kind revocation.AccountTask, class taskClass, account, id string) *asynq.Task {
	var headers map[string]string
	if origin != "" {
		headers = map[string]string{traceParentHeader: origin}
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
