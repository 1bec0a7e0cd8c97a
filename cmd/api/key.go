package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

type keyCreateCommand struct {
	database
	Account string   `required:"" placeholder:"ID" help:"The account that the key belongs to."`
	Name    string   `placeholder:"NAME" help:"What people see as the actor of what the key does; by default the first 13 characters of its id."`
	Scopes  []string `default:"revoke,read" help:"What the key allows: revoke, read, approve, invites; webhooks and mail are reserved (default: ${default})."`
	Expires string   `placeholder:"WHEN" help:"When the key expires: a time like 2027-01-01T00:00:00Z, or a duration from now like 720h. Without it, never."`
}

// Run prints only the secret on standard output, so that it can be piped.
func (c *keyCreateCommand) Run(p *process) error {
	if !revocation.ValidKeyName(c.Name) {
		return fmt.Errorf("--name: at most %d characters, without control characters", revocation.MaxKeyName)
	}
	key := revocation.APIKey{ID: uuidv7.New(), Account: c.Account, Name: c.Name}
	for _, scope := range c.Scopes {
		s := revocation.Scope(strings.TrimSpace(scope))
		if !slices.Contains(revocation.Scopes, s) {
			return fmt.Errorf("--scopes: write one or more of %s, separated by commas", scopeNames(revocation.Scopes, ", "))
		}
		if !key.Allows(s) {
			key.Scopes = append(key.Scopes, s)
		}
	}
	if len(key.Scopes) == 0 {
		return fmt.Errorf("--scopes: write one or more of %s, or leave it out for revoke,read", scopeNames(revocation.Scopes, ", "))
	}
	if c.Expires != "" {
		at, err := parseExpiry(c.Expires, time.Now())
		if err != nil {
			return err
		}
		key.ExpiresAt = at
	}
	secret := revocation.NewSecret()
	key.Hash = revocation.HashSecret(secret)
	err := c.withStore(p.ctx, func(s adminStore) error { return s.AddKey(p.ctx, key) })
	if revocation.ErrorCode(err) == revocation.CodeNotFound {
		return fmt.Errorf("there is no account %q: create it with: account set %s", c.Account, c.Account)
	}
	if err != nil {
		return err
	}
	p.say("Key %s is created. Its secret is shown only once:", key.ID)
	_, err = fmt.Fprintln(p.stdout, secret)
	return err
}

func scopeNames(scopes []revocation.Scope, separator string) string {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = string(scope)
	}
	return strings.Join(names, separator)
}

func parseExpiry(s string, now time.Time) (time.Time, error) {
	at, err := parseTime(s)
	if err != nil {
		d, err := time.ParseDuration(s)
		if err != nil {
			return time.Time{}, fmt.Errorf("--expires: write a time like 2027-01-01T00:00:00Z or a duration like 720h")
		}
		at = now.Add(d)
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("--expires: that is in the past")
	}
	return at, nil
}

type keyListCommand struct {
	database
	Account string `placeholder:"ID" help:"List only the keys of this account."`
}

// Run prints a table with a line for each key.
func (c *keyListCommand) Run(p *process) error {
	return c.withStore(p.ctx, func(s adminStore) error {
		keys, err := s.Keys(p.ctx, c.Account)
		if err != nil {
			return err
		}
		return p.table("KEY\tACCOUNT\tNAME\tSCOPES\tCREATED\tEXPIRES\tREVOKED", len(keys), func(i int) []any {
			k := keys[i]
			return []any{
				k.ID, k.Account, k.ShownName(), scopeNames(k.Scopes, ","), timeOrDash(k.ID.Time()),
				timeOrDash(k.ExpiresAt), timeOrDash(k.RevokedAt),
			}
		})
	})
}

type keyRevokeCommand struct {
	database
	ID      string `arg:"" help:"The key's id, as printed by key list."`
	Account string `placeholder:"ID" help:"The account that the key must belong to."`
}

// Run revokes the key. The id is enough; if an account is given, the key must belong to it.
func (c *keyRevokeCommand) Run(p *process) error {
	id, ok := revocation.ParseID(c.ID)
	if !ok {
		return fmt.Errorf("key ID: give the id that key list shows, not the secret")
	}
	return c.withStore(p.ctx, func(s adminStore) error {
		keys, err := s.Keys(p.ctx, c.Account)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(keys, func(k revocation.APIKey) bool { return k.ID == id })
		if at < 0 {
			return fmt.Errorf("there is no such key: see key list")
		}
		if err := s.RevokeKey(p.ctx, keys[at].Account, id); err != nil {
			return err
		}
		p.say("Key %s is revoked.", id)
		return nil
	})
}
