package main

import (
	"fmt"
	"net/mail"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"rescind/internal/revocation"
)

type accountSetCommand struct {
	database
	ID            string  `arg:"" help:"1 to 64 letters, digits, dots, dashes and underscores."`
	Name          *string `placeholder:"COMPANY" help:"The company's name, as its candidates know it."`
	Contact       *string `placeholder:"EMAIL" help:"The address that candidates may write to; empty for none."`
	PlanChangedAt *string `placeholder:"RFC3339|none" help:"The latest plan change: invites sent before it may not be revoked."`
}

// Run creates the account or changes what the flags name.
func (c *accountSetCommand) Run(p *process) error {
	if !revocation.ValidAccountID(c.ID) {
		return fmt.Errorf("account ID: 1 to %d letters, digits, dots, dashes and underscores are allowed, a letter or a digit first", revocation.MaxAccountID)
	}
	if c.Contact != nil && *c.Contact != "" {
		if a, err := mail.ParseAddress(*c.Contact); err != nil || a.Address != *c.Contact {
			return fmt.Errorf("--contact: not an email address")
		}
	}
	if c.Name != nil {
		name := withoutControls(*c.Name)
		if utf8.RuneCountInString(name) > maxText {
			return fmt.Errorf("--name: at most %d characters", maxText)
		}
		c.Name = &name
	}
	change := revocation.AccountChange{ID: c.ID, Name: c.Name, Contact: c.Contact}
	if c.PlanChangedAt != nil {
		change.PlanChangedAt = &time.Time{}
		if *c.PlanChangedAt != "none" {
			at, err := parseTime(*c.PlanChangedAt)
			if err != nil {
				return fmt.Errorf("--plan-changed-at: %w, or none", err)
			}
			change.PlanChangedAt = &at
		}
	}
	err := c.withStore(p.ctx, func(s adminStore) error { return s.SetAccount(p.ctx, change) })
	if err != nil {
		return err
	}
	p.say("Account %s is set.", c.ID)
	return nil
}

type accountListCommand struct {
	database
}

// Run prints a table with a line an account.
func (c *accountListCommand) Run(p *process) error {
	return c.withStore(p.ctx, func(s adminStore) error {
		accounts, err := s.Accounts(p.ctx)
		if err != nil {
			return err
		}
		return p.table("ACCOUNT\tNAME\tCONTACT\tPLAN CHANGED AT\tPLATFORM", len(accounts), func(i int) []any {
			a := accounts[i]
			return []any{a.ID, a.Name, a.Contact, timeOrDash(a.PlanChangedAt), "database"}
		})
	})
}

// table prints rows under a heading of tab-separated columns.
func (p *process) table(heading string, rows int, row func(int) []any) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, heading) // a tabwriter keeps its error for Flush
	for i := range rows {
		for j, cell := range row(i) {
			if j > 0 {
				_, _ = fmt.Fprint(w, "\t")
			}
			_, _ = fmt.Fprint(w, cell)
		}
		_, _ = fmt.Fprintln(w)
	}
	return w.Flush()
}

// say tells the person at the terminal how a command went; standard output is kept for its result.
func (p *process) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.stderr, format+"\n", args...)
}

func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}
