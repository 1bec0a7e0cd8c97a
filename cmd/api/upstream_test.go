package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rescind/internal/testservers"
)

const (
	upstreamKey = "the-key-at-the-upstream"
	secretsKey  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

// startUpstream starts production with an account whose invites are at an upstream.
func startUpstream(t *testing.T, flags ...string) (*production, *testservers.PlatformServer) {
	t.Helper()
	p := startProduction(t)
	p.env = append(p.env, "SECRETS_KEY="+secretsKey, "UPSTREAM_TIMEOUT=2s")
	platform := testservers.Platform(t, upstreamKey)
	p.setUpstream(append([]string{"--upstream-url", platform.URL(), "--upstream-key-file", keyFile(t, upstreamKey)}, flags...)...)
	return p, platform
}

func (p *production) setUpstream(flags ...string) {
	p.t.Helper()
	mustCommand(p.t, p.env, "", append([]string{"account", "set", "acme"}, flags...)...)
}

func keyFile(t *testing.T, key string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// job submits reports 1 to n as a job, and returns its id.
func (p *production) job(n int) string {
	p.t.Helper()
	reports := make([]string, n)
	for i := range reports {
		reports[i] = fmt.Sprint(i + 1)
	}
	a := p.must(http.MethodPost, "/jobs", `{"notify_candidate": true, "report_ids": [`+strings.Join(reports, ",")+`]}`, "")
	if a.code != http.StatusAccepted {
		p.t.Fatalf("job: %d %v", a.code, a.body)
	}
	return a.str("id")
}

// ended polls a job until it has ended, and checks at every read that its numbers add up.
func (p *production) ended(id string) answer {
	p.t.Helper()
	var a answer
	until(p.t, "job "+id+" has ended", func() bool {
		a = p.must(http.MethodGet, "/jobs/"+id, "", "")
		p.addsUp(a)
		return a.body["finished_at"] != nil
	})
	return a
}

func (p *production) addsUp(a answer) {
	p.t.Helper()
	number := func(field string) float64 { n, _ := a.body[field].(float64); return n }
	sum := number("pending") + number("retrying")
	for _, n := range a.body["counts"].(map[string]any) {
		sum += n.(float64)
	}
	if sum != number("total") || number("pending") < 0 {
		p.t.Fatalf("the numbers of the job do not add up: %v", a.body)
	}
}

func count(a answer, status string) int {
	n, _ := a.body["counts"].(map[string]any)[status].(float64)
	return int(n)
}

// onceEach fails the test unless the platform has revoked each of n invites exactly once.
func onceEach(t *testing.T, platform *testservers.PlatformServer, n int) {
	t.Helper()
	revoked := platform.Revoked()
	if len(revoked) != n {
		t.Errorf("%d invites are revoked at the platform, want %d", len(revoked), n)
	}
	for report, times := range revoked {
		if times != 1 {
			t.Errorf("report %d was revoked %d times", report, times)
		}
	}
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("a job of which every third item needs three attempts", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t, "--upstream-concurrency", "16")
		platform.SetFault(func(c testservers.PlatformCall) testservers.PlatformFault {
			if c.ReportID%3 == 0 && c.Nth < 3 {
				return testservers.PlatformFault{Status: "ERROR_REVOKING"}
			}
			return testservers.PlatformFault{}
		})
		p.startAPI()
		p.startWorker()
		p.startWorker()
		a := p.ended(p.job(1000))
		if count(a, "REVOKED") != 1000 {
			t.Errorf("counts %v", a.body["counts"])
		}
		if n := a.body["notifications"].(map[string]any)["DELEGATED"]; n != 1000.0 {
			t.Errorf("notifications %v", a.body["notifications"])
		}
		onceEach(t, platform, 1000)
		if got := len(platform.Calls()); got != 1000+2*333 {
			t.Errorf("%d calls", got)
		}
		if most := platform.MostAtOnce(); most > 16 {
			t.Errorf("%d calls at once", most)
		}
		for _, c := range platform.Calls() {
			if !c.Notify || c.Key != upstreamKey {
				t.Fatalf("call %+v", c)
			}
		}
		if mails := p.mail.Messages(); len(mails) != 0 {
			t.Errorf("%d emails of our own", len(mails))
		}
	})
	t.Run("single submissions: only outcomes that were in doubt are inferred", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t)
		platform.SetFault(func(c testservers.PlatformCall) testservers.PlatformFault {
			return testservers.PlatformFault{Lose: c.ReportID == 70001 && c.Nth == 1, Drop: c.ReportID == 70003 && c.Nth == 1}
		})
		p.startAPI()
		p.startWorker()
		lost := p.final(p.revoke(70001, true, "respond-async").str("id"))
		if lost.str("status") != "REVOKED" || lost.body["inferred"] != true || lost.notification() != "DELEGATED" {
			t.Errorf("answer lost: %v", lost.body)
		}
		plain := p.final(p.revoke(70002, false, "respond-async").str("id"))
		if plain.str("status") != "REVOKED" || plain.body["inferred"] != nil || plain.notification() != "NOT_REQUESTED" {
			t.Errorf("plain: %v", plain.body)
		}
		again := p.final(p.revoke(70002, false, "wait=30").str("id"))
		if again.str("status") != "ALREADY_REVOKED" {
			t.Errorf("again: %v", again.body)
		}
		dropped := p.final(p.revoke(70003, false, "wait=30").str("id"))
		if dropped.str("status") != "REVOKED" || dropped.body["inferred"] != nil || dropped.body["attempts"] != 2.0 {
			t.Errorf("dropped: %v", dropped.body)
		}
		onceEach(t, platform, 3)
	})
	t.Run("a worker that is killed in the middle of a job loses nothing and repeats no call that was written", func(t *testing.T) {
		t.Parallel()
		const items, concurrency = 600, 8
		p, platform := startUpstream(t, "--upstream-concurrency", fmt.Sprint(concurrency))
		platform.SetFault(func(testservers.PlatformCall) testservers.PlatformFault {
			return testservers.PlatformFault{Delay: 5 * time.Millisecond}
		})
		p.startAPI()
		worker, _ := p.startWorker()
		id := p.job(items)
		until(t, "the job is half done", func() bool { return len(platform.Calls()) > items/2 })
		worker.kill()
		p.startWorker()
		a := p.ended(id)
		if count(a, "REVOKED") != items {
			t.Errorf("counts %v", a.body["counts"])
		}
		onceEach(t, platform, items)
		// A claim is at most two rounds of calls, and outcomes are written in groups shortly after.
		if repeated := len(platform.Calls()) - items; repeated > 8*concurrency {
			t.Errorf("%d calls were repeated", repeated)
		}
	})
	t.Run("a refused key pauses the account until it is changed, and account list shows it", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t, "--upstream-concurrency", "2")
		platform.SetKey("another")
		p.startAPI()
		p.startWorker()
		refused := p.final(p.revoke(1, false, "wait=30").str("id"))
		failure, _ := refused.body["last_error"].(map[string]any)
		if refused.str("status") != "ERROR_REVOKING" || failure["code"] != "upstream_unauthorized" {
			t.Errorf("refused: %v", refused.body)
		}
		until(t, "the account is paused", func() bool {
			return strings.Contains(mustCommand(t, p.env, "", "account", "list"), "upstream_unauthorized")
		})
		waiting := p.revoke(2, false, "wait=1")
		if waiting.code != http.StatusAccepted || waiting.str("status") != "PENDING" || waiting.body["attempts"] != 0.0 {
			t.Errorf("kept: %v", waiting.body)
		}
		mustCommand(t, p.env, "another\n", "account", "set", "acme", "--upstream-key-file", "-")
		if a := p.final(waiting.str("id")); a.str("status") != "REVOKED" {
			t.Errorf("resumed: %v", a.body)
		}
		if list := mustCommand(t, p.env, "", "account", "list"); strings.Contains(list, "paused") {
			t.Errorf("listing: %s", list)
		}
	})
	t.Run("codes without a documented status", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t)
		json := http.Header{"Content-Type": {"application/json"}}
		faults := map[int64]testservers.PlatformFault{
			80404: {Code: 404, Header: json, Body: `{"error": "no such report"}`},
			80400: {Code: 400}, 80422: {Code: 422},
			80500: {Code: 500}, 80429: {Code: 429, Header: http.Header{"Retry-After": {"1"}}},
			80405: {Code: 404, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>"},
		}
		platform.SetFault(func(c testservers.PlatformCall) testservers.PlatformFault {
			if c.ReportID < 80404 && c.Nth > 1 || c.Nth > 1 {
				return testservers.PlatformFault{}
			}
			return faults[c.ReportID]
		})
		p.startAPI()
		p.startWorker()
		for report, want := range map[int]string{
			80404: "NOT_FOUND", 80400: "ERROR_REVOKING", 80422: "ERROR_REVOKING",
			80500: "REVOKED", 80429: "REVOKED", 80405: "REVOKED",
		} {
			a := p.final(p.revoke(report, false, "respond-async").str("id"))
			if a.str("status") != want {
				t.Errorf("report %d: %v", report, a.body)
			}
		}
	})
	t.Run("a dead upstream of one account does not hold up another's", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t)
		platform.SetFault(func(testservers.PlatformCall) testservers.PlatformFault {
			return testservers.PlatformFault{Delay: time.Minute}
		})
		well := testservers.Platform(t, upstreamKey)
		mustCommand(t, p.env, "", "account", "set", "well", "--upstream-url", well.URL(), "--upstream-key-file", keyFile(t, upstreamKey))
		other := client{t, "", strings.TrimSpace(mustCommand(t, p.env, "", "key", "create", "--account", "well"))}
		p.startAPI()
		other.url = p.url
		p.startWorker()
		p.job(200)
		until(t, "the dead upstream is called", func() bool { return len(platform.Calls()) > 0 })
		if a := other.revoke(5, false, "wait=30"); a.str("status") != "REVOKED" {
			t.Errorf("the other: %v", a.body)
		}
	})
	t.Run("items of a cancelled job that still wait are not sent to the upstream", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t, "--upstream-concurrency", "1", "--upstream-rate", "20")
		p.startAPI()
		p.startWorker()
		id := p.job(500)
		until(t, "some calls were made", func() bool { return len(platform.Calls()) > 3 })
		p.must(http.MethodPost, "/jobs/"+id+"/cancel", "", "")
		a := p.ended(id)
		if a.str("state") != "CANCELLED" || count(a, "CANCELLED") < 400 || count(a, "CANCELLED")+count(a, "REVOKED") != 500 {
			t.Errorf("cancelled: %v", a.body)
		}
		onceEach(t, platform, count(a, "REVOKED"))
	})
	t.Run("a job at a slow pace does not hold up a single submission", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t, "--upstream-rate", "4")
		p.startAPI()
		p.startWorker()
		p.job(200)
		until(t, "the job is under way", func() bool { return len(platform.Calls()) > 2 })
		before := len(platform.Calls())
		if a := p.revoke(90000, false, "wait=30"); a.str("status") != "REVOKED" {
			t.Fatalf("single: %v", a.body)
		}
		for i, c := range platform.Calls()[before:] {
			if c.ReportID == 90000 && i > 6 {
				t.Errorf("%d calls of the job came first", i)
			}
		}
	})
	t.Run("the key is in nothing but the encrypted column", func(t *testing.T) {
		t.Parallel()
		p, platform := startUpstream(t)
		p.startAPI()
		p.startWorker()
		p.final(p.revoke(1, false, "wait=30").str("id"))
		if len(platform.Calls()) == 0 {
			t.Fatal("no call was made")
		}
		if list := mustCommand(t, p.env, "", "account", "list"); strings.Contains(list, upstreamKey) {
			t.Errorf("listing: %s", list)
		}
		_, errs, exit := command(t, p.env[:len(p.env)-2], "", "account", "set", "acme", "--upstream-key-file", keyFile(t, "new-secret"))
		if exit == 0 || !strings.Contains(errs, "SECRETS_KEY") || strings.Contains(errs, "new-secret") {
			t.Errorf("without SECRETS_KEY: exit %d: %s", exit, errs)
		}
	})
}
