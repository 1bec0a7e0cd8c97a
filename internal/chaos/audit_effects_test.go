package chaos_test

import (
	"math/rand/v2"
	"slices"
)

// auditPlatforms checks that each REVOKED revocation revoked its invite, and each revoked invite has a REVOKED revocation.
func (c *cluster) auditPlatforms(rows map[string]*row) {
	upstream := make(map[string]bool)
	for _, a := range c.accounts {
		upstream[a.id] = a.upstream
	}
	revoked := c.platform.Revoked()
	recorded, certain := make(map[int64]int), make(map[int64]int)
	delegated := make(map[int64]bool)
	for id, r := range rows {
		if !upstream[r.account] {
			if (r.status == "REVOKED") != r.revokedBy {
				c.violate(effects, "revocation %s of %s is %s, and its invite was revoked by it: %v", id, r.account, r.status, r.revokedBy)
			}
			if r.inferred {
				c.violate(effects, "revocation %s of %s is inferred, without an upstream", id, r.account)
			}
			continue
		}
		if r.status != "REVOKED" {
			continue
		}
		recorded[*r.report]++
		delegated[*r.report] = delegated[*r.report] || r.mail != nil && *r.mail == "DELEGATED"
		if !r.inferred {
			certain[*r.report]++
		}
		if revoked[*r.report] == 0 {
			c.violate(effects, "revocation %s of %s is REVOKED, and its report %d is not at the upstream", id, r.account, *r.report)
		}
	}
	for _, call := range c.platform.Calls() {
		// If several revocations are recorded as REVOKED, it is not known which of them requested the email.
		if call.Revoked && recorded[call.ReportID] == 1 && call.Notify != delegated[call.ReportID] {
			c.violate(mails, "report %d was revoked at the upstream with notify %v, and is recorded as delegated: %v",
				call.ReportID, call.Notify, delegated[call.ReportID])
		}
	}
	for report, n := range revoked {
		if n != 1 || recorded[report] == 0 || certain[report] > 1 {
			c.violate(effects, "report %d was revoked %d times at the upstream, and %d revocations are REVOKED, %d of them not inferred", report, n, recorded[report], certain[report])
		}
	}
}

// auditMails checks that exactly the candidates whose notification was requested got an email, and at most one.
func (c *cluster) auditMails(rows map[string]*row) {
	messages := make(map[string]int)
	for _, m := range c.mail.Messages() {
		id := messageRevocation(m.Data)
		messages[id]++
		if r := rows[id]; r == nil || r.status != "REVOKED" || r.notify == nil || !*r.notify {
			c.violate(mails, "an email for %s, which is not REVOKED with notify: %+v", id, r)
		}
	}
	inDoubt := int64(0)
	for id, r := range rows {
		wanted := r.status == "REVOKED" && r.notify != nil && *r.notify
		if r.mail == nil {
			if wanted {
				c.violate(mails, "revocation %s of %s has notify and no email", id, r.account)
			}
			continue
		}
		n, most := messages[id], 0
		least := 0
		switch *r.mail {
		case "SENT":
			least, most = 1, 1
		case "UNKNOWN":
			inDoubt++
			most = 1
		case "FAILED", "DELEGATED":
		default:
			c.violate(mails, "the email of revocation %s of %s is %s at the end", id, r.account, *r.mail)
		}
		if !wanted || n < least || n > most {
			c.violate(mails, "revocation %s of %s is %s, its email %s, and %d were accepted", id, r.account, r.status, *r.mail, n)
		}
	}
	allowed := c.inDoubt.Load()
	c.t.Logf("%d emails accepted, %d UNKNOWN of %d that can be", len(messages), inDoubt, allowed)
	if inDoubt > allowed {
		c.violate(mails, "%d emails are UNKNOWN, and faults explain %d", inDoubt, allowed)
	}
}

// auditOverHTTP reads everything again over HTTP, as callers do.
func (c *cluster) auditOverHTTP(r *rand.Rand) {
	looked := make(map[string]bool)
	requests := slices.Clone(c.history.requests)
	r.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	for _, q := range requests[:min(len(requests), 2000)] {
		if q.id == "" || looked[q.id] {
			continue
		}
		looked[q.id] = true
		if body, ok := c.readRevocation(r, q.account, q.id, ""); !ok || !body.Final || !settledMails[body.Notification.Status] {
			c.violate(finished, "revocation %s of %s is not final, or its email not settled, at the end: %+v", q.id, q.account.id, body)
		}
	}
	for _, u := range slices.Clone(c.history.uploads) {
		if u.id == "" {
			continue
		}
		body, ok := c.readJob(r, u.account, u.id)
		if !ok || !body.ended() || body.Notifications["PENDING"] != 0 {
			c.violate(finished, "job %s of %s has not ended at the end: %+v", u.id, u.account.id, body)
		}
	}
	if len(looked) == 0 {
		c.violate(outcomes, "nothing was accepted")
	}
}
