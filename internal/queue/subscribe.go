package queue

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// silence is how long a connection may receive nothing before listen pings it, and how long the answer may take.
	silence = 5 * time.Second
	// resubscribePause is the time between two attempts to connect.
	resubscribePause = 250 * time.Millisecond
)

// subscribe calls receive with every message on channels until ctx ends. Whenever it has subscribed to a channel, it calls
// receive with an empty message, because it missed what was published before. go-redis by itself would never notice a
// connection that carries nothing any more: its health check pings and waits for no answer.
func subscribe(ctx context.Context, client *redis.Client, receive func(channel, message string), channels ...string) {
	for ctx.Err() == nil {
		listen(ctx, client, receive, channels)
		select {
		case <-time.After(resubscribePause):
		case <-ctx.Done():
		}
	}
}

// listen receives from one connection until it fails, is silent for too long, or ctx ends.
func listen(ctx context.Context, client *redis.Client, receive func(channel, message string), channels []string) {
	sub := client.Subscribe(ctx, channels...)
	defer sub.Close() //nolint:errcheck // the connection is not used again
	// A read that waits for a message ignores ctx.
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()

	for pinged := false; ; {
		m, err := sub.ReceiveTimeout(ctx, silence)
		if err == nil {
			pinged = false
			switch m := m.(type) {
			case *redis.Message:
				receive(m.Channel, m.Payload)
			case *redis.Subscription:
				receive(m.Channel, "")
			}
			continue
		}
		timeout, ok := errors.AsType[net.Error](err)
		if !ok || !timeout.Timeout() || pinged || sub.Ping(ctx) != nil {
			return
		}
		pinged = true
	}
}
