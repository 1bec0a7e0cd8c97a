package standalone

import (
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
)

// Redis is a Redis within this process. It has no port and keeps nothing beyond the process: what it lost is
// found again in the database.
type Redis struct {
	server  *miniredis.Miniredis
	client  *redis.Client
	stop    chan struct{}
	stopped sync.WaitGroup
}

// clockInterval is how exact the expiry of keys is.
const clockInterval = time.Second

// StartRedis starts one.
func StartRedis() *Redis {
	r := &Redis{server: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	r.client = queue.NewInProcess(r.dial)
	r.stopped.Go(r.expireKeys)
	return r
}

// Client is connected to it and belongs to it: Close closes both.
func (r *Redis) Client() *redis.Client { return r.client }

// dial gives a connection in memory.
func (r *Redis) dial() (net.Conn, error) {
	select {
	case <-r.stop:
		// A closed server would start anew at the next dial.
		return nil, net.ErrClosed
	default:
		return r.server.Dial()
	}
}

// expireKeys moves the server's clock for keys that expire, which stands still by itself.
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

// Close ends it, once, after those who use it have stopped. Everything in it is lost.
func (r *Redis) Close() error {
	close(r.stop)
	r.stopped.Wait()
	err := r.client.Close()
	r.server.Close()
	return err
}
