package api

import (
	"context"
	"encoding/json"
	"net/http"
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
	x.respond(http.StatusOK, mediaJSON, jsonOf(accountOf(&account, x.key)))
	return nil
}

// accountBody is an account with its settings, and the key of the request.
type accountBody struct {
	ID            string        `json:"id" doc:"The account's id."`
	Name          string        `json:"name" doc:"The company's name, as candidates know it; it may be empty."`
	Platform      string        `json:"platform" enum:"database,upstream" doc:"Where the account's invites are revoked: in this service's database, or by an upstream."`
	Contact       *string       `json:"contact" doc:"The address that candidates may write to."`
	PlanChangedAt *string       `json:"plan_changed_at" format:"date-time" doc:"The latest plan change."`
	Hold          string        `json:"hold" doc:"The least time between a submission, confirmation or approval and the beginning of the work: whole seconds, written like 10m, 1h30m or 0s."`
	ConfirmAbove  *int          `json:"confirm_above" minimum:"0" doc:"The number of items above which a job is previewed. null: no limit."`
	ApproveAbove  *int          `json:"approve_above" minimum:"0" doc:"The number of items above which a job needs another key's approval. null: no limit."`
	Spare         string        `json:"spare" enum:"started,none" doc:"started: the invites of candidates who have started are not revoked."`
	MessageLinks  bool          `json:"message_links" doc:"Whether messages for candidates may contain web addresses."`
	SingleEvents  bool          `json:"single_events" doc:"Whether single revocations have events."`
	Upstream      *upstreamBody `json:"upstream" doc:"The upstream; null on the platform database."`
	Key           keyBody       `json:"key" doc:"The API key of this request."`
}

// upstreamBody is the state of an upstream. Its URL may name a host that only the operator should know.
type upstreamBody struct {
	_         struct{} `nullable:"true"`
	State     string   `json:"state" enum:"ok,paused" doc:"paused: it is called only to check whether it works again."`
	Reason    *string  `json:"reason" doc:"Why it is paused, as a code: upstream_unauthorized, upstream_unavailable or secret_unreadable."`
	HeldUntil *string  `json:"held_until" format:"date-time" doc:"Until when it is not called at all."`
}

type keyBody struct {
	ID     string             `json:"id" format:"uuid" doc:"The id of the key."`
	Name   string             `json:"name" doc:"Its name; the first 13 characters of the id if it was given none."`
	Scopes []revocation.Scope `json:"scopes" nullable:"false" doc:"What the key allows."`
}

// TransformSchema adds the names of the scopes.
func (keyBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["scopes"].Items.Enum = oneOf(revocation.Scopes...)
	return s
}

func accountOf(a *revocation.Account, key *revocation.APIKey) accountBody {
	body := accountBody{
		ID: a.ID, Name: a.Name, Platform: platformDatabase, Contact: filled(&a.Contact), PlanChangedAt: optionalTime(a.PlanChangedAt),
		Hold: revocation.FormatHold(a.Hold), ConfirmAbove: a.ConfirmAbove, ApproveAbove: a.ApproveAbove, Spare: "none",
		MessageLinks: a.MessageLinks, SingleEvents: a.SingleEvents,
		Key: keyBody{ID: key.ID.String(), Name: key.ShownName(), Scopes: key.Scopes},
	}
	if a.SpareStarted {
		body.Spare = "started"
	}
	if up := a.Upstream; up != nil {
		body.Platform = platformUpstream
		body.Upstream = &upstreamBody{State: "ok", Reason: filled((*string)(&up.Hold)), HeldUntil: optionalTime(up.HeldUntil)}
		if up.Hold != "" {
			body.Upstream.State = "paused"
		}
	}
	return body
}

const (
	platformDatabase = "database"
	platformUpstream = "upstream"
)

func accountOperation(schemas huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "getAccount", Method: http.MethodGet, Path: "/account",
		Tags: []string{"account"}, Security: needs(revocation.Scopes...),
		Summary:     "The account and the key",
		Description: "Returns the account with its settings, the state of its upstream, and the API key of this request. Any key may ask. Only the operator changes them.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The account.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: schemaOf[accountBody](schemas, "An account with its settings, and the key of the request."),
				Examples: map[string]*huma.Example{
					platformDatabase: {Summary: platformDatabase, Value: json.RawMessage(jsonOf(accountOf(&exampleAccount, &exampleKey)))},
					platformUpstream: {Summary: platformUpstream, Value: json.RawMessage(jsonOf(accountOf(&exampleUpstream, &exampleKey)))},
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
