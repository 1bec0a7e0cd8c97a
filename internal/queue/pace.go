package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// paceKey holds the moment, in microseconds of Redis's clock, from which the next message may go.
	paceKey = "rescind:pace:mail"
	// paceHorizon is how far ahead a turn may be booked. A booked turn is lost when its worker stops, so that
	// those who would wait for longer come again instead.
	paceHorizon = time.Second
)

// paceScript books the next turn if it is near enough, and tells the microseconds until then. Redis's own
// clock is the one that all workers share.
var paceScript = redis.NewScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local interval, horizon = tonumber(ARGV[1]), tonumber(ARGV[2])
if turn - now <= horizon then
  local rest = math.ceil((turn + interval - now) / 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.0f', turn + interval), 'PX', string.format('%.0f', rest))
end
return turn - now
`)

// NewPace makes a function that waits until one more message may go, so that all workers on the same Redis
// together send at most rate messages a second, evenly spread. rate is positive and may be below 1; workers
// should agree on it. The function fails when ctx ends or Redis is away: the message must not go then.
func NewPace(client *redis.Client, rate float64) func(context.Context) error {
	interval := time.Duration(float64(time.Second) / rate)
	return func(ctx context.Context) error {
		for {
			us, err := paceScript.Run(ctx, client, []string{paceKey},
				interval.Microseconds(), paceHorizon.Microseconds()).Int64()
			if err != nil {
				return fmt.Errorf("pace: %w", err)
			}
			wait := time.Duration(us) * time.Microsecond
			booked := wait <= paceHorizon
			if !booked {
				wait -= paceHorizon / 2
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			if booked {
				return nil
			}
		}
	}
}
