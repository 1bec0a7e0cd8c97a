package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

const about = `Revokes candidates' invitations to assessments, one at a time or many as a job, and reports the state of each.

Every response that is not a success is application/problem+json with a stable code. Every response has an X-Request-Id. You may send your own (up to 64 letters, digits, dots, dashes and underscores) to find a request in the service's log.

Send the API key in the header apiKey, or in Authorization as a Bearer token. If both are present, apiKey is used. A key has scopes: revoke (submit, and create, cancel and retry jobs) and read (poll, lists and results).

The response is 429 rate_limited if a key sends too many requests a second, and also if its account has too many reads, streams, waits or uploads running at once.

The original documentation of the revoke endpoint does not name HTTP status codes, the header of the key, a message for ALREADY_REVOKED, or the meaning and time zone of NOT_ALLOWED's timestamp. This service uses the status codes and the message below, the header apiKey, and the account's latest plan change in UTC.

A service that listens only on a loopback address responds with 403 host_not_allowed unless the header Host names localhost, an IP address or a name in the setting ALLOWED_HOSTS.

Times are in RFC 3339 format, in UTC. Operations that need a key check the query string strictly: each parameter may appear once, and unknown parameters are refused.`

// shortPages warns the readers of every paged list.
const shortPages = "A page may hold fewer entries than limit, even none; only next_cursor null is the end."

// newDocument returns the document without operations.
func newDocument() *huma.OpenAPI {
	schemas := huma.NewMapRegistry(schemaPrefix, schemaName)
	schemas.Schema(reflect.TypeFor[problem](), true, "")
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "rescind", Version: "1.0.0", Description: about},
		Tags: []*huma.Tag{
			{Name: "revocations", Description: "Submit, poll and list."},
			{Name: "invites", Description: "Find invites by person and assessment, and import them. Not for accounts with an upstream."},
			{Name: "jobs", Description: "Many revocations under one id."},
			{Name: "events", Description: "What happened, and who did it."},
			{Name: "account", Description: "The account and the key of a request."},
			{Name: "service", Description: "Health and documentation. These operations need no key."},
		},
		Components: &huma.Components{
			Schemas: schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				keyScheme: {Type: "apiKey", In: "header", Name: "apiKey", Description: "The API key."},
				"bearer":  {Type: "http", Scheme: "bearer", Description: "The API key in the header Authorization."},
			},
		},
	}
}

// needs returns an operation's security: a key with one of the scopes, in either header.
func needs(scopes ...revocation.Scope) (security []map[string][]string) {
	for _, scheme := range []string{keyScheme, "bearer"} {
		for _, scope := range scopes {
			security = append(security, map[string][]string{scheme: {string(scope)}})
		}
	}
	return security
}

// needsAll returns an operation's security: a key with all of the scopes, in either header.
func needsAll(scopes ...revocation.Scope) (security []map[string][]string) {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = string(scope)
	}
	for _, scheme := range []string{keyScheme, "bearer"} {
		security = append(security, map[string][]string{scheme: names})
	}
	return security
}

// keyScheme is the security scheme of the header apiKey.
const keyScheme = "apiKey"

// scopesOf returns the sets of scopes in an operation's security. A key must have all scopes of one of them. There are none
// for an operation that needs no key.
func scopesOf(op *huma.Operation) (sets [][]revocation.Scope) {
	for _, either := range op.Security {
		var set []revocation.Scope
		for _, scope := range either[keyScheme] {
			set = append(set, revocation.Scope(scope))
		}
		if set != nil {
			sets = append(sets, set)
		}
	}
	return sets
}

// allowed reports whether a key has all scopes of one of the sets.
func allowed(key *revocation.APIKey, sets [][]revocation.Scope) bool {
	return slices.ContainsFunc(sets, func(set []revocation.Scope) bool {
		return !slices.ContainsFunc(set, func(scope revocation.Scope) bool { return !key.Allows(scope) })
	})
}

// scopeNames returns sets of scopes for a sentence, such as "read or approve".
func scopeNames(sets [][]revocation.Scope) string {
	var names []string
	for _, set := range sets {
		var all []string
		for _, scope := range set {
			all = append(all, string(scope))
		}
		names = append(names, strings.Join(all, " and "))
	}
	return strings.Join(names, " or ")
}

// missingScope returns the problem for a key without any of the scopes.
func missingScope(scopes [][]revocation.Scope) *problem {
	return newProblem(revocation.CodeMissingScope).withDetail("This needs an API key with the scope " + scopeNames(scopes) + ".")
}

