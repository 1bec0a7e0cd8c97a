package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/queue"
	"rescind/internal/revocation"
)

const (
	// lookFreshness is how long an answer is told again, so that no number of scrapes becomes a load.
	lookFreshness = 10 * time.Second
	// restAfterLook keeps a look that takes long to a small part of the time.
	restAfterLook = 20
	// lookTimeout bounds the wait for an answer, well within a scrape's usual 10 s.
	lookTimeout = 3 * time.Second
)

// collector tells what has to be asked for. It asks only when it is scraped. A part that is away fails no scrape: its
// metrics are missing then, and rescind_collector_success says so.
type collector[Answer any] struct {
	name    string
	read    func(context.Context) (Answer, error)
	collect func(Answer, chan<- prometheus.Metric)
	descs   []*prometheus.Desc

	mu     sync.Mutex
	until  time.Time // the answer is told again
	answer Answer
	err    error
}

// success tells of one collector: the label is a constant one, since a metric can be described by one alone.
func success(name string) *prometheus.Desc {
	return prometheus.NewDesc("rescind_collector_success",
		"1 when what had to be asked for could be, of a part that is told of here; 0 when it did not answer.",
		nil, prometheus.Labels{"collector": name})
}

// Describe implements prometheus.Collector.
func (c *collector[Answer]) Describe(descs chan<- *prometheus.Desc) {
	descs <- success(c.name)
	for _, desc := range c.descs {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector[Answer]) Collect(metrics chan<- prometheus.Metric) {
	answer, err := c.look()
	ok := 0.0
	if err == nil {
		ok = 1
		c.collect(answer, metrics)
	}
	metrics <- prometheus.MustNewConstMetric(success(c.name), prometheus.GaugeValue, ok)
}

// look asks, once for all who scrape at the time, on no scraper's context.
func (c *collector[Answer]) look() (Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if began := time.Now(); began.After(c.until) {
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		defer cancel()
		c.answer, c.err = c.read(ctx)
		c.until = time.Now().Add(max(lookFreshness, restAfterLook*time.Since(began)))
	}
	return c.answer, c.err
}

var (
	backlogCount = prometheus.NewDesc("rescind_backlog",
		"Revocations that are not final, and emails that are not settled, by class; 1000001 means more than a million.",
		[]string{"class"}, nil)
	backlogOldest = prometheus.NewDesc("rescind_backlog_oldest_seconds",
		"How long ago the oldest of the backlog was submitted, by class; 0 without any.", []string{"class"}, nil)
	heldAccounts = prometheus.NewDesc("rescind_upstream_held_accounts",
		"Accounts whose upstream is not called at present, by the reason.", []string{"reason"}, nil)

	redisMemory = prometheus.NewDesc("rescind_redis_memory_bytes", "Memory that Redis uses.", nil, nil)
	redisMax    = prometheus.NewDesc("rescind_redis_memory_max_bytes", "Memory that Redis may use; 0: all there is.", nil, nil)
	redisEvicts = prometheus.NewDesc("rescind_redis_evicts", "1 when Redis may throw tasks away: its maxmemory-policy is not noeviction.", nil, nil)
	queueTasks  = prometheus.NewDesc("rescind_queue_tasks", "Tasks in Redis, by queue and state.", []string{"queue", "state"}, nil)
)

// backlogCollector tells what waits in the database.
func backlogCollector(store revocation.BacklogStore) prometheus.Collector {
	return &collector[revocation.Backlog]{
		name: "database", read: store.Backlog, collect: collectBacklog,
		descs: []*prometheus.Desc{backlogCount, backlogOldest, heldAccounts},
	}
}

func collectBacklog(b revocation.Backlog, metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, label string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, label)
	}
	for _, class := range revocation.Classes {
		waiting, age := b.Waiting[class], 0.0
		if !waiting.Since.IsZero() {
			age = max(0, time.Since(waiting.Since).Seconds())
		}
		gauge(backlogCount, float64(waiting.Count), string(class))
		gauge(backlogOldest, age, string(class))
	}
	for _, why := range revocation.Holds {
		gauge(heldAccounts, float64(b.Held[why]), string(why))
	}
}

// redisCollector tells how Redis is and what is in the queues.
func redisCollector(client *queue.Client) prometheus.Collector {
	return &collector[queue.Look]{
		name: "redis", read: client.Look, collect: collectRedis,
		descs: []*prometheus.Desc{redisMemory, redisMax, redisEvicts, queueTasks},
	}
}

func collectRedis(look queue.Look, metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if look.HasMemory {
		gauge(redisMemory, float64(look.Memory))
		gauge(redisMax, float64(look.MaxMemory))
	}
	evicts := 0.0
	if look.Evicts {
		evicts = 1
	}
	gauge(redisEvicts, evicts)
	for name, states := range look.Tasks {
		for state, n := range states {
			gauge(queueTasks, float64(n), name, state)
		}
	}
}
