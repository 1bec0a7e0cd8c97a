package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

const about = `Takes back candidates' invitations to assessments, one at a time or many as a job, and tells how far each has come.

Every answer that is not a success is application/problem+json with a stable code. Every answer has an X-Request-Id; send one of your own (up to 64 letters, digits, dots, dashes and underscores) to find a request again.

An API key goes into the header apiKey, or into Authorization as a Bearer token; with both, apiKey counts. It has the scopes revoke (submit, and what changes jobs) and read (poll, lists and results).

The endpoint that this service implements is documented elsewhere without HTTP codes, without the name of the key's header, without an example for ALREADY_REVOKED, and without the moment and zone of NOT_ALLOWED's timestamp. The reading here: codes as below, apiKey, the sentence below, and the account's latest plan change in UTC.

A service that listens on this machine alone answers 403 host_not_allowed to a request whose header Host names neither localhost, an address, nor a name that its setting ALLOWED_HOSTS has.

Times are by RFC 3339, in UTC. Parameters in the query string are taken strictly where a key is needed: each once, and no others.`

// newDocument is the document without operations.
func newDocument() *huma.OpenAPI {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.Schema(reflect.TypeFor[problem](), true, "")
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "rescind", Version: "1.0.0", Description: about},
		Tags: []*huma.Tag{
			{Name: "revocations", Description: "Submit, poll and list."},
			{Name: "jobs", Description: "Many revocations under one id."},
			{Name: "service", Description: "The service itself. These need no key."},
		},
		Components: &huma.Components{
			Schemas: schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"apiKey": {Type: "apiKey", In: "header", Name: "apiKey", Description: "The API key as it is."},
				"bearer": {Type: "http", Scheme: "bearer", Description: "The API key in the header Authorization."},
			},
		},
	}
}

// needs is an operation's security: a key with the scope, in either header.
func needs(scope revocation.Scope) []map[string][]string {
	return []map[string][]string{{"apiKey": {string(scope)}}, {"bearer": {string(scope)}}}
}

// scopeOf is the scope that an operation names in its security; guarded is false for one that is open.
func scopeOf(op *huma.Operation) (scope revocation.Scope, guarded bool) {
	if len(op.Security) == 0 {
		return "", false
	}
	return revocation.Scope(op.Security[0]["apiKey"][0]), true
}

// describe completes an operation's answers by what is the same for all: those of the guard, and headers. What needs
// no key is made of what is in memory, and does not fail.
func describe(op *huma.Operation) {
	if scope, guarded := scopeOf(op); guarded {
		addProblems(op, codeUnauthorized, codeMissingScope, codeRateLimited, revocation.CodeInvalid, revocation.CodeUnavailable, revocation.CodeInternal)
		setExample(op, newProblem(codeMissingScope).withDetail("This needs an API key with the scope "+string(scope)+"."))
		for status, response := range op.Responses {
			if status != "401" && status != "403" {
				addHeader(response, "RateLimit-Policy", text("The key's limit: q requests in w seconds."), `"default";q=50;w=1`)
				addHeader(response, "RateLimit", text("What is left of it: r requests, full again in t seconds."), `"default";r=49;t=1`)
				if status >= "500" { // the key may not be known then
					sometimes(response, "RateLimit-Policy", "RateLimit")
				}
			}
		}
		addHeader(op.Responses["401"], "WWW-Authenticate", text("How to send a key."), `ApiKey realm="rescind", Bearer realm="rescind"`)
		for _, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
			addHeader(op.Responses["429"], name, text("The same for clients that know only the older fields."), "1")
		}
	}
	for _, response := range op.Responses {
		addHeader(response, "X-Request-Id", text("Names the request in the service's log."), "FZ3QK7YV5X2M4T6R")
	}
}

// addProblems adds what codes are told as; codes of one status share a response.
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

// setExample replaces the example of a code by what the operation really says.
func setExample(op *huma.Operation, p *problem) {
	op.Responses[strconv.Itoa(p.Status)].Content[mediaProblem].Examples[string(p.Code)].Value = p
}

// exampleFault is what is easily wrong with a request.
func exampleFault(op *huma.Operation) fault {
	switch op.OperationID {
	case "revokeInvite", "listRevocations":
		return fault{"report_id", "wrong_type", "report_id must be an integer."}
	case "createJob":
		return fault{listIDs, "required", "report_ids or items is needed."}
	case "listJobs", "getJobResults":
		return fault{"limit", "out_of_range", "limit must be from 1 to 1000."}
	default:
		return fault{"verbose", "unknown_field", "There is no such parameter."}
	}
}

// addHeader adds a header that the answer always has.
func addHeader(response *huma.Response, name string, schema *huma.Schema, example string) {
	if response.Headers == nil {
		response.Headers = map[string]*huma.Header{}
	}
	response.Headers[name] = &huma.Header{Description: schema.Description, Schema: &huma.Schema{Type: schema.Type}, Example: example, Required: true}
}

// sometimes says of headers that the answer does not always have them.
func sometimes(response *huma.Response, names ...string) {
	for _, name := range names {
		response.Headers[name].Required = false
	}
}

func text(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Description: description}
}

// serveDocument adds the routes of the document itself; it is made once, of all operations before it.
func (a *API) serveDocument() {
	var document, page []byte
	a.serve(&huma.Operation{
		OperationID: "getOpenAPI", Method: http.MethodGet, Path: "/openapi.json", Tags: []string{"service"},
		Summary: "This document", Description: "OpenAPI 3.1.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The document.", Content: map[string]*huma.MediaType{mediaJSON: {Schema: &huma.Schema{Type: "object"}}},
		}},
	}, func(x *requestContext) error {
		x.respond(http.StatusOK, mediaJSON, document)
		return nil
	})
	a.serve(&huma.Operation{
		OperationID: "getDocs", Method: http.MethodGet, Path: "/docs", Tags: []string{"service"},
		Summary: "This document, to read", Description: "A page that loads nothing else.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The page.", Content: map[string]*huma.MediaType{"text/html": {Schema: &huma.Schema{Type: "string"}}},
		}},
	}, func(x *requestContext) error {
		x.Response().Header()["Content-Security-Policy"] = docsPolicy
		x.respond(http.StatusOK, "text/html; charset=utf-8", page)
		return nil
	})
	// What huma has read off Go's types would let nothing stand beside it. Answers can have more members some day, and
	// one is the sum of two such types.
	for _, name := range []string{"Problem", "Fault", "Readiness", "PartHealth"} {
		a.document.Components.Schemas.Map()[name].AdditionalProperties = nil
	}
	var err error
	if document, err = json.Marshal(a.document); err != nil {
		panic(err) // it is made of this package's literals
	}
	page = docsPage(a.document)
}
