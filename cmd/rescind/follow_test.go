package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/testservers"
)

// production is the service on real servers. Without a worker, nothing of a job is carried out.
type production struct {
	service
	env []string
}

func startProduction(t *testing.T) *production {
	t.Helper()
	p := &production{service: newService(t)}
	p.env = []string{
		"DATABASE_URL=" + testservers.Postgres(t), "REDIS_URL=" + testservers.Redis(t), "HTTP_ADDR=" + p.addr,
		"SMTP_URL=file:" + t.TempDir(), "MAIL_FROM=recruiting@example.com",
	}
	for _, args := range []string{"migrate", "account set acme --name Acme", "key create --account acme"} {
		r := start(t, p.env, nil, programs.api, strings.Fields(args)...)
		r.ends(0)
		p.key = strings.TrimSpace(r.stdout())
	}
	return p
}

func (p *production) startAPI() *running {
	p.t.Helper()
	r := start(p.t, append(p.env, p.adminAddr()), nil, programs.api, "serve")
	p.ready()
	return r
}

func (p *production) startWorker() {
	p.t.Helper()
	start(p.t, append(p.env, p.adminAddr()), nil, programs.worker)
}

func TestFollow(t *testing.T) {
	p := startProduction(t)
	api := p.startAPI()
	list := file(t, "list.csv", csvOf(10_000))

	r := p.begin(nil, "bulk", list, "--follow")
	until(t, "it is followed", func() bool { return strings.Contains(r.stderr(), ": QUEUED, 0 of 10000 done\n") })
	id := jobID.FindString(r.stderr())
	t.Run("a job is followed through a crash of the service", func(t *testing.T) {
		api.kill()
		until(t, "that is noticed", func() bool { return strings.Contains(r.stderr(), "Trying again in ") })
		p.startAPI()
	})
	t.Run("Ctrl-C leaves the job running, and prints how to follow it", func(t *testing.T) {
		for _, args := range [][]string{{"job", "show", id, "--follow"}, {"job", "show", id, "--follow", "--json"}} {
			r := p.begin(nil, args...)
			until(t, "it is followed", func() bool { return strings.Contains(r.stderr(), ": QUEUED, ") })
			r.interrupt()
			r.ends(1)
			contains(t, r.stderr(), fmt.Sprintf("The job continues. Follow it: rescind job show %s --follow. Cancel it: rescind job cancel %s.\n", id, id))
			if json := args[len(args)-1] == "--json"; json && body(t, r.stdout())["id"] != id || !json && r.stdout() != "" {
				t.Errorf("stdout: %q", r.stdout())
			}
		}
	})
	t.Run("a job that has not ended", func(t *testing.T) {
		stdout, _ := p.do(1, "", "job", "show", id)
		if diff := cmp.Diff("Job ID: QUEUED, 0 of 10000 items are final.\n     10000  not tried yet\n", variable(stdout)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		_, stderr := p.do(2, "", "job", "retry", id)
		contains(t, stderr, "(job_running)")
	})
	t.Run("a job that is cancelled", func(t *testing.T) {
		stdout, _ := p.do(0, "", "bulk", list, "--json")
		other := body(t, stdout)["id"].(string)
		stdout, _ = p.do(0, "", "job", "cancel", other)
		if diff := cmp.Diff("Job ID: CANCELLING, 0 of 10000 items are final.\n", variable(stdout)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		follower := p.begin(nil, "job", "show", other, "--follow")
		until(t, "it is followed", func() bool { return strings.Contains(follower.stderr(), ": CANCELLING, ") })
		p.startWorker()
		follower.ends(1)
		contains(t, variable(follower.stdout()), "Job ID: CANCELLED, 10000 of 10000 items are final", "     10000  CANCELLED\n", "--status CANCELLED")
		stdout, _ = p.do(0, "", "job", "cancel", other)
		contains(t, variable(stdout), "Job ID: CANCELLED, ")
		_, stderr := p.do(2, "", "job", "retry", other)
		contains(t, stderr, "(invalid)")
	})
	t.Run("the end", func(t *testing.T) {
		r.ends(1)
		contains(t, variable(r.stdout()), "Job ID: COMPLETED, 10000 of 10000 items are final", "     10000  NOT_FOUND\n")
	})
}
