package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rescind/internal/revocation"
)

// accountSettings are the flags for what an account's requests do. Each is nil if it is not given.
type accountSettings struct {
	Hold         *string `placeholder:"10m|0s" help:"How long nothing is begun after a submission, confirmation or approval: whole seconds, at most 24h; 0s: no hold."`
	ConfirmAbove *string `placeholder:"N|none" help:"Jobs with more items than this must be confirmed; none: no limit."`
	ApproveAbove *string `placeholder:"N|none" help:"Jobs with more items than this need the approval of another key; none: no limit."`
	Spare        *string `placeholder:"started|none" help:"started: the invites of candidates who have started are not revoked; none: they are."`
	MessageLinks *string `placeholder:"on|off" help:"Whether messages for candidates may contain web addresses."`
	SingleEvents *string `placeholder:"on|off" help:"Whether single revocations have events."`
}

// noLimit is the value that removes a limit, or a choice.
const noLimit = "none"

// change adds to an account's change what the flags name. The error names the flag.
func (s *accountSettings) change(c *revocation.AccountChange) (err error) {
	if s.Hold != nil {
		d, err := time.ParseDuration(*s.Hold)
		if err != nil || d < 0 || d > revocation.MaxHold || d%time.Second != 0 {
			return errors.New("--hold: write whole seconds, at most 24h, like 10m or 0s")
		}
		c.Hold = &d
	}
	if c.ConfirmAbove, err = parseLimit("--confirm-above", s.ConfirmAbove); err != nil {
		return err
	}
	if c.ApproveAbove, err = parseLimit("--approve-above", s.ApproveAbove); err != nil {
		return err
	}
	if c.SpareStarted, err = parseChoice("--spare", s.Spare, "started", noLimit); err != nil {
		return err
	}
	if c.MessageLinks, err = parseChoice("--message-links", s.MessageLinks, "on", "off"); err != nil {
		return err
	}
	c.SingleEvents, err = parseChoice("--single-events", s.SingleEvents, "on", "off")
	return err
}

// parseLimit parses a number of items. It returns -1 for none, and nil if the flag is not given.
func parseLimit(flag string, value *string) (*int, error) {
	switch {
	case value == nil:
		return nil, nil
	case *value == noLimit:
		return new(-1), nil
	}
	n, err := strconv.Atoi(*value)
	if err != nil || n < 0 || n > revocation.MaxJobItems {
		return nil, fmt.Errorf("%s: write a whole number from 0 to %d, or none", flag, revocation.MaxJobItems)
	}
	return &n, nil
}

// parseChoice returns whether the value is yes and not no, and nil if the flag is not given.
func parseChoice(flag string, value *string, yes, no string) (*bool, error) {
	switch {
	case value == nil:
		return nil, nil
	case *value == yes:
		return new(true), nil
	case *value == no:
		return new(false), nil
	default:
		return nil, fmt.Errorf("%s: write %s or %s", flag, yes, no)
	}
}

// checkSpare returns an error if the account would spare started candidates and have an upstream after the change. An
// upstream is not told how far a candidate has come.
func checkSpare(accounts []revocation.Account, c *revocation.AccountChange) error {
	var spares, upstream bool
	for _, a := range accounts {
		if a.ID == c.ID {
			spares, upstream = a.SpareStarted, a.Upstream != nil
		}
	}
	if c.SpareStarted != nil {
		spares = *c.SpareStarted
	}
	if c.Upstream != nil && c.Upstream.URL != nil {
		upstream = *c.Upstream.URL != ""
	}
	switch {
	case !spares || !upstream:
		return nil
	case c.SpareStarted != nil:
		return errors.New("--spare: an account on an upstream cannot spare started candidates")
	default:
		return errors.New("--upstream-url: the account spares started candidates, which an upstream does not support; add --spare none")
	}
}

// settingsText lists the settings that differ from the default; a dash if none does.
func settingsText(s revocation.AccountSettings) string {
	var set []string
	if s.Hold > 0 {
		set = append(set, "hold "+revocation.FormatHold(s.Hold))
	}
	if s.ConfirmAbove != nil {
		set = append(set, fmt.Sprintf("confirm above %d", *s.ConfirmAbove))
	}
	if s.ApproveAbove != nil {
		set = append(set, fmt.Sprintf("approve above %d", *s.ApproveAbove))
	}
	if s.SpareStarted {
		set = append(set, "spare started")
	}
	if s.MessageLinks {
		set = append(set, "message links")
	}
	if s.SingleEvents {
		set = append(set, "single events")
	}
	if len(set) == 0 {
		return "-"
	}
	return strings.Join(set, ", ")
}
