package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"rescind/internal/client"
)

type revokeCommand struct {
	ReportID int64         `arg:"" name:"report_id" help:"Names the invite within the account."`
	Notify   bool          `help:"Tell the candidate by email."`
	Wait     time.Duration `default:"5s" help:"How long to wait for the outcome; it goes on by itself afterwards."`
}

// Validate is called with the arguments.
func (c *revokeCommand) Validate() error {
	if c.ReportID < 1 {
		return errors.New("REPORT_ID must be from 1 to 9223372036854775807")
	}
	if c.Wait < 0 {
		return errors.New("--wait must be 0s or longer")
	}
	return nil
}

// Run submits the revocation and asks for its outcome until that is final or the wait is over.
func (c *revokeCommand) Run(p *process) error {
	deadline := time.Now().Add(c.Wait)
	revoked, err := p.client.Revoke(p.ctx, client.Submission{ReportID: c.ReportID, Notify: c.Notify}, c.Wait)
	if p.ctx.Err() != nil && err != nil {
		return errors.New("stopped; it may have been accepted already and goes on then: the same command tells")
	}
	if err != nil {
		return err
	}
	for !revoked.Final && time.Until(deadline) > 0 {
		newer, err := p.client.Revocation(p.ctx, revoked.ID, time.Until(deadline))
		if p.ctx.Err() != nil {
			break // it is accepted and goes on
		}
		if err != nil {
			return fmt.Errorf("it is accepted as %s, but its outcome cannot be asked for: %w", revoked.ID, err)
		}
		revoked = newer
	}
	if p.json {
		err = p.body(revoked.Body)
	} else {
		err = p.print("%s\n", tellRevocation(revoked))
	}
	if err == nil && !revoked.Status.Good() {
		err = errOutcome
	}
	return err
}

// tellRevocation says in a line what has become of a revocation.
func tellRevocation(r client.Revocation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Report %d: %s. %s", r.ReportID, r.Status, sentence(r.Message))
	if r.Timestamp != "" {
		fmt.Fprintf(&b, " The plan changed at %s.", r.Timestamp)
	}
	if r.LastError != nil {
		fmt.Fprintf(&b, " %s", sentence(r.LastError.Detail))
	}
	if !r.Final {
		if r.NextAttemptAt != nil {
			fmt.Fprintf(&b, " The next attempt is at %s.", r.NextAttemptAt.Local().Format(time.TimeOnly))
		}
		b.WriteString(" It goes on by itself; the same command asks again.")
	}
	if r.Notification.Status != client.NotificationNotRequested {
		fmt.Fprintf(&b, " Email: %s.", r.Notification.Status)
	}
	fmt.Fprintf(&b, " [%s]", r.ID)
	return printable(b.String())
}
