package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"rescind/internal/revocation"
)

// The queues of single submissions and their emails. Each queue has its own server with its own slots in a worker.
// taskClasses has the queues of account tasks.
const (
	queueSingle = "single"
	queueMail   = "mail"
)

// The types of tasks. The name of a type has the version of its payload, so that old and new workers can run at the same
// time: a worker puts back a task of an unknown type, and if no other worker takes it, the dispatcher enqueues its rows
// again. A payload may get new fields within a version, because workers ignore fields that they do not know.
const (
	typeRevocations   = "revocations:v1"
	typeNotifications = "notifications:v1"
)

const accountTaskPrefix = "account-"

func accountTaskType(kind revocation.AccountTask) string {
	return accountTaskPrefix + string(kind) + ":v1"
}

func isAccountTask(taskType string) bool { return strings.HasPrefix(taskType, accountTaskPrefix) }

const (
	// maxRetry bounds asynq's own retries. They are for failures that could not be recorded, mostly because the database
	// was away for a short time. After the last one the dispatcher finds the rows.
	maxRetry = 5
	// revocationsTimeout bounds a task of revocations, which is a few transactions.
	revocationsTimeout = time.Minute
	// notificationsTimeout bounds a task of emails. It is longer than a notifier takes from its first claim to the last
	// answer of a mail server. If it ended before, it could not be known whether a message was sent.
	notificationsTimeout = 5 * time.Minute
)

// outcomesChannel is the channel for the ids of revocations that have changed.
const outcomesChannel = "rescind:outcomes"

// wakeChannel returns the channel on which the idle workers of a queue receive that there is a task.
func wakeChannel(queue string) string { return "rescind:wake:" + queue }

// payload is the payload of a task. The items are grouped by account, so that it has the id of an account only once.
// TraceParent is the trace context of the request that led to the task. A worker may ignore it. The JSON names "origin" and
// "epoch" stay, because earlier versions read and write them.
type payload[Item any] struct {
	TraceParent string               `json:"origin,omitempty"`
	Accounts    []accountItems[Item] `json:"accounts"`
}

type accountItems[Item any] struct {
	Account string `json:"account"`
	Items   []Item `json:"items"`
}

type revocationItem struct {
	ID      string `json:"id"`
	Attempt int    `json:"attempt,omitempty"`
}

type notificationItem struct {
	Revocation    string `json:"revocation"`
	Claims        int    `json:"claims,omitempty"`
	DispatchCount int    `json:"epoch,omitempty"`
}

var errPayload = errors.New("the payload cannot be read")

// revocationsTask returns the task for a batch, which must not be empty.
func revocationsTask(traceParent string, dispatchCount int, batch []revocation.Ref) (*asynq.Task, error) {
	data, err := write(traceParent, batch, func(r revocation.Ref) (string, revocationItem) {
		return r.Account, revocationItem{ID: r.ID.String(), Attempt: r.Attempt}
	})
	if err != nil {
		return nil, err
	}
	return asynq.NewTask(typeRevocations, data,
		asynq.Queue(queueSingle), asynq.MaxRetry(maxRetry), asynq.Timeout(revocationsTimeout),
		asynq.TaskID(fmt.Sprintf("%s:%d:%d", batch[0].ID, batch[0].Attempt, dispatchCount))), nil
}

func readRevocations(data []byte) (work[revocation.Ref], error) {
	return read(data, func(account string, item revocationItem) (revocation.Ref, bool) {
		id, ok := revocation.ParseID(item.ID)
		return revocation.Ref{Account: account, ID: id, Attempt: item.Attempt}, ok
	})
}

// notificationsTask returns the task for a batch, which must not be empty.
func notificationsTask(traceParent string, batch []revocation.NotificationRef) (*asynq.Task, error) {
	data, err := write(traceParent, batch, func(r revocation.NotificationRef) (string, notificationItem) {
		return r.Account, notificationItem{Revocation: r.Revocation.String(), Claims: r.Claims, DispatchCount: r.DispatchCount}
	})
	if err != nil {
		return nil, err
	}
	first := batch[0]
	return asynq.NewTask(typeNotifications, data,
		asynq.Queue(queueMail), asynq.MaxRetry(maxRetry), asynq.Timeout(notificationsTimeout),
		asynq.TaskID(fmt.Sprintf("%s:%d:%d", first.Revocation, first.Claims, first.DispatchCount))), nil
}

func readNotifications(data []byte) (work[revocation.NotificationRef], error) {
	return read(data, func(account string, item notificationItem) (revocation.NotificationRef, bool) {
		id, ok := revocation.ParseID(item.Revocation)
		return revocation.NotificationRef{
			Account: account, Revocation: id, Claims: item.Claims, DispatchCount: item.DispatchCount,
		}, ok
	})
}

// write returns a payload.
func write[Ref, Item any](traceParent string, batch []Ref, split func(Ref) (account string, item Item)) ([]byte, error) {
	p := payload[Item]{TraceParent: traceParent}
	indexes := make(map[string]int)
	for _, ref := range batch {
		account, item := split(ref)
		i, ok := indexes[account]
		if !ok {
			i = len(p.Accounts)
			indexes[account] = i
			p.Accounts = append(p.Accounts, accountItems[Item]{Account: account})
		}
		p.Accounts[i].Items = append(p.Accounts[i].Items, item)
	}
	return json.Marshal(p)
}

// work is the content of a payload.
type work[Ref any] struct {
	batch       []Ref
	traceParent string
}

// read parses a payload. The batch has the items of an account one after the other. The error never quotes the payload.
func read[Ref, Item any](data []byte, join func(account string, item Item) (Ref, bool)) (work[Ref], error) {
	var p payload[Item]
	if err := json.Unmarshal(data, &p); err != nil {
		return work[Ref]{}, errPayload
	}
	w := work[Ref]{traceParent: p.TraceParent}
	for _, group := range p.Accounts {
		for _, item := range group.Items {
			ref, ok := join(group.Account, item)
			if !ok {
				return work[Ref]{}, errPayload
			}
			w.batch = append(w.batch, ref)
		}
	}
	if len(w.batch) == 0 {
		return work[Ref]{}, errPayload
	}
	return w, nil
}
