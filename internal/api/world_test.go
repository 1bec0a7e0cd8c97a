package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rescind/internal/submission"
	"rescind/internal/worker"

	"github.com/google/uuid"

	"rescind/internal/api"
	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/testservers"
)

const (
	secret       = "rescind_the-key-of-acme-with-all-scopes"
	readerSecret = "rescind_the-key-of-acme-that-only-reads"
	writerSecret = "rescind_the-key-of-acme-that-only-revokes"
	otherSecret  = "rescind_the-key-of-another-account"
)

var planChange = time.Date(2025, 1, 15, 10, 32, 45, 0, time.UTC)

// world is the API with a real service and a real SQLite store. Its queue runs tasks in this process: at once, or when it
// is released.
type world struct {
	t       *testing.T
	store   *sqlite.Store
	faults  *faultyStore
	service *submission.Service
	queue   *inlineQueue
	api     *api.API
	server  *httptest.Server
	log     *syncBuffer
}

// database is the file of a new store.
var database = testservers.Template{Make: func(path string) error {
	store, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	return store.Close()
}}

type worldOption func(*api.Options, *httptest.Server)

func newWorld(t *testing.T, options ...worldOption) *world {
	t.Helper()
	ctx := t.Context()
	store, err := sqlite.Open(ctx, database.Copy(t))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, faults: &faultyStore{Store: store}, log: &syncBuffer{}}
	log := w.logger()
	w.queue = &inlineQueue{}
	w.service = submission.NewService(submission.ServiceOptions{Store: w.faults, Queue: w.queue, NewID: newID, Log: log})
	w.queue.wake = w.service.Wake
	w.setAttempts(2)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var service sync.WaitGroup
	service.Go(func() { w.service.Run(running) })

	o := api.Options{
		Service: w.service, Keys: w.faults, Invites: w.faults, Accounts: w.store, Emails: sampleEmails{}, Health: api.NewHealth(), SubmitWait: 30 * time.Second,
		JobMaxItems: 20_000, RateLimit: 1_000_000, Log: log, Hosts: api.HostsOf(new(net.TCPAddr), nil),
	}
	w.server = httptest.NewUnstartedServer(nil)
	w.server.Config = api.NewServer("", nil, log)
	for _, option := range options {
		option(&o, w.server)
	}
	w.api = api.New(o)
	w.server.Config.Handler = w.api
	w.server.Start()
	t.Cleanup(func() {
		w.service.Drain()
		w.server.Close()
		stop()
		service.Wait()
		w.queue.work.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.populate()
	return w
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(w.log, nil)) }

// setAttempts sets the number of attempts of revocations that are enqueued from now on.
func (w *world) setAttempts(attempts int) {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	w.queue.executor = worker.NewExecutor(worker.ExecutorOptions{
		Store: w.faults, Queue: w.queue, Outcomes: w.queue, Log: w.logger(),
		Policy: revocation.RetryPolicy{Base: 4 * time.Minute, Max: time.Hour, MaxAttempts: attempts},
	})
}

func (w *world) populate() {
	w.t.Helper()
	name := "Acme"
	w.must(w.store.SetAccount(w.t.Context(), revocation.AccountChange{ID: "acme", Name: &name, PlanChangedAt: &planChange}))
	w.must(w.store.SetAccount(w.t.Context(), revocation.AccountChange{ID: "other", Name: &name}))
	w.addKey("acme", secret, time.Time{}, revocation.Scopes...)
	w.addKey("acme", readerSecret, time.Time{}, revocation.ScopeRead)
	w.addKey("acme", writerSecret, time.Time{}, revocation.ScopeRevoke)
	w.addKey("acme", approverSecret, time.Time{}, revocation.ScopeApprove)
	w.addKey("other", otherSecret, time.Time{}, revocation.Scopes...)
	var invites []revocation.Invite
	for id := int64(300); id < 400; id++ {
		invites = append(invites, invite(id, planChange))
	}
	invites = append(invites, invite(1, planChange.Add(-time.Second)), invite(1<<63-1, planChange))
	w.must(w.store.UpsertInvites(w.t.Context(), "acme", invites))
	w.must(w.store.UpsertInvites(w.t.Context(), "other", []revocation.Invite{invite(9000, planChange)}))
}

func invite(reportID int64, sentAt time.Time) revocation.Invite {
	return revocation.Invite{
		ReportID: reportID, CandidateName: "Ada", CandidateEmail: "ada@example.com", AssessmentName: "Go", SentAt: sentAt,
	}
}

