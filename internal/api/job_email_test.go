package api_test

import (
	"net/http"
	"testing"

	"rescind/internal/revocation"
)

// sampleEmails shows what an email is made from.
type sampleEmails struct{}

func (sampleEmails) Show(e revocation.Email) (revocation.EmailText, error) {
	return revocation.EmailText{
		Subject: "Your invitation has been withdrawn", Text: "Hello " + e.ToName + ",", HTML: "<p>Hello " + e.ToName + ",</p>",
	}, nil
}

func TestJobEmail(t *testing.T) {
	w := newWorld(t)
	job := w.call(http.MethodPost, "/jobs", `{"report_ids":[300]}`)
	job.want(t, http.StatusAccepted, "")
	path := "/jobs/" + job.str(t, "id") + "/email"
	a := w.call(http.MethodGet, path, "")
	a.want(t, http.StatusOK, "")
	if a.str(t, "text") != "Hello Ada Example," || a.str(t, "html") != "<p>Hello Ada Example,</p>" || a.str(t, "subject") == "" {
		t.Errorf("email: %s", a.body)
	}
	w.call(http.MethodGet, "/jobs/"+newID().String()+"/email", "").want(t, http.StatusNotFound, "not_found")
	url := "https://platform.example"
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{
		ID: "acme", Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
	w.call(http.MethodGet, path, "").want(t, http.StatusUnprocessableEntity, "not_supported")
}
