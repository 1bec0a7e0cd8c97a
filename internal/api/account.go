package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

// Accounts reads accounts.
type Accounts interface {
	// Account returns the account with the id. The error's code is CodeNotFound if there is none.
	Account(ctx context.Context, id string) (revocation.Account, error)
}

// getAccount serves GET /account.
func (a *API) getAccount(x *requestContext) error {
	account, err := a.accounts.Account(x.Request().Context(), x.key.Account)
	if err != nil {
		return err
	}
	x.respond(http.StatusOK, mediaJSON, appendAccount(nil, &account, x.key))
	return nil
}

func appendAccount(b []byte, a *revocation.Account, key *revocation.APIKey) []byte {
	choice := func(name string, on bool) {
		b = append(b, name...)
		b = strconv.AppendBool(b, on)
	}
	b = append(b, `{"id":`...)
	b = appendString(b, a.ID)
	b = append(b, `,"name":`...)
	b = appendString(b, a.Name)
	b = append(b, `,"platform":`...)
	b = appendString(b, platformOf(a))
	b = append(b, `,"contact":`...)
	b = appendFilled(b, a.Contact)
	b = append(b, `,"plan_changed_at":`...)
	b = appendTime(b, a.PlanChangedAt)
	b = append(b, `,"hold":`...)
	b = appendString(b, revocation.FormatHold(a.Hold))
	b = append(b, `,"confirm_above":`...)
	b = appendLimit(b, a.ConfirmAbove)
	b = append(b, `,"approve_above":`...)
	b = appendLimit(b, a.ApproveAbove)
	b = append(b, `,"spare":`...)
	b = appendString(b, spareOf(a))
	choice(`,"message_links":`, a.MessageLinks)
	choice(`,"single_events":`, a.SingleEvents)
	b = append(b, `,"upstream":`...)
	b = appendUpstream(b, a.Upstream)
	b = append(b, `,"key":{"id":`...)
	b = appendID(b, key.ID)
	b = append(b, `,"name":`...)
	b = appendString(b, key.ShownName())
	b = append(b, `,"scopes":[`...)
	for i, scope := range key.Scopes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, string(scope))
	}
	return append(b, `]}}`...)
}

const (
	platformDatabase = "database"
	platformUpstream = "upstream"
	spareStarted     = "started"
	spareNone        = "none"
	upstreamOK       = "ok"
	upstreamPaused   = "paused"
)

func platformOf(a *revocation.Account) string {
	if a.Upstream != nil {
		return platformUpstream
	}
	return platformDatabase
}

func spareOf(a *revocation.Account) string {
	if a.SpareStarted {
		return spareStarted
	}
	return spareNone
}

// appendUpstream appends the state of an upstream. Its URL may name a host that only the operator should know.
func appendUpstream(b []byte, up *revocation.Upstream) []byte {
	if up == nil {
		return append(b, "null"...)
	}
	state := upstreamOK
	if up.Hold != "" {
		state = upstreamPaused
	}
	b = append(b, `{"state":`...)
	b = appendString(b, state)
	b = append(b, `,"reason":`...)
	b = appendFilled(b, string(up.Hold))
	b = append(b, `,"held_until":`...)
	b = appendTime(b, up.HeldUntil)
	return append(b, '}')
}

// appendFilled appends a string, or null for an empty one.
func appendFilled(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

func appendLimit(b []byte, limit *int) []byte {
	if limit == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*limit), 10)
}

func accountOperation(schemas huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "getAccount", Method: http.MethodGet, Path: "/account",
		Tags: []string{"account"}, Security: needs(revocation.Scopes...),
		Summary:     "The account and the key",
		Description: "Returns the account with its settings, the state of its upstream, and the API key of this request. Any key may ask. Only the operator changes them.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The account.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: named(schemas, "Account", accountSchema()),
				Examples: map[string]*huma.Example{
					platformDatabase: {Summary: platformDatabase, Value: json.RawMessage(appendAccount(nil, &exampleAccount, &exampleKey))},
					platformUpstream: {Summary: platformUpstream, Value: json.RawMessage(appendAccount(nil, &exampleUpstream, &exampleKey))},
				},
			}},
		}},
	}
}

var (
	exampleAccount = revocation.Account{
		ID: "example", Name: "Acme Corp", Contact: "jobs@acme.example", PlanChangedAt: time.Date(2025, 1, 15, 10, 32, 45, 0, time.UTC),
		AccountSettings: revocation.AccountSettings{Hold: 10 * time.Minute, ConfirmAbove: new(100), SpareStarted: true},
	}
	exampleUpstream = revocation.Account{
		ID: "example", Name: "Acme Corp", Upstream: &revocation.Upstream{
			Hold: revocation.HoldUnauthorized, HeldUntil: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		},
	}
	exampleKey = revocation.APIKey{
		ID: exampleRevoked.RequestedBy, Name: "importer", Scopes: []revocation.Scope{revocation.ScopeRevoke, revocation.ScopeRead},
	}
)

func accountSchema() *huma.Schema {
	limit := func(description string) *huma.Schema {
		return &huma.Schema{Type: "integer", Minimum: new(0.0), Nullable: true, Description: description + " null: no limit."}
	}
	return &huma.Schema{
		Type: "object", Description: "An account with its settings, and the key of the request.",
		Required: []string{
			"id", "name", "platform", "contact", "plan_changed_at", "hold", "confirm_above", "approve_above", "spare",
			"message_links", "single_events", "upstream", "key",
		},
		Properties: map[string]*huma.Schema{
			"id":              text("The account's id."),
			"name":            text("The company's name, as candidates know it; it may be empty."),
			"platform":        {Type: "string", Enum: []any{platformDatabase, platformUpstream}, Description: "Where the account's invites are revoked: in this service's database, or by an upstream."},
			"contact":         maybe(text("The address that candidates may write to.")),
			"plan_changed_at": maybe(instant("The latest plan change.")),
			"hold":            text("The least time between a submission, confirmation or approval and the beginning of the work: whole seconds, written like 10m, 1h30m or 0s."),
			"confirm_above":   limit("The number of items above which a job is previewed."),
			"approve_above":   limit("The number of items above which a job needs another key's approval."),
			"spare":           {Type: "string", Enum: []any{spareStarted, spareNone}, Description: "started: the invites of candidates who have started are not revoked."},
			"message_links":   {Type: "boolean", Description: "Whether messages for candidates may contain web addresses."},
			"single_events":   {Type: "boolean", Description: "Whether single revocations have events."},
			"upstream": {
				Type: "object", Nullable: true, Description: "The upstream; null on the platform database.",
				Required: []string{"state", "reason", "held_until"},
				Properties: map[string]*huma.Schema{
					"state":      {Type: "string", Enum: []any{upstreamOK, upstreamPaused}, Description: "paused: it is called only to check whether it works again."},
					"reason":     maybe(text("Why it is paused, as a code: upstream_unauthorized, upstream_unavailable or secret_unreadable.")),
					"held_until": maybe(instant("Until when it is not called at all.")),
				},
			},
			"key": {
				Type: "object", Description: "The API key of this request.", Required: []string{"id", "name", "scopes"},
				Properties: map[string]*huma.Schema{
					"id":     {Type: "string", Format: "uuid", Description: "The id of the key."},
					"name":   text("Its name; the first 8 characters of the id if it was given none."),
					"scopes": {Type: "array", Items: &huma.Schema{Type: "string", Enum: oneOf(revocation.Scopes...)}, Description: "What the key allows."},
				},
			},
		},
	}
}
