package main

import "rescind/internal/client"

// wishFlags are the flags that revoke and bulk share.
type wishFlags struct {
	NotBefore *futureMoment `placeholder:"TIME" help:"Do nothing before this time (RFC 3339, or a duration from now like 2h), at most 90 days ahead. No program has to run until then."`
	Reason    string        `placeholder:"TEXT" help:"Why, for colleagues who look at it later; up to 255 characters. Candidates do not see it."`
	Message   string        `placeholder:"TEXT" help:"Plain text for the candidates' email; up to 1,000 characters."`
}

func (f *wishFlags) wishes() client.Wishes {
	w := client.Wishes{Reason: f.Reason, Message: f.Message}
	if f.NotBefore != nil {
		w.NotBefore = &f.NotBefore.Time
	}
	return w
}
