package queue_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/testservers"
)

func TestHealth(t *testing.T) {
	t.Run("all is well", func(t *testing.T) {
		onBoth(t, func(t *testing.T, r *redis.Client) {
			if got := queue.NewClient(r).Health(t.Context()); got != (queue.Health{State: queue.StateOK}) {
				t.Errorf("got %+v", got)
			}
		})
	})

	url := testservers.Redis(t)
	admin := connect(t, url)
	if err := admin.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	// A managed Redis forbids CONFIG, and a strict one INFO as well.
	for name, rule := range map[string]string{"without-config": "-config", "without-both": "-config -info", "without-writes": "-@write"} {
		args := []any{"acl", "setuser", name, "on", ">s3cret", "~*", "&*", "+@all"}
		for r := range strings.FieldsSeq(rule) {
			args = append(args, r)
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for user, want := range map[string]queue.State{
		"":               queue.StateEvicting,
		"without-config": queue.StateEvicting,
		"without-both":   queue.StateOK,
		"without-writes": queue.StateAway,
	} {
		t.Run("a Redis that evicts/"+user, func(t *testing.T) {
			credentials := ""
			if user != "" {
				credentials = user + ":s3cret@"
			}
			r := connect(t, strings.Replace(url, "redis://", "redis://"+credentials, 1))
			got := queue.NewClient(r).Health(t.Context())
			if got.State != want {
				t.Errorf("got %+v, want %s", got, want)
			}
			if want == queue.StateEvicting && !strings.Contains(got.Reason, "allkeys-lru") {
				t.Errorf("the reason does not name the policy: %s", got.Reason)
			}
		})
	}
}

func TestHealth_cannotBeWritten(t *testing.T) {
	primary := testservers.StartRedis(t)
	for name, test := range map[string]struct {
		url    string
		spoil  []any // a command that makes writes fail
		reason string
	}{
		"a read-only replica": {primary.Replica().URL(), nil, "read-only"},
		"no memory is left":   {testservers.Redis(t), []any{"config", "set", "maxmemory", "1"}, "no memory"},
		"too few replicas":    {testservers.Redis(t), []any{"config", "set", "min-replicas-to-write", "1"}, "takes nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := connect(t, test.url)
			if test.spoil != nil {
				if err := r.Do(t.Context(), test.spoil...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			client := queue.NewClient(r)
			if got := client.Health(t.Context()); got.State != queue.StateAway || !strings.Contains(got.Reason, test.reason) {
				t.Errorf("got %+v, want a reason with %q", got, test.reason)
			}
			if client.Ready(t.Context()) == nil {
				t.Error("Ready returns nil")
			}
		})
	}
}
