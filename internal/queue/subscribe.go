package queue

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// silence is how long a subscription may be without any message before its connection is asked for a
	// sign of life, and again until that counts as missing.
	silence = 5 * time.Second
	// resubscribePause lies between two tries to reach a Redis that is away.
	resubscribePause = 250 * time.Millisecond
)

// subscribe calls receive with every message on channels until ctx ends, and with an empty one whenever it has
// begun to hear a channel, since what was published before is lost to it. go-redis would notice a connection
// that is broken, and never one that has merely gone silent: its health check pings and awaits no answer.
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
	defer sub.Close() //nolint:errcheck // it is given up
	// A read that waits for a message does not look at ctx.
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()

	for asked := false; ; {
		m, err := sub.ReceiveTimeout(ctx, silence)
		if err == nil {
			asked = false
			switch m := m.(type) {
			case *redis.Message:
				receive(m.Channel, m.Payload)
			case *redis.Subscription:
				receive(m.Channel, "")
			}
			continue
		}
		timeout, ok := errors.AsType[net.Error](err)
		if !ok || !timeout.Timeout() || asked || sub.Ping(ctx) != nil {
			return
		}
		asked = true
	}
}
