package chaos_test

import "testing"

func TestBackwards(t *testing.T) {
	with := func(change func(*revocationBody)) revocationBody {
		r := revocationBody{Status: "ERROR_REVOKING", ReportID: 1, Notify: true, Attempts: 2}
		r.Notification.Status = "PENDING"
		change(&r)
		return r
	}
	same := func(*revocationBody) {}
	final := func(r *revocationBody) { r.Status, r.Final, r.Attempts = "REVOKED", true, 3 }
	sent := func(r *revocationBody) { final(r); r.Notification.Status = "SENT" }
	for name, test := range map[string]struct {
		earlier, later func(*revocationBody)
		backwards      bool
	}{
		"unchanged":        {same, same, false},
		"it ends":          {same, final, false},
		"the email goes":   {final, sent, false},
		"attempts fall":    {same, func(r *revocationBody) { r.Attempts = 1 }, true},
		"pending again":    {same, func(r *revocationBody) { r.Status = "PENDING" }, true},
		"no longer final":  {final, same, true},
		"another end":      {final, func(r *revocationBody) { final(r); r.Status = "ALREADY_REVOKED" }, true},
		"another attempt":  {final, func(r *revocationBody) { final(r); r.Attempts = 4 }, true},
		"another invite":   {same, func(r *revocationBody) { r.ReportID = 2 }, true},
		"notify reset":     {same, func(r *revocationBody) { r.Notify = false }, true},
		"email comes back": {sent, final, true},
	} {
		if err := backwards(with(test.earlier), with(test.later)); (err != nil) != test.backwards {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJobBackwards(t *testing.T) {
	job := func(state string, pending, retrying, revoked int) jobBody {
		return jobBody{State: state, Total: 10, Pending: pending, Retrying: retrying, Counts: map[string]int{"REVOKED": revoked}}
	}
	for name, test := range map[string]struct {
		earlier, later jobBody
		backwards, sum bool
	}{
		"on its way":    {job("QUEUED", 10, 0, 0), job("RUNNING", 5, 2, 3), false, true},
		"it ends":       {job("RUNNING", 5, 2, 3), job("COMPLETED", 0, 0, 10), false, true},
		"fewer":         {job("RUNNING", 5, 0, 5), job("RUNNING", 5, 1, 4), true, true},
		"pending again": {job("RUNNING", 5, 0, 5), job("RUNNING", 6, 0, 4), true, true},
		"queued again":  {job("RUNNING", 10, 0, 0), job("QUEUED", 10, 0, 0), true, true},
		"another end":   {job("COMPLETED", 0, 0, 10), job("CANCELLED", 0, 0, 10), true, true},
		"one is lost":   {job("RUNNING", 5, 0, 5), job("RUNNING", 4, 0, 5), false, false},
		"no end":        {job("RUNNING", 5, 0, 5), job("COMPLETED", 4, 1, 5), false, false},
	} {
		if err := jobBackwards(test.earlier, test.later); (err != nil) != test.backwards {
			t.Errorf("%s: %v", name, err)
		}
		if err := addsUp(test.later); (err == nil) != test.sum {
			t.Errorf("%s adds up: %v", name, err)
		}
	}
}
