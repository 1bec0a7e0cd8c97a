package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

func TestJobOf(t *testing.T) {
	for name, c := range map[string]struct {
		job  revocation.Job
		want string
	}{
		"as the contract shows it": {
			exampleRunning,
			`{"id":"0197a3c2-8f4e-7b1a-9c3d-5e6f00000000","label":"closed positions","reason":null,"candidate_message":null,"not_before":null,"state":"RUNNING","retry_of":null,` +
				`"total":1000000,"pending":400000,"retrying":12,` +
				`"counts":{"REVOKED":590000,"ALREADY_REVOKED":0,"NOT_ALLOWED":9000,"ALREADY_STARTED":0,"NOT_FOUND":888,"ERROR_REVOKING":0,"INVALID":100,"CANCELLED":0},` +
				`"notifications":{"PENDING":0,"SENT":0,"FAILED":0,"UNKNOWN":0,"DELEGATED":0,"BOUNCED":0,"SUPPRESSED":0},"preview":null,"file":null,` +
				`"progress":0.5999,"items_per_second":21000,"eta":"2025-06-24T21:06:15.398Z",` +
				`"requested_by":"01979d10-2f3c-7a4e-8b5d-1c2e3f405162","confirmed_by":null,"approved_by":null,"cancelled_by":null,"created_at":"2025-06-24T21:05:26.350Z","started_at":"2025-06-24T21:05:28.350Z","finished_at":null,"expires_at":null}`,
		},
		"every member has its own value": {
			revocation.Job{
				ID: revocation.JobID(exampleRevoked.ID), State: revocation.JobCompleted, RetryOf: exampleRevoked.ID, RequestedBy: exampleRevoked.ID,
				Total: 50, Retrying: 3, Counts: revocation.Counts{Revoked: 1, AlreadyRevoked: 2, NotAllowed: 4, AlreadyStarted: 14, NotFound: 5, ErrorRevoking: 6, Invalid: 7, Cancelled: 8},
				Mails:     revocation.MailCounts{Pending: 9, Sent: 10, Failed: 11, Unknown: 12, Delegated: 13},
				StartedAt: exampleRevoked.CreatedAt(), FinishedAt: exampleRevoked.CreatedAt().Add(4 * time.Second),
				Reason: new("a reason"), CandidateMessage: new("a message\n"), NotBefore: exampleRevoked.CreatedAt().Add(time.Second),
				Preview: &revocation.Preview{
					Predicted: revocation.PredictedCounts{Revoked: 21, AlreadyRevoked: 22, NotAllowed: 23, NotFound: 24, AlreadyStarted: 25, Invalid: 26, Unknown: 27},
					Emails:    new(28), PredictedAt: exampleRevoked.CreatedAt().Add(2 * time.Second),
				},
				ConfirmedBy: revocation.ID{15: 1}, ApprovedBy: revocation.ID{15: 2}, CancelledBy: revocation.ID{15: 3},
				ExpiresAt: exampleRevoked.CreatedAt().Add(3 * time.Second),
			},
			`{"id":"0197a3c2-8f4e-7b1a-9c3d-5e6f00000000","label":null,"reason":"a reason","candidate_message":"a message\n","not_before":"2025-06-24T21:05:27.350Z","state":"COMPLETED","retry_of":"0197a3c2-8f4e-7b1a-9c3d-5e6f70819203",` +
				`"total":50,"pending":0,"retrying":3,` +
				`"counts":{"REVOKED":1,"ALREADY_REVOKED":2,"NOT_ALLOWED":4,"ALREADY_STARTED":14,"NOT_FOUND":5,"ERROR_REVOKING":6,"INVALID":7,"CANCELLED":8},` +
				`"notifications":{"PENDING":9,"SENT":10,"FAILED":11,"UNKNOWN":12,"DELEGATED":13,"BOUNCED":0,"SUPPRESSED":0},` +
				`"preview":{"predicted":{"REVOKED":21,"ALREADY_REVOKED":22,"NOT_ALLOWED":23,"NOT_FOUND":24,"ALREADY_STARTED":25,"INVALID":26,"UNKNOWN":27},` +
				`"emails":28,"predicted_at":"2025-06-24T21:05:28.350Z"},"file":null,` +
				`"progress":0.94,"items_per_second":10,"eta":null,` +
				`"requested_by":"0197a3c2-8f4e-7b1a-9c3d-5e6f70819203","confirmed_by":"00000000-0000-0000-0000-000000000001",` +
				`"approved_by":"00000000-0000-0000-0000-000000000002","cancelled_by":"00000000-0000-0000-0000-000000000003","created_at":"2025-06-24T21:05:26.350Z","started_at":"2025-06-24T21:05:26.350Z","finished_at":"2025-06-24T21:05:30.350Z","expires_at":"2025-06-24T21:05:29.350Z"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, string(jsonOf(jobOf(&c.job)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestProgressOf_roundsDown(t *testing.T) {
	for _, c := range []struct {
		done, total int
		want        string
	}{
		{0, 0, "0"},
		{0, 7, "0"},
		{1, 1_000_000, "0"},
		{1, 10_000, "0.0001"},
		{1, 3, "0.3333"},
		{2, 3, "0.6666"},
		{3, 10, "0.3"},
		{29, 100, "0.29"}, // 0.29 * 10,000 is below 2,900 in floats
		{999_999, 1_000_000, "0.9999"},
		{revocation.MaxJobItems - 1, revocation.MaxJobItems, "0.9999"},
		{revocation.MaxJobItems, revocation.MaxJobItems, "1"},
	} {
		job := revocation.Job{Total: c.total, Counts: revocation.Counts{Revoked: c.done}}
		if got := string(jsonOf(progressOf(&job))); got != c.want {
			t.Errorf("%d of %d: %s, want %s", c.done, c.total, got, c.want)
		}
	}
}

func TestRounded(t *testing.T) {
	for speed, want := range map[float64]string{
		0: "0", 0.04: "0", 0.05: "0.1", 1.24: "1.2", 9.94: "9.9", 9.96: "10", 10.4: "10", 21000.5: "21001", 1e7: "10000000",
	} {
		if got := string(jsonOf(rounded(speed))); got != want {
			t.Errorf("%v: %s, want %s", speed, got, want)
		}
	}
}

func TestAppendRevocation_inferred(t *testing.T) {
	r := exampleRevoked
	r.Inferred, r.Timestamp = true, "2025-01-15 10:32:45"
	want := `{"status":"REVOKED","message":"Invite Revoked successfully.","timestamp":"2025-01-15 10:32:45","inferred":true,"id":`
	if got := string(appendRevocation(nil, &r)); got[:len(want)] != want {
		t.Error(got)
	}
}

func TestAppendResultRow_defusesFormulas(t *testing.T) {
	for reference, want := range map[string]string{
		"":                `""`,
		"plain":           `"plain"`,
		"=1+1":            `"'=1+1"`,
		"\u0085=1,2":      "\"'\u0085'=1,2\"",
		`x;=cmd|"/c x"!0`: `"x;'=cmd|""/c x""!0"`,
	} {
		r := exampleResults[1]
		r.ClientReference, r.Reason, r.Predicted = &reference, &reference, revocation.StatusNotAllowed
		want := "2,0197a3c2-8f4e-7b1a-9c3d-5e6f00000002,319," + want +
			`,NOT_ALLOWED,"Invite was sent before the latest plan change","2025-01-15 10:32:45",1,NOT_REQUESTED,` + want + ",NOT_ALLOWED\r\n"
		if diff := cmp.Diff(want, string(appendResultRow(nil, &r))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", reference, diff)
		}
	}
	t.Run("what comes from upstreams and about bad rows", func(t *testing.T) {
		r := exampleResults[2]
		r.Invalid, r.Timestamp = "=1", "@x"
		want := "3,0197a3c2-8f4e-7b1a-9c3d-5e6f00000003,,,INVALID,\"'=1\",\"'@x\",0,NOT_REQUESTED,,\r\n"
		if diff := cmp.Diff(want, string(appendResultRow(nil, &r))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestNegotiate(t *testing.T) {
	for i, c := range []struct {
		accept []string
		want   string
	}{
		{nil, mediaJSON},
		{[]string{""}, mediaJSON},
		{[]string{"*/*"}, mediaJSON},
		{[]string{"application/json"}, mediaJSON},
		{[]string{"text/csv"}, mediaCSV},
		{[]string{"TEXT/CSV; charset=utf-8"}, mediaCSV},
		{[]string{"text/*"}, mediaCSV},
		{[]string{"application/*"}, mediaJSON},
		{[]string{"application/x-ndjson"}, mediaNDJSON},
		{[]string{"text/csv, */*"}, mediaCSV},
		{[]string{"*/*, text/csv"}, mediaCSV},
		{[]string{"text/csv;q=0.5, */*"}, mediaJSON},
		{[]string{"text/csv;q=0.5", "application/x-ndjson;q=0.501"}, mediaNDJSON},
		{[]string{"text/csv, application/json"}, mediaCSV},
		{[]string{"application/json, text/csv"}, mediaJSON},
		{[]string{"application/json;q=0, */*"}, mediaNDJSON},
		{[]string{"application/*;q=0, */*;q=0.1"}, mediaCSV},
		{[]string{"text/csv;q=0"}, mediaJSON},
		{[]string{"text/html"}, mediaJSON},
		{[]string{"text/html, text/csv;q=0.001"}, mediaCSV},
		{[]string{`text/csv;x=",;q=0";q=0.9, application/json ; q = 0.8`}, mediaCSV},
		{[]string{"text/csv;q=2, application/json;q=0.1"}, mediaJSON},
		{[]string{"text/csv;q=0.1234, application/x-ndjson;q=0.1"}, mediaNDJSON},
		{[]string{"text/csv;q=, application/x-ndjson;q=.5, application/*;q=0.1"}, mediaJSON},
		{[]string{"text/csv;q=1.001"}, mediaJSON},
		{[]string{"text/csv;q=1.000"}, mediaCSV},
		{[]string{"text/csv;q=-0", "csv", "/", "*"}, mediaJSON},
		{[]string{"*/csv"}, mediaJSON},
	} {
		t.Run(fmt.Sprint(i, c.accept), func(t *testing.T) {
			if got := negotiate(c.accept, resultMedia); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
