package upstream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are of all accounts together: a label for each account would be too many time series.
type metrics struct {
	calls    *prometheus.CounterVec
	duration prometheus.Histogram
}

// newMetrics returns the metrics and registers them with to, unless to is nil.
func newMetrics(to prometheus.Registerer, p *Client) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rescind_upstream_calls_total",
			Help: "Calls to upstreams that were made, by how they ended.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "rescind_upstream_call_duration_seconds",
			Help:    "Time of a call to an upstream, without the wait for its turn.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	for _, outcome := range outcomes {
		m.calls.WithLabelValues(outcome)
	}
	if to == nil {
		return m
	}
	to.MustRegister(
		m.calls, m.duration,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rescind_upstream_breakers_open",
			Help: "Accounts whose calls this process holds back because their upstream is down.",
		}, func() float64 { return float64(p.count(isOpen)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rescind_upstream_paused_accounts",
			Help: "Accounts whose upstream refused the key in this process's latest call of the last two minutes.",
		}, func() float64 { return float64(p.count(isPaused)) }),
	)
	return m
}

func (m *metrics) observe(outcome string, took time.Duration) {
	m.calls.WithLabelValues(outcome).Inc()
	m.duration.Observe(took.Seconds())
}
