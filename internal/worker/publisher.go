package worker

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"rescind/internal/revocation"
)

// publisher passes on what a transaction has done.
type publisher struct {
	queue    revocation.Queue
	outcomes revocation.Outcomes
	log      *slog.Logger
	observer Observer
}

// afterCommit wakes those who wait, first of all, and sends on their way the emails and what others have to do. All of it may
// fail: the rows are written. The end of ctx does not break it off.
func (m publisher) afterCommit(ctx context.Context, done revocation.BatchResult) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	ids := slices.Clone(done.Ended)
	var mails []revocation.NotificationRef
	turns := make(map[revocation.AccountTask]map[string]struct{}, 2) // accounts
	for _, d := range done.Decisions {
		if d.Kind == revocation.RouteUpstream {
			add(turns, revocation.UpstreamTask, d.Account)
		}
		if !d.Attempted() {
			continue
		}
		ids = append(ids, d.ID)
		switch {
		case d.EmailStatus() != revocation.NotificationPending:
		case d.Job.IsZero():
			mails = append(mails, revocation.NotificationRef{Account: d.Account, Revocation: d.ID})
		default:
			add(turns, revocation.MailTask, d.Account)
		}
	}
	m.publish(ctx, ids)
	for task := range slices.Chunk(mails, maxMailBatch) {
		if err := m.queue.EnqueueNotifications(ctx, task); err != nil {
			m.log.Warn("emails not enqueued: left to the dispatcher", "count", len(task), "error", err)
		}
	}
	for turn, accounts := range turns {
		m.enqueueTurns(ctx, turn, slices.Collect(maps.Keys(accounts)))
	}
	m.observer.Decided(done.Decisions)
	for _, d := range done.Decisions {
		if d.Attempted() {
			m.log.LogAttrs(ctx, slog.LevelInfo, "attempt ended", slog.Any("", d)) // without a name, its attributes stand by themselves
		}
	}
}

func add(turns map[revocation.AccountTask]map[string]struct{}, turn revocation.AccountTask, account string) {
	if turns[turn] == nil {
		turns[turn] = make(map[string]struct{})
	}
	turns[turn][account] = struct{}{}
}

func (m publisher) publish(ctx context.Context, ids []revocation.ID) {
	if len(ids) == 0 {
		return
	}
	if err := m.outcomes.Publish(ctx, ids); err != nil {
		m.log.Warn("outcomes not published: those who wait will read them late", "count", len(ids), "error", err)
	}
}

func (m publisher) enqueueTurns(ctx context.Context, turn revocation.AccountTask, accounts []string) {
	if err := m.queue.EnqueueAccountTasks(ctx, turn, accounts); err != nil {
		m.log.Warn("turns not enqueued: left to the dispatcher", "kind", string(turn), "count", len(accounts), "error", err)
	}
}
