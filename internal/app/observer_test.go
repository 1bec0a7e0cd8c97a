package app

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/revocation"
)

func TestObserver(t *testing.T) {
	registry := prometheus.NewRegistry()
	o := newObserver(registry)
	o.Flushed(3, nil, errors.New("away"))
	o.Flushed(1, []revocation.Accepted{{Err: &revocation.Error{Code: revocation.CodeInternal}}}, nil)
	item := revocation.ID{1}
	o.Decided([]revocation.Decision{
		{Kind: revocation.RouteUpstream},
		{Delay: 1},
		{Kind: revocation.Retry, Status: revocation.StatusErrorRevoking},
		{Status: revocation.StatusErrorRevoking, Kind: revocation.Final, Job: item, Ref: revocation.Ref{Attempt: 9}},
		{Status: revocation.StatusRevoked, Kind: revocation.Final, Upstream: true, Notify: true, Ref: revocation.Ref{Attempt: 1}},
		{Status: revocation.StatusCancelled, Kind: revocation.Final, Job: item},
	})
	o.ChunkEnded(revocation.Chunk{Spilled: 2, Done: revocation.JobCount{Counts: revocation.Counts{Revoked: 3, Cancelled: 4}}})
	o.Settled(revocation.Settlement{Status: revocation.NotificationPending})
	o.DeliveryFailed(revocation.ReasonDNS)
	o.Dispatched([]revocation.DueAttempt{{DispatchCount: 1}, {DispatchCount: 2, Waited: true}, {DispatchCount: 1, Waited: true}, {DispatchCount: 1, Ref: revocation.Ref{Attempt: 1}}})
	o.DispatchedEmails([]revocation.NotificationRef{{DispatchCount: 1}, {DispatchCount: 2}, {DispatchCount: 1, Claims: 1}})

	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			if v := metric.GetCounter().GetValue() + metric.GetHistogram().GetSampleSum(); v > 0 {
				got[name] = v
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{
		"rescind_submissions_total failed":         4,
		"rescind_flush_size":                       4,
		"rescind_batch_size items":                 9,
		"rescind_attempts_total postponed":         1,
		"rescind_attempts_total retried":           1,
		"rescind_attempts_total error_revoking":    1,
		"rescind_attempts_total revoked":           4,
		"rescind_attempts_total cancelled":         5,
		"rescind_attempts_to_outcome":              10 + 2 + 3,
		"rescind_job_items_total error_revoking":   1,
		"rescind_job_items_total revoked":          3,
		"rescind_job_items_total cancelled":        5,
		"rescind_notifications_total delegated":    1,
		"rescind_notifications_total pending":      1,
		"rescind_delivery_failures_total dns":      1,
		"rescind_dispatched_total lost revocation": 2,
		"rescind_dispatched_total due revocation":  2,
		"rescind_dispatched_total lost email":      2,
		"rescind_dispatched_total due email":       1,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
