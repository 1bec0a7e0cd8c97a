package queue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

func TestStats(t *testing.T) {
	t.Run("it counts tasks by queue and state", func(t *testing.T) {
		onBoth(t, func(t *testing.T, r *redis.Client) {
			client := queue.NewClient(r)
			batch := func(i byte) []revocation.Ref { return []revocation.Ref{{Account: "acme", ID: revocation.ID{i}}} }
			for i := range byte(2) {
				if err := client.EnqueueRevocations(t.Context(), 0, batch(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := client.EnqueueAccountTasks(t.Context(), revocation.UpstreamTask, []string{"acme"}); err != nil {
				t.Fatal(err)
			}
			stats, err := client.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			counts := func(pending int64) map[string]int64 {
				return map[string]int64{"pending": pending, "active": 0, "retry": 0, "archived": 0}
			}
			want := map[string]map[string]int64{"single": counts(2), "mail": counts(0), "bulk": counts(0), "upstream": counts(1), "bulkmail": counts(0)}
			if diff := cmp.Diff(want, stats.Tasks); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if stats.Evicts || stats.HasMemory && stats.Memory == 0 {
				t.Errorf("%+v", stats)
			}
		})
	})
	t.Run("it reports the memory and that Redis evicts", func(t *testing.T) {
		r := connect(t, testservers.Redis(t))
		for name, value := range map[string]string{"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"} {
			if err := r.ConfigSet(t.Context(), name, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
		stats, err := queue.NewClient(r).Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !stats.Evicts || !stats.HasMemory || stats.Memory == 0 || stats.MaxMemory != 100<<20 {
			t.Errorf("%+v", stats)
		}
	})
	t.Run("a Redis that is away is an error", func(t *testing.T) {
		r := connect(t, testservers.Redis(t))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if stats, err := queue.NewClient(r).Stats(t.Context()); err == nil {
			t.Errorf("%+v", stats)
		}
	})
}