// describe adds what all operations have in common: the problems of the guard, and headers. An operation without a key
// reads only memory and does not fail, so it gets no problems.
func describe(op *huma.Operation) {
	if scopes := scopesOf(op); len(scopes) > 0 {
		addProblems(op, codeUnauthorized, codeRateLimited, revocation.CodeInvalid, revocation.CodeUnavailable, revocation.CodeInternal)
		if len(scopes) < len(revocation.Scopes) { // otherwise every key has one of them
			addProblems(op, revocation.CodeMissingScope)
			setExample(op, missingScope(scopes))
		}
		for status, response := range op.Responses {
			if status != "401" {
				addHeader(response, "RateLimit-Policy", text("The key's limit: q requests in w seconds. With qu=\"concurrent-requests\", the account's limit: q requests at once."), `"default";q=50;w=1`)
				addHeader(response, "RateLimit", text("The rest of that limit: r requests; all are available again in t seconds."), `"default";r=49;t=1`)
				if status == "403" || status >= "500" { // the service may refuse before it takes the request, or fail before it knows the key
					sometimes(response, "RateLimit-Policy", "RateLimit")
				}
			}
		}
		op.Responses["429"].Description = "Too many requests a second with this key, or too many reads, streams, waits or uploads of its account at once."
		addHeader(op.Responses["401"], "WWW-Authenticate", text("How to send a key."), `ApiKey realm="rescind", Bearer realm="rescind"`)
		for _, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
			addHeader(op.Responses["429"], name, text("The same limit for clients that support only the older fields."), "1")
		}
	}
	for _, response := range op.Responses {
		addHeader(response, "X-Request-Id", text("Identifies the request in the service's log."), "FZ3QK7YV5X2M4T6R")
	}
}

// addProblems adds the responses for codes. Codes with the same status share a response.
func addProblems(op *huma.Operation, codes ...revocation.Code) {
	for _, code := range codes {
		p := newProblem(code)
		status := strconv.Itoa(p.Status)
		response := op.Responses[status]
		if response == nil {
			response = &huma.Response{
				Description: p.Title,
				Content: map[string]*huma.MediaType{mediaProblem: {
					Schema:   &huma.Schema{Ref: "#/components/schemas/Problem"},
					Examples: map[string]*huma.Example{},
				}},
			}
			op.Responses[status] = response
		}
		if code == revocation.CodeInvalid {
			p.Errors = []fault{exampleFault(op)}
		}
		response.Content[mediaProblem].Examples[string(p.Code)] = &huma.Example{Summary: string(p.Code), Value: p}
		if p.retryAfter > 0 || code == codeRateLimited {
			addHeader(response, "Retry-After", text("When to try again, in seconds."), "1")
		}
	}
}

// setExample replaces the example of p's code by p, which is the problem that this operation really sends.
func setExample(op *huma.Operation, p *problem) {
	op.Responses[strconv.Itoa(p.Status)].Content[mediaProblem].Examples[string(p.Code)].Value = p
}

// exampleFault returns a fault that is typical of the operation's requests.
func exampleFault(op *huma.Operation) fault {
	switch op.OperationID {
	case "revokeInvite", "listRevocations":
		return fault{"report_id", "wrong_type", "report_id must be an integer."}
	case "createJob":
		return fault{listIDs, "required", listNeeded}
	case "confirmJob", "approveJob":
		return fault{"count", "required", "count is needed."}
	case "listJobs", "getJobResults", "listInvites", "searchInvites":
		return fault{"limit", "out_of_range", "limit must be from 1 to 1000."}
	default:
		return fault{"verbose", "unknown_field", "There is no such parameter."}
	}
}

// addHeader adds a header that every such response has.
func addHeader(response *huma.Response, name string, schema *huma.Schema, example string) {
	if response.Headers == nil {
		response.Headers = map[string]*huma.Header{}
	}
	response.Headers[name] = &huma.Header{Description: schema.Description, Schema: &huma.Schema{Type: schema.Type}, Example: example, Required: true}
}

// sometimes marks headers as optional.
func sometimes(response *huma.Response, names ...string) {
	for _, name := range names {
		response.Headers[name].Required = false
	}
}

func text(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Description: description}
}

// serveDocument adds the routes of the document and its page. It must be called last. The first request encodes them, so that
// a process starts without.
func (a *API) serveDocument() {
	document := sync.OnceValue(func() []byte {
		text, err := json.Marshal(a.document)
		if err != nil {
			panic(err) // it consists of this package's literals
		}
		return text
	})
	page := sync.OnceValue(func() []byte { return docsPage(a.document) })
	a.serve(&huma.Operation{
		OperationID: "getOpenAPI", Method: http.MethodGet, Path: "/openapi.json", Tags: []string{"service"},
		Summary: "This document", Description: "OpenAPI 3.1.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The document.", Content: map[string]*huma.MediaType{mediaJSON: {Schema: &huma.Schema{Type: "object"}}},
		}},
	}, func(x *requestContext) error {
		x.respond(http.StatusOK, mediaJSON, document())
		return nil
	})
	a.serve(&huma.Operation{
		OperationID: "getDocs", Method: http.MethodGet, Path: "/docs", Tags: []string{"service"},
		Summary: "This document as a web page", Description: "The page loads no other resources.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The page.", Content: map[string]*huma.MediaType{"text/html": {Schema: &huma.Schema{Type: "string"}}},
		}},
	}, func(x *requestContext) error {
		x.Response().Header()["Content-Security-Policy"] = docsPolicy
		x.respond(http.StatusOK, "text/html; charset=utf-8", page())
		return nil
	})
	// Huma's schemas of Go types, which are those of responses, forbid additional properties. Later versions may add members
	// to responses, and one response combines two such types.
	schemas := a.document.Components.Schemas
	for name, schema := range schemas.Map() {
		if schemas.TypeFromRef(schemaPrefix+name) != nil {
			schema.AdditionalProperties = nil
		}
	}
}