func (w *world) addKey(account, secret string, expires time.Time, scopes ...revocation.Scope) revocation.ID {
	w.t.Helper()
	key := revocation.APIKey{
		ID: newID(), Account: account, Hash: revocation.HashSecret(secret), Scopes: scopes, ExpiresAt: expires,
	}
	w.must(w.store.AddKey(w.t.Context(), key))
	return key.ID
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func newID() revocation.ID { return revocation.ID(uuid.Must(uuid.NewV7())) }

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   string
}

// json decodes the body, which must be an object.
func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return body
}

func (a answer) str(t *testing.T, name string) string {
	t.Helper()
	s, _ := a.json(t)[name].(string)
	return s
}

// call sends a request with acme's key and runs checkEvery on the answer. Headers are pairs of name and value. An empty
// value removes the header.
func (w *world) call(method, path, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	w.must(err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("apiKey", secret)
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	return w.send(r)
}

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	response, err := w.server.Client().Do(r)
	w.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.must(err)
	a := answer{response.StatusCode, response.Header, string(text)}
	w.checkEvery(r, a)
	return a
}

// checkEvery checks what every answer on the public address must have.
func (w *world) checkEvery(r *http.Request, a answer) {
	w.t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
	} {
		if got := a.header.Get(name); got != want {
			w.t.Errorf("%s %s: %s is %q, want %q", r.Method, r.URL.Path, name, got, want)
		}
	}
	if a.header.Get("X-Request-Id") == "" || !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'none';") {
		w.t.Errorf("%s %s: no request id or policy: %v", r.Method, r.URL.Path, a.header)
	}
	if a.status < 400 || r.Method == http.MethodHead {
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		w.t.Fatalf("%s %s: a %d of type %q: %s", r.Method, r.URL.Path, a.status, got, a.body)
	}
	p := a.json(w.t)
	if p["type"] != "about:blank" || p["title"] != http.StatusText(a.status) || p["status"] != float64(a.status) || p["detail"] == "" || p["code"] == "" {
		w.t.Errorf("%s %s: not a whole problem: %s", r.Method, r.URL.Path, a.body)
	}
}

// submit submits a revocation.
func (w *world) submit(body string, headers ...string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/assessments/invite/revoke", body, headers...)
}

// want fails the test unless the answer has the status and, for a problem, the code.
func (a answer) want(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || code != "" && a.str(t, "code") != code {
		t.Fatalf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
}

// inlineQueue runs batches and account tasks in this process: at once, or, while held, at release.
type inlineQueue struct {
	executor *worker.Executor
	wake     func([]revocation.ID)
	work     sync.WaitGroup

	mu      sync.Mutex
	held    bool
	waiting [][]revocation.Ref
	tasks   []string // accounts
}

func (q *inlineQueue) EnqueueRevocations(_ context.Context, _ int, batch []revocation.Ref) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held {
		q.waiting = append(q.waiting, batch)
		return nil
	}
	q.carryOut(batch)
	return nil
}

func (q *inlineQueue) carryOut(batch []revocation.Ref) {
	executor := q.executor
	q.work.Go(func() { _ = executor.CarryOut(context.Background(), batch) })
}

// EnqueueAccountTasks ignores other tasks than JobsTask, because this world has no emails and no upstream.
func (q *inlineQueue) EnqueueAccountTasks(_ context.Context, kind revocation.AccountTask, accounts []string) error {
	if kind != revocation.JobsTask {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held {
		q.tasks = append(q.tasks, accounts...)
		return nil
	}
	for _, account := range accounts {
		q.runAccountTask(account)
	}
	return nil
}

func (q *inlineQueue) runAccountTask(account string) {
	executor := q.executor
	q.work.Go(func() { _ = executor.RunAccountTask(context.Background(), account) })
}

// hold makes the queue collect what is enqueued from now on. It waits for the tasks that run, because an account task
// carries out everything that it finds.
func (q *inlineQueue) hold() {
	q.mu.Lock()
	q.held = true
	q.mu.Unlock()
	q.work.Wait()
}

func (q *inlineQueue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = false
	for _, batch := range q.waiting {
		q.carryOut(batch)
	}
	for _, account := range q.tasks {
		q.runAccountTask(account)
	}
	q.waiting, q.tasks = nil, nil
}

// count returns the number of revocations that wait.
func (q *inlineQueue) count() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, batch := range q.waiting {
		n += len(batch)
	}
	return n
}

func (*inlineQueue) EnqueueNotifications(context.Context, []revocation.NotificationRef) error {
	return nil
}
func (*inlineQueue) Ready(context.Context) error { return nil }

func (q *inlineQueue) Publish(_ context.Context, ids []revocation.ID) error {
	q.wake(ids)
	return nil
}

