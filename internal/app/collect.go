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
	// cacheTTL is how long a reading is reused, so that frequent scrapes put no load on the database and Redis.
	cacheTTL = 10 * time.Second
	// slowReadFactor extends the reuse of a slow reading: reading takes at most a twentieth of the time.
	slowReadFactor = 20
	// readTimeout bounds one reading. It is well below the usual scrape timeout of 10 s.
	readTimeout = 3 * time.Second
)

// collector exports metrics that must be read from the database or from Redis. It reads only when it is scraped. When the
// read fails, the scrape succeeds without these metrics, and rescind_collector_success is 0.
type collector[Answer any] struct {
	name    string
	read    func(context.Context) (Answer, error)
	collect func(Answer, chan<- prometheus.Metric)
	descs   []*prometheus.Desc

	mu     sync.Mutex
	until  time.Time // answer and err are reused before this time
	answer Answer
	err    error
}

// success describes the success metric of one collector. The label is constant, because two collectors must not register
// the same descriptor.
func success(name string) *prometheus.Desc {
	return prometheus.NewDesc("rescind_collector_success",
		"1 when the metrics of this part could be read, 0 when it did not answer.",
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
	answer, err := c.cached()
	ok := 0.0
	if err == nil {
		ok = 1
		c.collect(answer, metrics)
	}
	metrics <- prometheus.MustNewConstMetric(success(c.name), prometheus.GaugeValue, ok)
}

// cached returns the latest reading, and reads again when that is too old. Concurrent scrapes share one reading, so it
// does not depend on the context of any scrape.
func (c *collector[Answer]) cached() (Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if began := time.Now(); began.After(c.until) {
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		defer cancel()
		c.answer, c.err = c.read(ctx)
		c.until = time.Now().Add(max(cacheTTL, slowReadFactor*time.Since(began)))
	}
	return c.answer, c.err
}

var (
	backlogCount = prometheus.NewDesc("rescind_backlog",
		"Revocations that are not final, and emails that are not settled, by class; 1000001 means more than a million.",
		[]string{"class"}, nil)
	backlogOldest = prometheus.NewDesc("rescind_backlog_oldest_seconds",
		"Seconds since the oldest entry of the backlog was submitted, by class; 0 when the backlog is empty.", []string{"class"}, nil)
	heldAccounts = prometheus.NewDesc("rescind_upstream_held_accounts",
		"Accounts whose upstream is not called at present, by reason.", []string{"reason"}, nil)

	redisMemory = prometheus.NewDesc("rescind_redis_memory_bytes", "Memory that Redis uses.", nil, nil)
	redisMax    = prometheus.NewDesc("rescind_redis_memory_max_bytes", "Memory that Redis may use; 0 means no limit.", nil, nil)
	redisEvicts = prometheus.NewDesc("rescind_redis_evicts", "1 when Redis may evict tasks, because its maxmemory-policy is not noeviction.", nil, nil)
	queueTasks  = prometheus.NewDesc("rescind_queue_tasks", "Tasks in Redis, by queue and state.", []string{"queue", "state"}, nil)
)

// backlogCollector exports the backlog in the database.
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
	for _, reason := range revocation.Holds {
		gauge(heldAccounts, float64(b.Held[reason]), string(reason))
	}
}

// redisCollector exports the memory of Redis and the tasks in its queues.
func redisCollector(client *queue.Client) prometheus.Collector {
	return &collector[queue.Stats]{
		name: "redis", read: client.Stats, collect: collectRedis,
		descs: []*prometheus.Desc{redisMemory, redisMax, redisEvicts, queueTasks},
	}
}

func collectRedis(stats queue.Stats, metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if stats.HasMemory {
		gauge(redisMemory, float64(stats.Memory))
		gauge(redisMax, float64(stats.MaxMemory))
	}
	evicts := 0.0
	if stats.Evicts {
		evicts = 1
	}
	gauge(redisEvicts, evicts)
	for name, states := range stats.Tasks {
		for state, n := range states {
			gauge(queueTasks, float64(n), name, state)
		}
	}
}
