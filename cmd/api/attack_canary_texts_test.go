package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// singleBody returns a submission with a reference, a reason and a message to the candidate. refused is added to the message.
func singleBody(report int, refused string) string {
	return fmt.Sprintf(`{"report_id":%d,"notify_candidate":true,"client_reference":%q,"reason":%q,"candidate_message":%q}`,
		report, canaryReference, canaryReason, canaryMessage+"\nThank you. "+refused)
}

// created sends a request and returns the id of what it creates.
func (v *aviary) created(path, body string) string {
	v.t.Helper()
	status, text := v.ask(v.key, http.MethodPost, path, body)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(text), &made); err != nil || status != http.StatusAccepted && status != http.StatusOK {
		v.t.Fatalf("%s: %d %s", path, status, text)
	}
	return made.ID
}

// decideLater submits texts in singles, jobs and items, which wait, are previewed, started, cancelled, retried and refused.
func (v *aviary) decideLater() {
	v.t.Helper()
	const single = "/assessments/invite/revoke"
	refused := v.created(single, singleBody(16, canaryRefused))
	until(v.t, "the mail server has refused the message", func() bool {
		_, text := v.ask(v.key, http.MethodGet, "/revocations/"+refused, "")
		return strings.Contains(text, `"notification":{"status":"FAILED"`)
	})
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	waiting := func(report int) string {
		return strings.TrimSuffix(singleBody(report, ""), "}") + `,"not_before":"` + tomorrow + `"}`
	}
	v.ask(v.key, http.MethodPost, "/revocations/"+v.created(single, waiting(17))+"/cancel", "")
	started := v.created(single, waiting(18))
	v.ask(v.key, http.MethodPost, "/revocations/"+started+"/start", "")
	v.ask(v.key, http.MethodGet, "/revocations/"+started, "", "Prefer", "wait=30")

	job := func(members string) string {
		return fmt.Sprintf(`{"items":[{"report_id":19,"reason":%[1]q,"client_reference":%[2]q},{"report_id":13,"reason":%[1]q},{"report_id":"x","reason":%[1]q},{"report_id":20,"reason":["canary"]}],
			"label":%[3]q,"reason":%[1]q,"candidate_message":%[4]q,"notify_candidate":true%[5]s}`,
			canaryReason, canaryReference, canaryLabel, canaryMessage+"\nThank you.", members)
	}
	scheduled := "/jobs/" + v.created("/jobs", job(`,"not_before":"`+tomorrow+`"`))
	v.ask(v.key, http.MethodGet, scheduled+"/email", "")
	v.ask(v.key, http.MethodPost, scheduled+"/confirm", `{"count":1}`)
	v.ask(v.key, http.MethodPost, scheduled+"/start", "")
	until(v.t, "the items that can end have ended", func() bool {
		_, text := v.ask(v.key, http.MethodGet, scheduled, "")
		return strings.Contains(text, `"pending":0`)
	})
	v.ask(v.key, http.MethodGet, scheduled+"/results", "", "Accept", "text/csv")
	v.ask(v.key, http.MethodPost, scheduled+"/cancel", "")
	previewed := "/jobs/" + v.created("/jobs", job(`,"preview":true`))
	v.ask(v.key, http.MethodGet, previewed, "", "Prefer", "wait=30")
	v.ask(v.key, http.MethodGet, previewed+"/results?predicted=REVOKED", "")
	v.ask(v.key, http.MethodPost, previewed+"/confirm", `{"count":4711}`)
	if status, text := v.ask(v.key, http.MethodPost, previewed+"/confirm", `{"count":1}`); status != http.StatusAccepted {
		v.t.Errorf("confirm: %d %s", status, text)
	}
	until(v.t, "the confirmed items that can end have ended", func() bool {
		_, text := v.ask(v.key, http.MethodGet, previewed, "")
		return strings.Contains(text, `"pending":0`)
	})
	v.ask(v.key, http.MethodPost, previewed+"/cancel", "")

	for what, body := range map[string]string{
		"a label that the database refuses":               strings.Replace(job(""), canaryLabel, canaryLabel+canaryRefused, 1),
		"the reason of an item that the database refuses": strings.Replace(job(""), canaryReason, canaryReason+canaryRefused, 1),
	} {
		if status, text := v.ask(v.key, http.MethodPost, "/jobs", body); status < 500 {
			v.t.Errorf("%s: %d %s", what, status, text)
		}
	}
}

// findInvites imports invites over HTTP, good ones and bad ones, searches for candidates and selects them for jobs.
func (v *aviary) findInvites() {
	v.t.Helper()
	row := "," + canaryName + "," + canaryAddress + "," + canaryAssessment + ","
	status, text := v.ask(v.key, http.MethodPut, "/invites", "report_id,candidate_name,candidate_email,assessment_name,sent_at\n"+
		"2001"+row+"2026-01-01T00:00:00Z\n2002"+row+canaryHeader+"\n"+canaryHeader+row+"2026-01-01T00:00:00Z\n", "Content-Type", "text/csv")
	if status != http.StatusOK || !strings.Contains(text, `"written":1,`) {
		v.t.Errorf("%d %s", status, text)
	}
	for _, search := range []string{`{"q":"canaryname"}`, `{"candidate_email":"` + canaryAddress + `"}`} {
		if status, text := v.ask(v.key, http.MethodPost, "/invites/search", search); status != http.StatusOK || !strings.Contains(text, `"report_id":2001,`) {
			v.t.Errorf("%d %s", status, text)
		}
	}
	v.ask(v.key, http.MethodPost, "/invites/search", `{"q":"canary","state":"canary","cursor":"canary","canary!":1}`)
	if status, text := v.ask(v.key, http.MethodGet, "/invites/2001", ""); status != http.StatusOK {
		v.t.Errorf("%d %s", status, text)
	}
	for members, want := range map[string]int{
		`"candidate_emails":["` + canaryAddress + `"],"assessment_name":"` + canaryAssessment + `"`: http.StatusAccepted,
		`"candidate_emails":["nobody.` + canaryAddress + `"]`:                                       http.StatusUnprocessableEntity,
		`"candidate_emails":["` + canaryName + `",1],"canary!":"canary","state":"canary"`:           http.StatusUnprocessableEntity,
	} {
		if status, text := v.ask(v.key, http.MethodPost, "/jobs", `{"select":{`+members+`}}`); status != want {
			v.t.Errorf("selection: %d %s", status, text)
		}
	}
}

// listEvents reads all events of the account. They describe what was done, and ask checks that they contain no such text.
func (v *aviary) listEvents() {
	v.t.Helper()
	_, text := v.ask(v.key, http.MethodGet, "/events?limit=1000", "")
	for _, kind := range []string{"account.changed", "invites.imported", "key.created", "revocation.cancelled", "job.created", "job.previewed", "job.confirmed", "job.started", "job.cancel_requested", "job.finished"} {
		if !strings.Contains(text, `"type":"`+kind+`"`) {
			v.t.Errorf("there is no %s: %s", kind, text)
		}
	}
}
