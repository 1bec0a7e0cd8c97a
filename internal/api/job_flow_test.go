package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

// as returns the header that replaces acme's key.
func as(secret string) []string { return []string{"apiKey", "", "apiKey", secret} }

// keyID returns the id of a key.
func (w *world) keyID(secret string) string {
	w.t.Helper()
	var account struct{ Key struct{ ID string } }
	w.call(http.MethodGet, "/account", "", as(secret)...).into(w.t, &account)
	return account.Key.ID
}

// newJob submits a job in JSON and waits until it has ended or waits. It fails the test unless the job is in that state then.
func (w *world) newJob(body, state string) (id string) {
	w.t.Helper()
	a := w.call(http.MethodPost, "/jobs", body)
	a.want(w.t, http.StatusAccepted, "")
	id = a.str(w.t, "id")
	w.wantState(id, state)
	return id
}

// outcomes returns the row, the status and the predicted outcome of each item of a job.
func (w *world) outcomes(id string) (all []string) {
	w.t.Helper()
	for _, one := range w.call(http.MethodGet, "/jobs/"+id+"/results", "").json(w.t)["data"].([]any) {
		r := one.(map[string]any)
		all = append(all, fmt.Sprint(r["row"], " ", r["status"], " ", r["predicted"]))
	}
	return all
}

// revoked counts the invites of acme that are revoked.
func (w *world) revoked() (n int) {
	w.t.Helper()
	return len(w.call(http.MethodGet, "/invites?revoked=true", "").json(w.t)["data"].([]any))
}

// history returns the types of the events of a job.
func (w *world) history(id string) string {
	w.t.Helper()
	var types []string
	for _, one := range w.call(http.MethodGet, "/events?subject="+id, "").json(w.t)["data"].([]any) {
		types = append(types, strings.TrimPrefix(one.(map[string]any)["type"].(string), "job."))
	}
	return strings.Join(types, " ")
}

// wantWrongState fails the test unless the answer refuses what the job's state does not allow.
func (a answer) wantWrongState(t *testing.T, state string) {
	t.Helper()
	a.want(t, http.StatusConflict, "wrong_state")
	if a.str(t, "state") != state {
		t.Errorf("got %s, want state %s", a.body, state)
	}
}

// wantMismatch fails the test unless the answer reports another count as the right one.
func (a answer) wantMismatch(t *testing.T, count float64) {
	t.Helper()
	a.want(t, http.StatusConflict, "count_mismatch")
	if a.json(t)["count"] != count {
		t.Errorf("got %s, want count %v", a.body, count)
	}
}

func TestFlow_preview(t *testing.T) {
	w := newWorld(t)
	id := w.newJob(`{"preview":true,"notify_candidate":true,"items":[{"report_id":300},{"report_id":1},{"report_id":999},{"report_id":300},{"report_id":"x"}]}`, "PREVIEWED")
	w.change(id, "start", "").wantWrongState(t, "PREVIEWED")
	w.change(id, "approve", `{"count":1}`).wantWrongState(t, "PREVIEWED")
	job := w.call(http.MethodGet, "/jobs/"+id, "").json(t)
	preview := job["preview"].(map[string]any)
	want := map[string]any{"REVOKED": 1.0, "ALREADY_REVOKED": 1.0, "NOT_ALLOWED": 1.0, "NOT_FOUND": 1.0, "ALREADY_STARTED": 0.0, "INVALID": 1.0, "UNKNOWN": 0.0}
	if diff := cmp.Diff(want, preview["predicted"]); diff != "" || preview["emails"] != 1.0 || preview["predicted_at"] == nil || job["expires_at"] == nil {
		t.Errorf("%v (-want +got):\n%s", job, diff)
	}
	if diff := cmp.Diff([]string{"1 PENDING REVOKED", "2 PENDING NOT_ALLOWED", "3 PENDING NOT_FOUND", "4 PENDING ALREADY_REVOKED", "5 INVALID INVALID"}, w.outcomes(id)); diff != "" {
		t.Errorf("before the confirmation (-want +got):\n%s", diff)
	}
	if n := w.revoked(); n != 0 {
		t.Errorf("a preview has revoked %d invites", n)
	}

	w.change(id, "confirm", `{"count":2}`).wantMismatch(t, 1)
	w.wantState(id, "PREVIEWED")
	confirmed := w.change(id, "confirm", `{"count":1}`)
	confirmed.want(t, http.StatusAccepted, "")
	if by := confirmed.str(t, "confirmed_by"); by != w.keyID(secret) {
		t.Errorf("confirmed by %s", by)
	}
	ended := w.wantState(id, "COMPLETED")
	if diff := cmp.Diff([]string{"1 REVOKED REVOKED", "2 NOT_ALLOWED NOT_ALLOWED", "3 NOT_FOUND NOT_FOUND", "4 ALREADY_REVOKED ALREADY_REVOKED", "5 INVALID INVALID"}, w.outcomes(id)); diff != "" {
		t.Errorf("after the end (-want +got):\n%s", diff)
	}
	again := w.change(id, "confirm", `{"count":1}`, as(writerSecret)...)
	if again.want(t, http.StatusAccepted, ""); again.body != ended.body {
		t.Errorf("repeated (-job +answer):\n%s", cmp.Diff(ended.body, again.body))
	}
	w.change(id, "confirm", `{"count":2}`).wantWrongState(t, "COMPLETED")
	if got := w.history(id); got != "created previewed confirmed started finished" {
		t.Errorf("events: %s", got)
	}
}

