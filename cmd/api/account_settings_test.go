package main

import (
	"strings"
	"testing"

	"rescind/internal/revocation"
)

func TestCheckSpare(t *testing.T) {
	accounts := []revocation.Account{
		{ID: "database"},
		{ID: "spares", AccountSettings: revocation.AccountSettings{SpareStarted: true}},
		{ID: "upstream", Upstream: &revocation.Upstream{URL: "https://platform.example"}},
	}
	to := func(url string) *revocation.UpstreamChange { return &revocation.UpstreamChange{URL: &url} }
	for name, test := range map[string]struct {
		change revocation.AccountChange
		fault  string
	}{
		"a new account with both":          {revocation.AccountChange{ID: "new", SpareStarted: new(true), Upstream: to("https://a.example")}, "--spare"},
		"a new account that spares":        {revocation.AccountChange{ID: "new", SpareStarted: new(true)}, ""},
		"an upstream that begins to spare": {revocation.AccountChange{ID: "upstream", SpareStarted: new(true)}, "--spare"},
		"an upstream that spares nobody":   {revocation.AccountChange{ID: "upstream", SpareStarted: new(false)}, ""},
		"from an upstream to sparing":      {revocation.AccountChange{ID: "upstream", SpareStarted: new(true), Upstream: to("")}, ""},
		"from sparing to an upstream":      {revocation.AccountChange{ID: "spares", Upstream: to("https://a.example")}, "--upstream-url"},
		"sparing ends with an upstream":    {revocation.AccountChange{ID: "spares", SpareStarted: new(false), Upstream: to("https://a.example")}, ""},
		"something else":                   {revocation.AccountChange{ID: "spares", Name: new("Acme")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkSpare(accounts, &test.change)
			if (err == nil) != (test.fault == "") || err != nil && !strings.HasPrefix(err.Error(), test.fault+": ") {
				t.Errorf("%v, want a fault of %q", err, test.fault)
			}
		})
	}
}
