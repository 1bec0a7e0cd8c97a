package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rescind/internal/client"
)

type revokeCommand struct {
	ReportID   *int64        `arg:"" optional:"" name:"report_id" help:"The id of the invite in the account."`
	Email      *string       `placeholder:"ADDRESS" help:"Instead of REPORT_ID: revoke all invites to this address that are not revoked. It shows them and asks first; if all are revoked already, it says so. The key needs the scopes revoke, read and invites."`
	Assessment *string       `placeholder:"NAME" help:"With --email: only the invites to the assessment with this name."`
	Yes        bool          `help:"With --email: do not ask."`
	Notify     bool          `help:"Email the candidate when the invite is revoked."`
	Wait       time.Duration `default:"5s" help:"How long to wait for the outcome. The service continues afterwards."`
	wishFlags
}

// Validate implements kong's check of arguments.
func (c *revokeCommand) Validate() error {
	switch {
	case c.ReportID == nil && c.Email == nil:
		return errors.New("name the invite by its REPORT_ID, or the candidate with --email ADDRESS")
	case c.ReportID != nil && c.Email != nil:
		return errors.New("REPORT_ID is one invite, and --email selects all of a candidate: use one of them")
	case c.Email == nil && (c.Assessment != nil || c.Yes):
		return errors.New("--assessment and --yes go with --email: leave them out, or use --email instead of REPORT_ID")
	case c.ReportID != nil && *c.ReportID < 1:
		return errors.New("REPORT_ID must be from 1 to 9223372036854775807")
	case c.Wait < 0:
		return errors.New("--wait must be 0s or longer")
	}
	return notEmpty(map[string]*string{"--email": c.Email, "--assessment": c.Assessment})
}

// Run revokes the invite, or the invites that are selected.
func (c *revokeCommand) Run(p *process) error {
	if c.Email != nil {
		return c.revokeSelected(p)
	}
	return c.revokeOne(p)
}

// revokeOne submits the revocation and polls it until it is final or c.Wait has passed.
func (c *revokeCommand) revokeOne(p *process) error {
	deadline := time.Now().Add(c.Wait)
	revoked, err := p.client.Revoke(p.ctx, client.Submission{ReportID: *c.ReportID, Notify: c.Notify, Wishes: c.wishes()}, c.Wait)
	if p.ctx.Err() != nil && err != nil {
		return errors.New("stopped: the revocation may have been accepted, and is then carried out; run the same command again to see the outcome")
	}
	if err != nil {
		return err
	}
	for !revoked.Final && time.Until(deadline) > 0 {
		if revoked.Waits() && revoked.NextAttemptAt.After(deadline) {
			break
		}
		newer, err := p.client.Revocation(p.ctx, revoked.ID, time.Until(deadline))
		if p.ctx.Err() != nil {
			break // the service has accepted the revocation and continues
		}
		if err != nil {
			return fmt.Errorf("it is accepted as %s, but its outcome cannot be read: %w", revoked.ID, err)
		}
		revoked = newer
	}
	if p.json {
		err = p.body(revoked.Body)
	} else {
		err = p.print("%s\n", formatRevocation(revoked))
	}
	if err == nil && !revoked.Status.Good() && !revoked.Waits() {
		err = errOutcome
	}
	return err
}

// revokeSelected makes a job of the invites, has it confirmed, and waits up to c.Wait for its end. It does not wait for a job
// that begins later than that. It is a success if all invites that match are revoked already.
func (c *revokeCommand) revokeSelected(p *process) error {
	job, err := p.client.NewSelectedJob(p.ctx, client.SelectedJob{
		Select: c.selection(), Notify: c.Notify, Wishes: c.wishes(),
	})
	if selectsNothing(err) {
		return c.nothingSelected(p, err)
	}
	if err != nil {
		return err
	}
	job, continues, err := p.decidePreview(job, c.Yes, p.asker(false), false)
	if !continues {
		return err
	}
	deadline := time.Now().Add(c.Wait)
	if job.Ended() || job.State == client.JobScheduled && (job.NotBefore == nil || job.NotBefore.After(deadline)) {
		return p.accepted(job, false)
	}
	ctx, cancel := context.WithDeadline(p.ctx, deadline)
	defer cancel()
	return p.follow(ctx, job)
}

func (c *revokeCommand) selection() client.Selection {
	s := client.Selection{Emails: []string{*c.Email}}
	if c.Assessment != nil {
		s.Assessment = *c.Assessment
	}
	return s
}

// selectsNothing reports whether err means that no invite matches a selection that is not revoked.
func selectsNothing(err error) bool {
	problem, ok := errors.AsType[*client.Problem](err)
	return ok && slices.ContainsFunc(problem.Errors, func(f client.Fault) bool { return f.Code == "no_match" })
}

// nothingSelected prints that the invites are revoked already, for example by the same command before. If there are none, or
// if this cannot be found out, it returns refused, which is the error of the selection.
func (c *revokeCommand) nothingSelected(p *process, refused error) error {
	selected := c.selection()
	search := client.InviteSearch{Email: *c.Email, Assessment: selected.Assessment, Limit: pageSize}
	found := 0
	var bodies [][]byte
	for {
		page, err := p.client.SearchInvites(p.ctx, search)
		if err != nil {
			return refused
		}
		for _, invite := range page.Data {
			if invite.RevokedAt == nil {
				return refused // it was imported after the selection
			}
		}
		found += len(page.Data)
		bodies = append(bodies, page.Body)
		if page.NextCursor == nil {
			break
		}
		search.Cursor = *page.NextCursor
	}
	switch {
	case found == 0:
		return refused
	case p.json:
		return p.body(bytes.Join(bodies, []byte("\n")))
	case found == 1:
		return p.print("The invite that matches has already been revoked.\n")
	default:
		return p.print("All %d invites that match have already been revoked.\n", found)
	}
}

type cancelCommand struct {
	ID string `arg:"" help:"The id of a revocation that was submitted singly and is not final: rescind revoke prints it in brackets."`
}

// Run cancels the revocation.
func (c *cancelCommand) Run(p *process) error {
	cancelled, err := p.client.CancelRevocation(p.ctx, c.ID)
	if err != nil {
		return err
	}
	if p.json {
		return p.body(cancelled.Body)
	}
	return p.print("%s\n", formatRevocation(cancelled))
}

// formatRevocation returns the state of a revocation in a line.
func formatRevocation(r client.Revocation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Report %d: %s. %s", r.ReportID, r.Status, sentence(r.Message))
	if r.Timestamp != "" {
		fmt.Fprintf(&b, " The plan changed at %s.", r.Timestamp)
	}
	if r.LastError != nil {
		fmt.Fprintf(&b, " %s", sentence(r.LastError.Detail))
	}
	switch {
	case r.Final:
	case r.Waits():
		fmt.Fprintf(&b, " It is carried out at %s. Take it back until then: rescind cancel %s.", formatTime(*r.NextAttemptAt), r.ID)
	default:
		if r.NextAttemptAt != nil {
			fmt.Fprintf(&b, " The next attempt is at %s.", r.NextAttemptAt.Local().Format(time.TimeOnly))
		}
		b.WriteString(" The service continues; run the same command again to see the outcome.")
	}
	if r.Notification.Status != client.NotificationNotRequested {
		fmt.Fprintf(&b, " Email: %s.", r.Notification.Status)
	}
	fmt.Fprintf(&b, " [%s]", r.ID)
	return printable(b.String())
}