// What changes after a preview takes nothing more than what was confirmed.
func TestFlow_changesAfterThePreview(t *testing.T) {
	w := newWorld(t)
	id := w.newJob(`{"preview":true,"report_ids":[300,301,555]}`, "PREVIEWED")
	w.submit(`{"report_id":301}`).want(t, http.StatusOK, "")
	w.must(w.store.UpsertInvites(t.Context(), "acme", []revocation.Invite{invite(555, planChange)}))
	w.change(id, "confirm", `{"count":2}`).want(t, http.StatusAccepted, "")
	w.wantState(id, "COMPLETED")
	if diff := cmp.Diff([]string{"1 REVOKED REVOKED", "2 ALREADY_REVOKED REVOKED", "3 NOT_FOUND NOT_FOUND"}, w.outcomes(id)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlow_approval(t *testing.T) {
	w := newWorld(t)
	w.approveAbove(1)
	approver := w.keyID(approverSecret)
	confirmed := func(reports string) string {
		t.Helper()
		id := w.newJob(`{"report_ids":[`+reports+`]}`, "PREVIEWED")
		w.change(id, "cancel", "", as(approverSecret)...).want(t, http.StatusForbidden, "missing_scope")
		w.change(id, "confirm", `{"count":2}`, as(approverSecret)...).want(t, http.StatusForbidden, "missing_scope")
		w.change(id, "confirm", `{"count":2}`).want(t, http.StatusAccepted, "")
		if a := w.wantState(id, "AWAITING_APPROVAL"); a.json(t)["expires_at"] == nil {
			t.Error(a.body)
		}
		return id
	}

	id := confirmed("300,301")
	w.change(id, "approve", `{"count":2}`).want(t, http.StatusForbidden, "same_key")
	w.change(id, "approve", `{"count":1}`, as(approverSecret)...).wantMismatch(t, 2)
	w.change(id, "confirm", `{"count":2}`).want(t, http.StatusAccepted, "") // a repetition
	w.change(id, "start", "").wantWrongState(t, "AWAITING_APPROVAL")
	w.wantState(id, "AWAITING_APPROVAL")
	if n := w.revoked(); n != 0 {
		t.Errorf("%d invites are revoked without an approval", n)
	}
	w.change(id, "approve", `{"count":2}`, as(approverSecret)...).want(t, http.StatusAccepted, "")
	ended := w.wantState(id, "COMPLETED")
	if by := ended.str(t, "approved_by"); by != approver || w.revoked() != 2 {
		t.Errorf("%d invites are revoked: %s", w.revoked(), ended.body)
	}
	w.change(id, "approve", `{"count":2}`, as(approverSecret)...).want(t, http.StatusAccepted, "")
	if got := w.history(id); got != "created previewed confirmed approval_requested approved started finished" {
		t.Errorf("events: %s", got)
	}

	cancelled := confirmed("302,303")
	w.change(cancelled, "cancel", "", as(approverSecret)...).want(t, http.StatusAccepted, "")
	if a := w.wantState(cancelled, "CANCELLED"); a.str(t, "cancelled_by") != approver || w.revoked() != 2 {
		t.Errorf("%d invites are revoked: %s", w.revoked(), a.body)
	}
	w.change(cancelled, "approve", `{"count":2}`, as(approverSecret)...).wantWrongState(t, "CANCELLED")

	// Neither the job that was approved nor the one that was cancelled counts for the limit. A list in two parts does.
	w.newJob(`{"report_ids":[304]}`, "COMPLETED")
	w.newJob(`{"report_ids":[305]}`, "PREVIEWED")
}

func TestFlow_schedule(t *testing.T) {
	w := newWorld(t)
	tomorrow := fmt.Sprintf(`"not_before":%q`, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	id := w.newJob(`{"report_ids":[300],`+tomorrow+`}`, "SCHEDULED")
	w.change(id, "confirm", `{"count":1}`).wantWrongState(t, "SCHEDULED")
	if n := w.revoked(); n != 0 {
		t.Errorf("%d invites are revoked before their time", n)
	}
	w.change(id, "start", "").want(t, http.StatusAccepted, "")
	w.wantState(id, "COMPLETED")
	w.change(id, "start", "").wantWrongState(t, "COMPLETED")
	if got := w.history(id); got != "created started finished" || w.revoked() != 1 {
		t.Errorf("%d invites are revoked; events: %s", w.revoked(), got)
	}

	later := w.newJob(`{"report_ids":[301],"preview":true,`+tomorrow+`}`, "PREVIEWED")
	w.change(later, "confirm", `{"count":1}`).want(t, http.StatusAccepted, "")
	w.wantState(later, "SCHEDULED")
	w.change(later, "cancel", "").want(t, http.StatusAccepted, "")
	if a := w.wantState(later, "CANCELLED"); w.revoked() != 1 {
		t.Errorf("%d invites are revoked: %s", w.revoked(), a.body)
	}

	hour := time.Hour
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", Hold: &hour}))
	held := w.newJob(`{"report_ids":[302],"preview":true}`, "PREVIEWED")
	w.change(held, "confirm", `{"count":1}`).want(t, http.StatusAccepted, "")
	w.wantState(held, "SCHEDULED")
	w.change(held, "start", "").want(t, http.StatusAccepted, "")
	w.wantState(held, "COMPLETED")
}
