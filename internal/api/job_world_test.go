package api_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// job creates a job of acme.
func (w *world) job(items ...revocation.Item) revocation.Job {
	w.t.Helper()
	return w.jobOf("acme", items...)
}

// allowed is a check of a key that succeeds.
func allowed() error { return nil }

func (w *world) jobOf(account string, items ...revocation.Item) revocation.Job {
	w.t.Helper()
	ctx := w.t.Context()
	in, ctx, err := w.service.BeginJob(ctx, revocation.NewJob{Account: account, RequestedBy: newID(), Route: revocation.RouteJobs}, allowed)
	w.must(err)
	defer in.Abandon(ctx)
	for _, item := range items {
		full, err := in.Add(item)
		w.must(err)
		if full {
			w.must(in.Flush(ctx))
		}
	}
	job, err := in.Finalize(ctx, revocation.JobValues{Label: new("closed positions")}, revocation.Fingerprint{})
	w.must(err)
	return job
}

func items(reportIDs ...int64) []revocation.Item {
	all := make([]revocation.Item, len(reportIDs))
	for i, id := range reportIDs {
		all[i].ReportID = id
	}
	return all
}

// manyItems returns n items. Every tenth has an invite.
func (w *world) manyItems(n int) []revocation.Item {
	w.t.Helper()
	const first = 100_000
	all := make([]revocation.Item, n)
	var invites []revocation.Invite
	for i := range all {
		all[i].ReportID = int64(first + i)
		if (i+1)%10 == 0 {
			invites = append(invites, invite(all[i].ReportID, planChange))
		}
	}
	w.must(w.store.UpsertInvites(w.t.Context(), "acme", invites))
	return all
}

// carryOutChunk carries out one chunk while the queue is held.
func (w *world) carryOutChunk() {
	w.t.Helper()
	if chunk, err := w.store.CarryOutChunk(w.t.Context(), "acme"); err != nil || chunk.Job.IsZero() {
		w.t.Fatalf("no chunk was carried out: %+v %v", chunk, err)
	}
}

// ended waits until a job has ended and returns it.
func (w *world) ended(job revocation.Job) answer {
	w.t.Helper()
	a := w.call(http.MethodGet, "/jobs/"+job.ID.String(), "", "Prefer", "wait=30")
	a.want(w.t, http.StatusOK, "")
	if state := a.str(w.t, "state"); state != "COMPLETED" && state != "CANCELLED" {
		w.t.Fatalf("it has not ended: %s", a.body)
	}
	return a
}

// failedJob creates a job that has ended. Its last item is INVALID, and the others are ERROR_REVOKING.
func (w *world) failedJob(reportIDs ...int64) revocation.Job {
	w.t.Helper()
	w.setAttempts(1)
	w.queue.hold()
	w.faults.carryOut.Store(&revocation.Error{Code: revocation.CodeLockTimeout})
	defer w.faults.carryOut.Store(nil)
	w.faults.noChunks.Store(true) // other account tasks may still come, and must not carry this job out
	all := items(reportIDs...)
	for i := range all {
		all[i].ClientReference, all[i].Notify = new("reference"), new(i%2 == 0)
	}
	job := w.job(append(all, revocation.Item{Invalid: "report_id must be an integer."})...)
	w.faults.chunk.Store(&revocation.Chunk{Account: "acme", Job: job.ID, First: 1, Last: job.Total})
	w.queue.release()
	w.ended(job)
	return job
}

// stream is a response whose body is not read yet.
type stream struct {
	status int
	header http.Header
	body   io.Reader
}

// open requests a stream.
func (w *world) open(path string, headers ...string) stream {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.server.URL+path, nil)
	w.must(err)
	r.Header.Set("apiKey", secret)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.server.Client().Do(r)
	w.must(err)
	w.t.Cleanup(func() { _ = response.Body.Close() })
	return stream{response.StatusCode, response.Header, response.Body}
}

// event is one of a stream of server-sent events.
type event struct{ name, data string }

// events returns a function that returns the next event of a stream. ok is false after the last.
func events(t *testing.T, body io.Reader) (next func() (e event, ok bool)) {
	lines := bufio.NewScanner(body)
	return func() (e event, ok bool) {
		t.Helper()
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "retry":
			case "":
				if e.name != "" {
					return e, true
				}
			default:
				t.Errorf("unexpected line: %q", lines.Text())
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("the stream broke: %v", err)
		}
		return event{}, false
	}
}

func (e event) json(t *testing.T) map[string]any {
	t.Helper()
	return answer{body: e.data}.json(t)
}

// nextMillisecond waits until new ids have a later time than all ids before.
func nextMillisecond(t *testing.T) {
	t.Helper()
	made := time.Now().UnixMilli()
	eventually(t, "the next millisecond", func() bool { return time.Now().UnixMilli() > made })
}
