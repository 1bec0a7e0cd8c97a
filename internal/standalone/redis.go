package standalone

import (
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
)

// Redis is a Redis server within this process. It has no port and stores nothing on disk. The dispatcher enqueues again
// what was lost when the process ended.
type Redis struct {
	server  *miniredis.Miniredis
	client  *redis.Client
	stop    chan struct{}
	stopped sync.WaitGroup
}

// clockInterval is how often keys are expired.
const clockInterval = time.Second

// StartRedis starts a Redis. The caller must close it.
func StartRedis() *Redis {
	r := &Redis{server: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	r.client = queue.NewInProcess(r.dial)
	r.stopped.Go(r.expireKeys)
	return r
}

// Client returns the client of this Redis. Close closes it.
func (r *Redis) Client() *redis.Client { return r.client }

// dial returns a connection in memory.
func (r *Redis) dial() (net.Conn, error) {
	select {
	case <-r.stop:
		// Dialling a closed server would start it again.
		return nil, net.ErrClosed
	default:
		return r.server.Dial()
	}
}

// expireKeys advances the server's clock, which does not move by itself, until Close is called.
func (r *Redis) expireKeys() {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case now := <-tick.C:
			r.server.FastForward(now.Sub(last))
			last = now
		case <-r.stop:
			return
		}
	}
}

// Close stops the Redis and deletes its data. The caller must call it once, after all users of the client have stopped.
func (r *Redis) Close() error {
	close(r.stop)
	r.stopped.Wait()
	err := r.client.Close()
	r.server.Close()
	return err
}
