package client

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bodies records the bodies of requests. The first request fails for a temporary reason, and the others are answered.
func bodies(t *testing.T, status int, answer string) (s *script, sent *[]string) {
	t.Helper()
	sent = new([]string)
	return newScript(t, func(n int, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		*sent = append(*sent, string(body))
		if n == 0 {
			problem(w, http.StatusServiceUnavailable, "unavailable")
			return
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, answer)
	}), sent
}

func TestClient_SearchInvites(t *testing.T) {
	const answer = `{"data":[{"report_id":318,"candidate_name":"Ada","candidate_email":null,"assessment_id":null,"assessment_name":"Backend",` +
		`"language":null,"state":"PENDING","sent_at":"2026-01-01T00:00:00Z","revoked_at":null,"predicted":"REVOKED"}],"next_cursor":"c1"}`
	s, sent := bodies(t, http.StatusOK, answer)
	c, retries := newTestClient(t, s.URL, nil)
	page, err := c.SearchInvites(t.Context(), InviteSearch{
		Email: "ada@example.com", Query: "ad", AssessmentID: "b1", Assessment: "Backend", Revoked: new(false), States: "PENDING",
		SentAfter: "2026-01-01T00:00:00Z", SentBefore: "2027-01-01T00:00:00Z", Limit: 7, Cursor: "c0",
	})
	want := []Invite{{
		ReportID: 318, CandidateName: "Ada", AssessmentName: "Backend", State: "PENDING",
		SentAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Predicted: StatusRevoked,
	}}
	if diff := cmp.Diff(want, page.Data); diff != "" || err != nil || *page.NextCursor != "c1" || string(page.Body) != answer {
		t.Errorf("%v, %s (-want +got):\n%s", err, page.Body, diff)
	}
	const body = `{"candidate_email":"ada@example.com","q":"ad","assessment_id":"b1","assessment_name":"Backend","revoked":false,"state":"PENDING",` +
		`"sent_after":"2026-01-01T00:00:00Z","sent_before":"2027-01-01T00:00:00Z","limit":7,"cursor":"c0"}`
	if diff := cmp.Diff([]string{body, body}, *sent); diff != "" || len(*retries) != 1 {
		t.Errorf("%v (-want +got):\n%s", *retries, diff)
	}
	for _, r := range s.requests() {
		if r.method != http.MethodPost || r.path != "/prefix/invites/search" || r.query != "" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v", r)
		}
	}
}

func TestClient_NewSelectedJob(t *testing.T) {
	s, sent := bodies(t, http.StatusAccepted, jobBody(JobPreviewing, 0))
	c, _ := newTestClient(t, s.URL, nil)
	notBefore := time.Date(2026, 12, 31, 18, 0, 0, 0, time.UTC)
	job, err := c.NewSelectedJob(t.Context(), SelectedJob{
		Select: Selection{Emails: []string{"ada@example.com"}, Assessment: "Backend"}, Notify: true,
		Wishes: Wishes{NotBefore: &notBefore, Reason: "closed", Message: "Sorry."},
	})
	if err != nil || job.ID != "j1" || string(job.Body) != jobBody(JobPreviewing, 0) {
		t.Errorf("%+v %v", job, err)
	}
	const body = `{"select":{"candidate_emails":["ada@example.com"],"assessment_name":"Backend"},"notify_candidate":true,` +
		`"not_before":"2026-12-31T18:00:00Z","reason":"closed","candidate_message":"Sorry."}`
	if diff := cmp.Diff([]string{body, body}, *sent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	keys := make(map[string]bool)
	for _, r := range s.requests() {
		keys[r.header.Get("Idempotency-Key")] = true
		if r.path != "/prefix/jobs" || r.query != "" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v", r)
		}
	}
	if len(keys) != 1 || keys[""] {
		t.Errorf("keys: %v", keys)
	}
}
