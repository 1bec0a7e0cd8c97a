package main

import (
	"errors"
	"fmt"
	"net/mail"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"rescind/internal/invites"
	"rescind/internal/revocation"
)

type accountSetCommand struct {
	database
	ID            string  `arg:"" help:"1 to 64 letters, digits, dots, dashes and underscores."`
	Name          *string `placeholder:"COMPANY" help:"The company's name, as candidates know it."`
	Contact       *string `placeholder:"EMAIL" help:"The email address that candidates may write to; empty for none."`
	PlanChangedAt *string `placeholder:"RFC3339|none" help:"The latest plan change: invites sent before it may not be revoked."`
	accountSettings

	UpstreamURL         *string  `name:"upstream-url" placeholder:"URL|none" help:"The base URL of the platform that has the account's invites; none: this service's database has them."`
	UpstreamKeyFile     *string  `name:"upstream-key-file" placeholder:"FILE" help:"A file with the account's API key there; - is standard input. The key is stored encrypted with SECRETS_KEY."`
	UpstreamRate        *float64 `name:"upstream-rate" placeholder:"N" help:"The most calls a second; 0: no limit."`
	UpstreamConcurrency *int     `name:"upstream-concurrency" placeholder:"N" help:"The most calls at once, 1 to 1024; 8 by default."`
}

// Run creates the account, or changes the settings that the flags name.
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
		name := invites.WithoutControls(*c.Name)
		if utf8.RuneCountInString(name) > invites.MaxName {
			return fmt.Errorf("--name: at most %d characters", invites.MaxName)
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
	if err := c.change(&change); err != nil {
		return err
	}
	up, err := c.upstream(p)
	if err != nil {
		return err
	}
	change.Upstream = up
	err = c.withStore(p.ctx, func(s adminStore) error {
		accounts, err := s.Accounts(p.ctx)
		if err != nil {
			return err
		}
		if err := checkSpare(accounts, &change); err != nil {
			return err
		}
		return s.SetAccount(p.ctx, change)
	})
	if up != nil && revocation.ErrorCode(err) == revocation.CodeInvalid {
		return errors.New("the account has no upstream: it needs both --upstream-url and --upstream-key-file the first time")
	}
	if err != nil {
		return err
	}
	p.say("Account %s is set.", c.ID)
	return nil
}

type accountListCommand struct {
	database
}

// Run prints a table with a line for each account.
func (c *accountListCommand) Run(p *process) error {
	return c.withStore(p.ctx, func(s adminStore) error {
		accounts, err := s.Accounts(p.ctx)
		if err != nil {
			return err
		}
		return p.table("ACCOUNT\tNAME\tCONTACT\tPLAN CHANGED AT\tSETTINGS\tPLATFORM", len(accounts), func(i int) []any {
			a := accounts[i]
			return []any{a.ID, a.Name, a.Contact, timeOrDash(a.PlanChangedAt), settingsText(a.AccountSettings), platform(a.Upstream)}
		})
	})
}

// table prints rows under a heading of tab-separated columns.
func (p *process) table(heading string, rows int, row func(int) []any) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, heading) // a tabwriter returns its error from Flush
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

// say prints a message on standard error. Standard output is for results only.
func (p *process) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.stderr, format+"\n", args...)
}

// counted returns a number with the words for one, or for any other number.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

// parseTime parses a time. It refuses years that do not have four digits in every time zone.
func parseTime(s string) (time.Time, error) {
	t, ok := revocation.ParseTime(s)
	if !ok || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		return time.Time{}, errTime
	}
	return t, nil
}

var errTime = errors.New("write it like 2025-01-15T10:32:45Z, from 1970 on")
