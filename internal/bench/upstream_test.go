package bench

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rescind/internal/testservers"
)

const (
	upstreamItems       = 8000
	upstreamConcurrency = 64
	upstreamTime        = 50 * time.Millisecond
)

// upstream carries out a job at an upstream that takes its time, and compares with what its concurrency allows.
func (b *bench) upstream() {
	platform := testservers.Platform(b.t, "key")
	platform.Fail(func(testservers.PlatformCall) testservers.PlatformFault {
		return testservers.PlatformFault{Delay: upstreamTime}
	})
	key := filepath.Join(b.dir, "upstream.key")
	b.must(os.WriteFile(key, []byte("key"), 0o600))
	b.run(b.program("api"), "account", "set", "upstream", "--upstream-url", platform.URL(), "--upstream-key-file", key,
		"--upstream-concurrency", strconv.Itoa(upstreamConcurrency))
	secret := strings.TrimSpace(b.run(b.program("api"), "key", "create", "--account", "upstream"))
	var rows strings.Builder
	rows.WriteString("report_id\n")
	for n := range upstreamItems {
		_, _ = fmt.Fprintln(&rows, n+1)
	}
	var job struct{ ID string }
	b.call(secret, http.MethodPost, "/jobs", strings.NewReader(rows.String()), &job)
	b.end(secret, job.ID)
	calls := platform.Calls()
	took := calls[len(calls)-1].At.Add(upstreamTime).Sub(calls[0].At)
	possible := upstreamConcurrency / upstreamTime.Seconds()
	b.report("| an upstream that takes 50 ms a call, concurrency 64: calls/s, of the possible %.0f | %.0f (%.0f %%) |",
		possible, float64(len(calls))/took.Seconds(), 100*float64(len(calls))/took.Seconds()/possible)
}
