package api

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

// Emails shows the emails that candidates get.
type Emails interface {
	Show(email revocation.Email) (revocation.EmailText, error)
}

// jobEmail serves GET /jobs/{id}/email.
func (a *API) jobEmail(x *requestContext) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	ctx := x.Request().Context()
	job, err := a.service.Job(ctx, x.key.Account, id, 0)
	if err != nil {
		return err
	}
	account, err := a.accounts.Account(ctx, x.key.Account)
	if err != nil {
		return err
	}
	if account.Upstream != nil {
		return newProblem(revocation.CodeNotSupported).withDetail(noEmailHere)
	}
	email := revocation.Email{
		ToName: "Ada Example", Assessment: "Example assessment", Company: account.Name, Contact: account.Contact,
	}
	if job.CandidateMessage != nil {
		email.Message = *job.CandidateMessage
	}
	shown, err := a.emails.Show(email)
	if err != nil {
		return err
	}
	x.respond(http.StatusOK, mediaJSON, jsonOf(emailBody(shown)))
	return nil
}

const noEmailHere = "The account's upstream sends its emails."

type emailBody struct {
	Subject string `json:"subject" doc:"The subject."`
	Text    string `json:"text" doc:"The plain text."`
	HTML    string `json:"html" doc:"The same as HTML."`
}

func jobEmailOperation(schemas huma.Registry) *huma.Operation {
	example := emailBody{Subject: "Your invitation has been withdrawn", Text: "Hello Ada Example,", HTML: "<p>Hello Ada Example,</p>"}
	op := &huma.Operation{
		OperationID: "getJobEmail", Method: http.MethodGet, Path: "/jobs/{id}/email",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead, revocation.ScopeApprove),
		Summary:     "See a job's email",
		Description: "Returns the email that the job's candidates get, with the job's message and the account's name, and with a made-up candidate and assessment. If an upstream sends the account's emails, the response is 422 not_supported.",
		Parameters:  []*huma.Param{idParam()},
		Responses: map[string]*huma.Response{"200": {
			Description: "The email.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  schemaOf[emailBody](schemas, "The email about a job's REVOKED items."),
				Example: json.RawMessage(jsonOf(example)),
			}},
		}},
	}
	addProblems(op, revocation.CodeNotFound, revocation.CodeNotSupported)
	setExample(op, newProblem(revocation.CodeNotSupported).withDetail(noEmailHere))
	return op
}
