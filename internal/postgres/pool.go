package postgres

import "github.com/prometheus/client_golang/prometheus"

// Metrics returns a collector of the connection pool's metrics.
func (s *Store) Metrics() prometheus.Collector { return poolMetrics{s} }

type poolMetrics struct{ store *Store }

var (
	poolConnections = prometheus.NewDesc("rescind_db_pool_connections",
		"Connections to PostgreSQL, by state.", []string{"state"}, nil)
	poolMax = prometheus.NewDesc("rescind_db_pool_max_connections",
		"Connections that the pool has at most.", nil, nil)
	poolAcquires = prometheus.NewDesc("rescind_db_pool_acquires_total",
		"Times that a connection was taken from the pool.", nil, nil)
	poolWaits = prometheus.NewDesc("rescind_db_pool_waits_total",
		"Times that a connection was waited for, because none was idle.", nil, nil)
	poolWaited = prometheus.NewDesc("rescind_db_pool_wait_seconds_total",
		"Time that connections were waited for.", nil, nil)
)

// Describe implements prometheus.Collector.
func (poolMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{poolConnections, poolMax, poolAcquires, poolWaits, poolWaited} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (p poolMetrics) Collect(metrics chan<- prometheus.Metric) {
	stat := p.store.pool.Stat()
	for state, n := range map[string]int32{
		"acquired": stat.AcquiredConns(), "idle": stat.IdleConns(), "constructing": stat.ConstructingConns(),
	} {
		metrics <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(n), state)
	}
	metrics <- prometheus.MustNewConstMetric(poolMax, prometheus.GaugeValue, float64(stat.MaxConns()))
	metrics <- prometheus.MustNewConstMetric(poolAcquires, prometheus.CounterValue, float64(stat.AcquireCount()))
	metrics <- prometheus.MustNewConstMetric(poolWaits, prometheus.CounterValue, float64(stat.EmptyAcquireCount()))
	metrics <- prometheus.MustNewConstMetric(poolWaited, prometheus.CounterValue, stat.EmptyAcquireWaitTime().Seconds())
}
