package main

import (
	"errors"
	"fmt"

	"rescind/internal/invites"
	"rescind/internal/revocation"
)

type invitesForgetCommand struct {
	database
	Account string `required:"" placeholder:"ID" help:"The account that the invites belong to."`
	Email   string `required:"" placeholder:"ADDRESS" help:"The candidate's email address, in any case. White space around it does not count."`
}

// forgetBatch is the number of invites in one transaction.
const forgetBatch = 1000

// Run erases the candidate's data and prints how many invites had it. It is an error if none had.
func (c *invitesForgetCommand) Run(p *process) error {
	return c.withStore(p.ctx, func(s adminStore) error {
		// An invite of an earlier version is found by its address only after this.
		for {
			if n, err := s.FoldInvites(p.ctx, forgetBatch); err != nil {
				return err
			} else if n == 0 {
				break
			}
		}
		total := 0
		for {
			n := 0
			err := invites.Patiently(p.ctx, func() (err error) {
				n, err = s.ForgetAddress(p.ctx, c.Account, c.Email, forgetBatch, revocation.Actor{Type: revocation.ActorOperator})
				return err
			})
			switch {
			case revocation.ErrorCode(err) == revocation.CodeNotFound:
				return fmt.Errorf("there is no account %q", c.Account)
			case revocation.ErrorCode(err) == revocation.CodeNotSupported:
				return errors.New("the account's invites are at its upstream: they can only be erased there")
			case err != nil && total > 0:
				return fmt.Errorf("%w\nthe candidate is erased from %s; the same command continues", err, counted(total, "invite", "invites"))
			case err != nil:
				return err
			}
			if total += n; n == 0 {
				break
			}
		}
		if total == 0 {
			return errors.New("no invite of the account has this address")
		}
		p.say("The candidate is erased from %s.", counted(total, "invite", "invites"))
		return nil
	})
}
