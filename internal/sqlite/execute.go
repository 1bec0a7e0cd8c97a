package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// CarryOut implements revocation.ExecutionStore. No row is contended or locked in SQLite.
func (s *Store) CarryOut(ctx context.Context, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	return s.decideAndWrite(ctx, "carry out", refs, true, decide)
}

// RecordOutcomes implements revocation.ExecutionStore.
func (s *Store) RecordOutcomes(ctx context.Context, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	return s.decideAndWrite(ctx, "record outcomes", refs, false, decide)
}

func (s *Store) decideAndWrite(
	ctx context.Context, doing string, refs []revocation.Ref, invites bool, decide func([]revocation.LockedRevocation) []revocation.Decision,
) (revocation.BatchResult, error) {
	var done revocation.BatchResult
	err := s.write(ctx, doing, func(tx *sql.Tx, now time.Time) error {
		work, withEvents, err := readWork(ctx, tx, now, refs, invites)
		if err != nil || len(work) == 0 {
			return err
		}
		if invites {
			if err := readPredictions(ctx, tx, work); err != nil {
				return err
			}
		}
		done.Decisions = decide(work)
		if err := writeDecisions(ctx, tx, now, done.Decisions); err != nil {
			return err
		}
		if done.Ended, err = addCounts(ctx, tx, now, revocation.CountDecisions(done.Decisions)); err != nil {
			return err
		}
		var finished []revocation.Event
		for _, d := range done.Decisions {
			if withEvents[d.Account] {
				finished = append(finished, revocation.FinishedSingles([]revocation.Decision{d})...)
			}
		}
		return addEvents(ctx, tx, now, finished...)
	})
	if err != nil {
		return revocation.BatchResult{}, err
	}
	return done, nil
}

type refRow struct {
	rowKey
	Attempt int `json:"attempt"`
}

// readWork reads the work items of refs that are not stale, in the order of their invites' keys, with the facts that the rule
// needs. withEvents contains the accounts with events for single revocations.
func readWork(ctx context.Context, tx *sql.Tx, now time.Time, refs []revocation.Ref, invites bool) (work []revocation.LockedRevocation, withEvents map[string]bool, err error) {
	rows := make([]refRow, len(refs))
	for i, ref := range refs {
		rows[i] = refRow{keyOf(ref.Account, ref.ID), ref.Attempt}
	}
	withEvents = make(map[string]bool)
	scan := func(rows *sql.Rows) (revocation.LockedRevocation, error) {
		var singleEvents bool
		h, err := scanWork(rows, &singleEvents)
		if singleEvents {
			withEvents[h.Account] = true
		}
		return h, err
	}
	work, err = query(ctx, tx, scan, `
		SELECT o.account_id, o.revocation_id, o.attempt, o.report_id, o.notify, o.dispatch_count,
		       o.job_id, coalesce(j.state = 'CANCELLING', 0) AND NOT o.in_doubt, o.in_doubt,
		       a.upstream_url IS NOT NULL, a.plan_changed_at, a.spare_started, i.sent_at,
		       `+inviteFlags+`, a.single_events
		FROM work_items AS o
		JOIN accounts AS a ON a.account_id = o.account_id
		LEFT JOIN jobs AS j ON j.account_id = o.account_id AND j.id = o.job_id
		LEFT JOIN invites AS i ON :invites AND i.account_id = o.account_id AND i.report_id = o.report_id
		WHERE (o.account_id, o.revocation_id, o.attempt) IN
		      (SELECT value ->> 'account', value ->> 'id', value ->> 'attempt' FROM json_each(:refs))
		  AND `+notWaiting+`
		ORDER BY o.account_id, o.report_id, o.revocation_id`,
		sql.Named("invites", invites), sql.Named("refs", parameter(rows)), sql.Named("now", micros(now)))
	return work, withEvents, err
}

func scanWork(rows *sql.Rows, singleEvents *bool) (h revocation.LockedRevocation, err error) {
	var planChangedAt sql.Null[int64]
	var state scannedInvite
	err = rows.Scan(&h.Account, scannedID{&h.ID}, &h.Attempt, &h.ReportID, &h.Notify, &h.DispatchCount,
		optionalID{&h.Job}, &h.Cancelled, &h.InDoubt, &h.Upstream, &planChangedAt, &h.SpareStarted,
		&state.sentAt, &state.flags, singleEvents)
	h.PlanChangedAt, h.Invite = moment(planChangedAt), state.invite()
	return h, err
}

// scannedInvite contains the facts about an invite, which may not exist. flags has two facts in one column, see inviteFlags,
// because each column of a long chunk takes measurable time.
type scannedInvite struct {
	sentAt, flags sql.Null[int64]
}

const (
	inviteRevoked = 1
	inviteStarted = 2
	inviteFlags   = `(i.revoked_at IS NOT NULL) + 2 * (i.state <> 'PENDING')`
)

// invite returns nil if the invite does not exist.
func (s *scannedInvite) invite() *revocation.InviteState {
	if !s.sentAt.Valid {
		return nil
	}
	return &revocation.InviteState{
		SentAt: moment(s.sentAt), Revoked: s.flags.V&inviteRevoked != 0, Started: s.flags.V&inviteStarted != 0,
	}
}
