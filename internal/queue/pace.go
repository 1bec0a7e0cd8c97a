package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// paceKey holds the time from which the next message may be sent, in microseconds of Redis's clock.
	paceKey = "rescind:pace:mail"
	// paceHorizon is how far ahead a caller may reserve a time. A reservation is lost when its worker stops, so a caller
	// that would have to wait longer reserves nothing and tries again later.
	paceHorizon = time.Second
)

// paceScript returns the microseconds until the next free time, and reserves that time unless it is beyond the horizon.
// It uses Redis's clock, which all workers share.
var paceScript = redis.NewScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local free = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local interval, horizon = tonumber(ARGV[1]), tonumber(ARGV[2])
if free - now <= horizon then
  local rest = math.ceil((free + interval - now) / 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.0f', free + interval), 'PX', string.format('%.0f', rest))
end
return free - now
`)

// NewPace returns a function that waits until one more message may be sent. All workers that use the same Redis together
// send at most rate messages a second, evenly spread. rate must be positive, may be below 1, and should be the same in
// all workers. The function returns an error if ctx ends or Redis is away: the caller must not send the message then.
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
			reserved := wait <= paceHorizon
			if !reserved {
				wait -= paceHorizon / 2
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			if reserved {
				return nil
			}
		}
	}
}
