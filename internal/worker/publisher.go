package worker

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"rescind/internal/revocation"
)

// publisher publishes what a transaction has done and enqueues what follows from it.
type publisher struct {
	queue    revocation.Queue
	outcomes revocation.Outcomes
	log      *slog.Logger
	observer Observer
}

// afterCommit wakes the requests that wait for outcomes, enqueues emails and account tasks, and reports the decisions. Errors
// are only logged: the rows are written, and the dispatcher finds what was not enqueued. The end of ctx does not interrupt
// it.
func (p publisher) afterCommit(ctx context.Context, done revocation.BatchResult) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	ids := slices.Clone(done.Ended)
	var mails []revocation.NotificationRef
	tasks := make(map[revocation.AccountTask]map[string]struct{}, 2) // the accounts that need one
	for _, d := range done.Decisions {
		if d.Kind == revocation.RouteUpstream {
			add(tasks, revocation.UpstreamTask, d.Account)
		}
		if !d.HasStatus() {
			continue
		}
		ids = append(ids, d.ID)
		switch {
		case d.EmailStatus() != revocation.NotificationPending:
		case d.Job.IsZero():
			mails = append(mails, revocation.NotificationRef{Account: d.Account, Revocation: d.ID})
		default:
			add(tasks, revocation.MailTask, d.Account)
		}
	}
	p.publish(ctx, ids)
	for batch := range slices.Chunk(mails, maxMailBatch) {
		if err := p.queue.EnqueueNotifications(ctx, batch); err != nil {
			p.log.Warn("emails not enqueued: left to the dispatcher", "count", len(batch), "error", err)
		}
	}
	for kind, accounts := range tasks {
		p.enqueueAccountTasks(ctx, kind, slices.Collect(maps.Keys(accounts)))
	}
	p.observer.Decided(done.Decisions)
	for _, d := range done.Decisions {
		if d.HasStatus() {
			p.log.LogAttrs(ctx, slog.LevelInfo, "attempt ended", slog.Any("", d)) // a group without a name is inlined
		}
	}
}

func add(tasks map[revocation.AccountTask]map[string]struct{}, kind revocation.AccountTask, account string) {
	if tasks[kind] == nil {
		tasks[kind] = make(map[string]struct{})
	}
	tasks[kind][account] = struct{}{}
}

func (p publisher) publish(ctx context.Context, ids []revocation.ID) {
	if len(ids) == 0 {
		return
	}
	if err := p.outcomes.Publish(ctx, ids); err != nil {
		p.log.Warn("outcomes not published: waiting requests read them late", "count", len(ids), "error", err)
	}
}

func (p publisher) enqueueAccountTasks(ctx context.Context, kind revocation.AccountTask, accounts []string) {
	if err := p.queue.EnqueueAccountTasks(ctx, kind, accounts); err != nil {
		p.log.Warn("account tasks not enqueued: left to the dispatcher", "kind", string(kind), "count", len(accounts), "error", err)
	}
}