// faultyStore is the real store with injected faults.
type faultyStore struct {
	*sqlite.Store
	submit, carryOut, keys, jobs, results, cancels, imports, selections atomic.Pointer[revocation.Error]
	// chunk fails once, so that its items are retried one by one.
	chunk atomic.Pointer[revocation.Chunk]
	// noChunks lets workers find no chunk, as if another one had them locked, until a chunk has failed and its items wait for
	// their retry.
	noChunks atomic.Bool
	// afterJob can change a job that was read.
	afterJob atomic.Pointer[func(*revocation.Job)]
	// beforeResults is called before results are read.
	beforeResults atomic.Pointer[func(revocation.ResultFilter)]
	// beforeUploadStep is called before each step of an upload, and can fail it.
	beforeUploadStep atomic.Pointer[func(uploadStep, revocation.NewJob) error]
	// dropItems discards the items of uploads.
	dropItems atomic.Bool
}

func (s *faultyStore) Submit(ctx context.Context, batch []revocation.Submission) ([]revocation.Accepted, error) {
	if err := s.submit.Load(); err != nil {
		return nil, err
	}
	return s.Store.Submit(ctx, batch)
}

func (s *faultyStore) SelectItems(ctx context.Context, job revocation.NewJob, selected revocation.Selection, limit int, lease time.Duration) (int, error) {
	if err := s.selections.Load(); err != nil {
		return 0, err
	}
	return s.Store.SelectItems(ctx, job, selected, limit, lease)
}

// RevokeFast revokes nothing, so that CarryOut gets all revocations.
func (s *faultyStore) RevokeFast(context.Context, []revocation.Ref) (revocation.BatchResult, error) {
	return revocation.BatchResult{}, nil
}

func (s *faultyStore) CarryOut(ctx context.Context, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	if err := s.carryOut.Load(); err != nil {
		return revocation.BatchResult{}, err
	}
	return s.Store.CarryOut(ctx, refs, decide)
}

func (s *faultyStore) CarryOutChunk(ctx context.Context, account string) (revocation.Chunk, error) {
	if chunk := s.chunk.Swap(nil); chunk != nil {
		return *chunk, &revocation.Error{Code: revocation.CodeLockTimeout}
	}
	if s.noChunks.Load() {
		return revocation.Chunk{}, nil
	}
	return s.Store.CarryOutChunk(ctx, account)
}

func (s *faultyStore) SpillChunk(ctx context.Context, chunk revocation.Chunk) error {
	defer s.noChunks.Store(false)
	return s.Store.SpillChunk(ctx, chunk)
}

func (s *faultyStore) Job(ctx context.Context, account string, id revocation.ID) (revocation.Job, error) {
	if err := s.jobs.Load(); err != nil {
		return revocation.Job{}, err
	}
	job, err := s.Store.Job(ctx, account, id)
	if after := s.afterJob.Load(); after != nil && err == nil {
		(*after)(&job)
	}
	return job, err
}

func (s *faultyStore) ChangeJob(ctx context.Context, account string, id revocation.ID, change revocation.JobChange) (revocation.Job, error) {
	if err := s.cancels.Load(); err != nil {
		return revocation.Job{}, err
	}
	return s.Store.ChangeJob(ctx, account, id, change)
}

func (s *faultyStore) CancelSingle(ctx context.Context, account string, id revocation.ID, by revocation.Actor) (revocation.Revocation, error) {
	if err := s.cancels.Load(); err != nil {
		return revocation.Revocation{}, err
	}
	return s.Store.CancelSingle(ctx, account, id, by)
}

func (s *faultyStore) StartSingle(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	if err := s.cancels.Load(); err != nil {
		return revocation.Revocation{}, err
	}
	return s.Store.StartSingle(ctx, account, id)
}

func (s *faultyStore) UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error {
	if err := s.imports.Load(); err != nil {
		return err
	}
	return s.Store.UpsertInvites(ctx, account, invites)
}

func (s *faultyStore) Results(ctx context.Context, f revocation.ResultFilter) (revocation.Page[revocation.Revocation], error) {
	if before := s.beforeResults.Load(); before != nil {
		(*before)(f)
	}
	if err := s.results.Load(); err != nil {
		return revocation.Page[revocation.Revocation]{}, err
	}
	return s.Store.Results(ctx, f)
}

func (s *faultyStore) KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error) {
	if err := s.keys.Load(); err != nil {
		return nil, err
	}
	return s.Store.KeysByHash(ctx, hashes)
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// eventually waits until the condition holds. It fails the test after a minute.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
