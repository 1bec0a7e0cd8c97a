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

// The classes of work. Each has a queue of its own, and in a worker a server with its own slots. Those that accounts
// take turns in are taskClasses.
const (
	queueSingle = "single"
	queueMail   = "mail"
)

// The types of tasks. A type's name carries the version of its payload, so that old and new workers can live
// side by side: a worker puts a task back that it does not know, and when no other takes it, the dispatcher sends its
// rows again. Within a version a payload may get more fields: those that a worker does not know are nothing to it.
const (
	typeRevocations   = "revocations:v1"
	typeNotifications = "notifications:v1"
)

const accountTaskPrefix = "turn-"

func accountTaskType(kind revocation.AccountTask) string {
	return accountTaskPrefix + string(kind) + ":v1"
}

func isAccountTask(taskType string) bool { return strings.HasPrefix(taskType, accountTaskPrefix) }

const (
	// maxRetry bounds asynq's own retries. They are for what could not even be recorded, mostly because the
	// database was away for a moment; the dispatcher finds the rest by its rows.
	maxRetry = 5
	// revocationsTimeout bounds a task of revocations: a few transactions.
	revocationsTimeout = time.Minute
	// notificationsTimeout bounds a task of emails. It is longer than a notifier takes from its first claim
	// to the last answer of a mail server, so that no message is cut off whose fate would be unknown then.
	notificationsTimeout = 5 * time.Minute
)

// outcomesChannel carries the ids of revocations that have something new to read.
const outcomesChannel = "rescind:outcomes"

// asynqKey is the key of what asynq keeps of a queue. Its documentation does not promise them; were they to change,
// the tests here would fail.
func asynqKey(queue, what string) string { return "asynq:{" + queue + "}:" + what }

// wakeChannel is where a queue's idle workers are told that there is a task.
func wakeChannel(queue string) string { return "rescind:wake:" + queue }

// payload is what a task carries: its items grouped by account, so that an account's id is written once. Origin is
// what the task follows from, for those who trace; a worker that does not know it does without.
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
	Revocation string `json:"revocation"`
	Claims     int    `json:"claims,omitempty"`
	Epoch      int    `json:"epoch,omitempty"`
}

var errPayload = errors.New("the payload cannot be read")

// revocationsTask makes the task of a batch that is not empty.
func revocationsTask(origin string, dispatchCount int, batch []revocation.Ref) (*asynq.Task, error) {
	data, err := write(origin, batch, func(r revocation.Ref) (string, revocationItem) {
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

// notificationsTask makes the task of a batch that is not empty.
func notificationsTask(origin string, batch []revocation.NotificationRef) (*asynq.Task, error) {
	data, err := write(origin, batch, func(r revocation.NotificationRef) (string, notificationItem) {
		return r.Account, notificationItem{Revocation: r.Revocation.String(), Claims: r.Claims, Epoch: r.DispatchCount}
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
			Account: account, Revocation: id, Claims: item.Claims, DispatchCount: item.Epoch,
		}, ok
	})
}

func write[Ref, Item any](origin string, batch []Ref, split func(Ref) (account string, item Item)) ([]byte, error) {
	p := payload[Item]{TraceParent: origin}
	at := make(map[string]int)
	for _, ref := range batch {
		account, item := split(ref)
		i, ok := at[account]
		if !ok {
			i = len(p.Accounts)
			at[account] = i
			p.Accounts = append(p.Accounts, accountItems[Item]{Account: account})
		}
		p.Accounts[i].Items = append(p.Accounts[i].Items, item)
	}
	return json.Marshal(p)
}

// work is what was read of a task.
type work[Ref any] struct {
	batch       []Ref
	traceParent string
}

// read gives the batch of a payload, its accounts one after the other. Its error never quotes the payload.
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
