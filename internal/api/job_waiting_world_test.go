package api_test

import (
	"fmt"
	"net/http"
	"time"

	"rescind/internal/revocation"
)

const approverSecret = "rescind_the-key-of-acme-that-only-approves"

// previewingJob creates a job of acme that is previewed, at once or, while the queue is held, at release. It returns the id.
func (w *world) previewingJob(reportIDs ...int64) string {
	w.t.Helper()
	body := `{"label":"closed positions","preview":true,"report_ids":[`
	for i, id := range reportIDs {
		if i > 0 {
			body += ","
		}
		body += fmt.Sprint(id)
	}
	a := w.call(http.MethodPost, "/jobs", body+"]}")
	a.want(w.t, http.StatusAccepted, "")
	return a.str(w.t, "id")
}

// previewedJob creates a job of acme with a preview that is complete, and returns its id.
func (w *world) previewedJob(reportIDs ...int64) string {
	w.t.Helper()
	id := w.previewingJob(reportIDs...)
	w.wantState(id, "PREVIEWED")
	return id
}

// confirmable returns the number that a confirmation or an approval of a job must name.
func (w *world) confirmable(id string) int {
	w.t.Helper()
	var job struct {
		Preview struct{ Predicted map[string]int }
	}
	w.call(http.MethodGet, "/jobs/"+id, "").into(w.t, &job)
	return job.Preview.Predicted["REVOKED"]
}

// countBody returns the body of a confirmation or an approval that names the right number.
func (w *world) countBody(id string) string {
	w.t.Helper()
	return fmt.Sprintf(`{"count":%d}`, w.confirmable(id))
}

// wantState waits until the job has ended or waits, and returns it. It fails the test unless the job is in that state then.
func (w *world) wantState(id, state string) answer {
	w.t.Helper()
	a := w.call(http.MethodGet, "/jobs/"+id, "", "Prefer", "wait=30")
	if got := a.str(w.t, "state"); got != state {
		w.t.Fatalf("the job is %s and not %s: %s", got, state, a.body)
	}
	return a
}

// change sends a request that changes the state of a job.
func (w *world) change(id, change, body string, headers ...string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/jobs/"+id+"/"+change, body, headers...)
}

// approveAbove sets that limit of acme, or removes it if n is negative.
func (w *world) approveAbove(n int) {
	w.t.Helper()
	w.must(w.store.SetAccount(w.t.Context(), revocation.AccountChange{ID: "acme", ApproveAbove: &n}))
}

// confirmedJob creates a job of one invite that has been confirmed.
func (w *world) confirmedJob(reportID int64) string {
	w.t.Helper()
	id := w.previewedJob(reportID)
	w.change(id, "confirm", w.countBody(id)).want(w.t, http.StatusAccepted, "")
	return id
}

// jobForApproval creates a job of one invite that waits for an approval. The key of acme has submitted and confirmed it.
func (w *world) jobForApproval(reportID int64) string {
	w.t.Helper()
	w.ended(w.job(items(999)...)) // it counts for the limit
	w.approveAbove(0)
	defer w.approveAbove(-1)
	id := w.confirmedJob(reportID)
	w.wantState(id, "AWAITING_APPROVAL")
	return id
}

// approvedJob creates a job of one invite that has been approved.
func (w *world) approvedJob(reportID int64) string {
	w.t.Helper()
	id := w.jobForApproval(reportID)
	w.change(id, "approve", w.countBody(id), "apiKey", "", "apiKey", approverSecret).want(w.t, http.StatusAccepted, "")
	return id
}

// scheduledJob creates a job of one invite that begins tomorrow.
func (w *world) scheduledJob(reportID int64) string {
	w.t.Helper()
	a := w.call(http.MethodPost, "/jobs", fmt.Sprintf(`{"label":"closed positions","report_ids":[%d],"not_before":%q}`,
		reportID, time.Now().Add(24*time.Hour).Format(time.RFC3339)))
	a.want(w.t, http.StatusAccepted, "")
	return a.str(w.t, "id")
}
