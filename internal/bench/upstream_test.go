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
	// loopItems is enough for a loop over calls that take as long as each other.
	loopItems = 40
)

// upstream carries out a job at an upstream that takes its time, and compares with what its concurrency allows, and
// with a loop.
func (b *bench) upstream() {
	t := b.table("upstream", "Calls to an upstream that takes 50 ms for each")
	platform := testservers.Platform(b, "key")
	platform.SetFault(func(testservers.PlatformCall) testservers.PlatformFault {
		return testservers.PlatformFault{Delay: upstreamTime}
	})
	began := time.Now()
	for n := range loopItems {
		b.callUpstream(platform.URL(), upstreamItems+n+1)
	}
	t.add(oneByOne, perSecond, loopItems/time.Since(began).Seconds())

	key := filepath.Join(b.dir, "upstream.key")
	b.must(os.WriteFile(key, []byte("key"), 0o600))
	b.run(b.env, b.program("api"), "account", "set", "upstream", "--upstream-url", platform.URL(), "--upstream-key-file", key,
		"--upstream-concurrency", strconv.Itoa(upstreamConcurrency))
	s := b.start(b.contenders[0], 1)
	job := target{addr: s.target.addr, key: strings.TrimSpace(b.run(b.env, b.program("api"), "key", "create", "--account", "upstream"))}
	b.end(job, b.upload(job, b.rows(upstreamItems)))
	b.stop(s)
	calls := platform.Calls()[loopItems:]
	took := calls[len(calls)-1].At.Add(upstreamTime).Sub(calls[0].At)
	rate := float64(len(calls)) / took.Seconds()
	row := fmt.Sprintf("%s, a job, concurrency %d", rescind, upstreamConcurrency)
	t.add(row, perSecond, rate)
	t.add(row, "of the possible, %", 100*rate*upstreamTime.Seconds()/upstreamConcurrency)
}

func (b *bench) callUpstream(base string, report int) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, base+"/assessments/invite/revoke", strings.NewReader(fmt.Sprintf(`{"report_id": %d}`, report)))
	b.must(err)
	req.Header.Set("apiKey", "key")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	b.must(err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Fatalf("upstream: %d", res.StatusCode)
	}
}
