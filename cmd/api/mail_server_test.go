package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

// A mail server that refuses the service loses no email, and one that refuses a candidate delays no other candidate.
func TestMailServer(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	mail := testservers.SMTP(t)
	p := prepareProduction(t, testservers.Postgres(t), testservers.Redis(t), mail, "MAIL_MAX_AGE=3s")
	p.startAPI()
	worker, admin := p.startWorker()
	revoke := func(report int) (id string) {
		return p.revoke(report, true, "").str("id")
	}
	look := func(id string) answer { return p.must(http.MethodGet, "/revocations/"+id, "", "") }
	attempts := func(a answer) float64 {
		return a.body["notification"].(map[string]any)["attempts"].(float64)
	}
	t.Run("an email waits while an operator's mistake lasts, and the mistake is reported", func(t *testing.T) {
		for _, text := range []string{"5.7.1 <candidate1@example.com>: Relay access denied", "5.5.2 Helo command rejected"} {
			tried := make(chan struct{}, 100)
			mail.Script(func(step testservers.Step, _ int) testservers.Fault {
				if step != testservers.StepRcpt {
					return testservers.Fault{}
				}
				select {
				case tried <- struct{}{}:
				default:
				}
				return testservers.Fault{Code: 554, Text: text}
			})
			ids := []string{revoke(1 + 2*len(mail.Messages())), revoke(2 + 2*len(mail.Messages()))}
			for range 8 {
				<-tried
			}
			for _, id := range ids {
				if a := look(id); a.notification() != "PENDING" || attempts(a) != 0 {
					t.Errorf("%s: %v", text, a.body)
				}
			}
			mail.Script(nil)
			for _, id := range ids {
				if a := p.settled(id); a.notification() != "SENT" {
					t.Errorf("%s: %v", text, a.body)
				}
			}
		}
		log := worker.log()
		for _, part := range []string{`"reason":"policy"`, `"reason":"protocol"`, `"step":"rcpt"`, `"smtp_code":554`, `"smtp_status":"5.7.1"`} {
			if !strings.Contains(log, part) {
				t.Errorf("%s is missing in the log:\n%s", part, log)
			}
		}
		if strings.Contains(log, "candidate1") || strings.Contains(log, "denied") {
			t.Error("the log has the server's words")
		}
		if metrics := text(t, "http://"+admin+"/metrics"); strings.Contains(metrics, `rescind_delivery_failures_total{reason="policy"} 0`) {
			t.Error("no metric names the reason")
		}
	})
	t.Run("a recipient that is always refused temporarily delays no other, and fails in the end", func(t *testing.T) {
		mail.ScriptRecipient("candidate11@example.com", testservers.Fault{Code: 451, Text: "4.7.1 Greylisting in action, please come back later"})
		grey := revoke(11)
		until(t, "it was refused", func() bool { return strings.Contains(worker.log(), `"smtp_status":"4.7.1"`) })
		if a := look(grey); a.notification() != "PENDING" || attempts(a) != 0 {
			t.Errorf("%v", a.body)
		}
		for report := 12; report < 15; report++ {
			if a := p.settled(revoke(report)); a.notification() != "SENT" {
				t.Errorf("%v", a.body)
			}
		}
		if a := p.settled(grey); a.notification() != "FAILED" || attempts(a) < 1 {
			t.Errorf("%v", a.body)
		}
	})
	t.Run("a recipient that is refused fails at once", func(t *testing.T) {
		mail.ScriptRecipient("candidate21@example.com", testservers.Fault{Code: 550, Text: "5.1.1 User unknown"})
		if a := p.settled(revoke(21)); a.notification() != "FAILED" || attempts(a) != 1 {
			t.Errorf("%v", a.body)
		}
	})
	t.Run("a mail server that does not answer degrades the worker", func(t *testing.T) {
		mail.Close()
		id := revoke(31)
		until(t, "the worker is degraded and states the reason", func() bool {
			ready := text(t, "http://"+admin+"/readyz")
			return strings.Contains(ready, `"state":"degraded"`) && strings.Contains(ready, "connection_refused")
		})
		if a := look(id); a.notification() != "PENDING" || attempts(a) != 0 {
			t.Errorf("%v", a.body)
		}
	})
}

// text returns the body of the response to a GET.
func text(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
