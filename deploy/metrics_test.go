package deploy_test

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"rescind/internal/app"
	"rescind/internal/config"
	"rescind/internal/mail"
	"rescind/internal/postgres"
	"rescind/internal/queue"
	"rescind/internal/testservers"
)

// exposition is what a process serves at /metrics: for each metric's name, the values of each label.
type exposition map[string]map[string][]string

// expose returns the metrics of an API and of a worker's instruments.
func expose(t *testing.T) exposition {
	t.Helper()
	public, admin := serve(t)
	get(t, public+"/openapi.json") // a request to count
	return parse(get(t, admin+"/metrics"))
}

// serve runs an API and a worker's instruments on real servers until the test ends, and returns the URLs of the public
// and of the operators' address.
func serve(t *testing.T) (publicURL, adminURL string) {
	t.Helper()
	url := testservers.Postgres(t)
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	redis, err := queue.NewRedis(testservers.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	mailer, err := mail.Open(mail.Options{URL: "file:" + t.TempDir(), From: "rescind@localhost"})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	instruments := app.NewInstruments(store, redis, nil)
	public, admin := listen(t), listen(t)
	server := app.NewAPI(app.APIOptions{
		Listener: public, Store: store, Redis: redis, RateLimit: 50, JobMaxItems: 1000, Instruments: instruments, Log: log,
	})
	_, err = app.NewWorker(app.WorkerOptions{
		Store: store, Redis: redis, Mailer: mailer, MailMaxAge: time.Hour, Retry: config.Retry{BackoffBase: time.Second, BackoffMax: time.Second, MaxAttempts: 1},
		Upstream: config.Upstream{UpstreamTimeout: time.Second}, Instruments: instruments, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return server.Run(ctx) })
	running.Go(func() error {
		return app.Admin(ctx, app.AdminOptions{Listener: admin, Health: server.Health(), Instruments: instruments, Log: log})
	})
	t.Cleanup(func() {
		stop()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + public.Addr().String(), "http://" + admin.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, response.StatusCode, err)
	}
	return string(body)
}

var (
	sample     = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? \S+$`)
	assignment = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

func parse(text string) exposition {
	told := make(exposition)
	for _, line := range sample.FindAllStringSubmatch(text, -1) {
		if told[line[1]] == nil {
			told[line[1]] = make(map[string][]string)
		}
		for _, label := range assignment.FindAllStringSubmatch(line[2], -1) {
			told[line[1]][label[1]] = append(told[line[1]][label[1]], label[2])
		}
	}
	return told
}

var (
	// used matches a metric of this program or of the Go runtime, with its label matchers.
	used    = regexp.MustCompile(`\b((?:rescind|go|process)_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	matcher = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	// scraped are Prometheus's own labels.
	scraped = []string{"job", "instance"}
	grouped = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
)

// check reports the metrics and label values of an expression that no process exposes. It accepts any HTTP status.
func (told exposition) check(t *testing.T, where, expression string) {
	t.Helper()
	labels := slices.Clone(scraped)
	for _, metric := range used.FindAllStringSubmatch(expression, -1) {
		values, ok := told[metric[1]]
		if !ok {
			t.Errorf("%s: nobody tells %s", where, metric[1])
			continue
		}
		labels = slices.AppendSeq(labels, maps.Keys(values))
		for _, m := range matcher.FindAllStringSubmatch(metric[2], -1) {
			label, operator, value := m[1], m[2], m[3]
			pattern := regexp.MustCompile("^(?:" + value + ")$")
			switch {
			case slices.Contains(scraped, label):
			case values[label] == nil:
				t.Errorf("%s: %s has no label %s", where, metric[1], label)
			case strings.HasPrefix(metric[1], "rescind_http_"), strings.HasPrefix(operator, "!"):
			case !slices.ContainsFunc(values[label], pattern.MatchString):
				t.Errorf("%s: the label %s of %s is never %s", where, label, metric[1], value)
			}
		}
	}
	for _, group := range grouped.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(group[1], ", ") {
			if !slices.Contains(labels, label) {
				t.Errorf("%s: it is grouped by %s, which nothing in it has", where, label)
			}
		}
	}
}
