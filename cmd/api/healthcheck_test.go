package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

// healthcheck runs the command of a program as a container does: in the environment of the process that it checks.
func healthcheck(t *testing.T, program, setting string) (stderr string, exit int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "healthcheck")
	// The health check must not use this proxy.
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0", "http_proxy=http://127.0.0.1:1", setting}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return errs.String(), cmd.ProcessState.ExitCode()
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	p := startProduction(t)
	_, apiAdmin := p.startAPI()
	_, workerAdmin := p.startWorker()
	for _, test := range []struct{ program, addr string }{{programs.api, apiAdmin}, {programs.worker, workerAdmin}} {
		_, port, _ := strings.Cut(test.addr, ":")
		for _, addr := range []string{test.addr, "0.0.0.0:" + port, ":" + port} {
			until(t, "ready at "+addr, func() bool {
				_, exit := healthcheck(t, test.program, "ADMIN_ADDR="+addr)
				return exit == 0
			})
		}
	}
	p.redis.Kill()
	until(t, "the worker is not ready without Redis, and names it", func() bool {
		stderr, exit := healthcheck(t, programs.worker, "ADMIN_ADDR="+workerAdmin)
		return exit == 1 && strings.Contains(stderr, `"redis"`)
	})
	if stderr, exit := healthcheck(t, programs.api, "ADMIN_ADDR="+apiAdmin); exit != 0 {
		t.Errorf("the API is not ready without Redis: exit %d: %s", exit, stderr)
	}
	for _, program := range []string{programs.api, programs.worker} {
		for _, setting := range []string{
			"ADMIN_ADDR=" + strings.TrimPrefix(testservers.Redis(t), "redis://"), // does not speak HTTP
			"ADMIN_ADDR=nonsense",
		} {
			if stderr, exit := healthcheck(t, program, setting); exit != 1 || stderr == "" {
				t.Errorf("%s: exit %d: %s", setting, exit, stderr)
			}
		}
	}
}
