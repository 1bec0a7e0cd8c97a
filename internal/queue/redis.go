package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// opTimeout bounds a dial, a write, a reply and the wait for a pooled connection, so that a Redis that
	// swallows packets fails as fast as one that refuses them.
	opTimeout = time.Second
	// opRetries lets a command survive one connection that turns out to be dead. go-redis would otherwise
	// dial five times for each of four tries.
	opRetries = 1
	poolSize  = 16

	sentinelPort = "26379"
)

// Neither says anything of the value: it holds a password.
var (
	errScheme   = errors.New("must begin with redis://, rediss://, redis-sentinel:// or rediss-sentinel://")
	errForm     = errors.New("must be of the form redis://[user:password@]host:port[/db]")
	errSentinel = errors.New("must be of the form redis-sentinel://[user:password@]host:port[,host:port...]/master[/db]")
)

// NewRedis makes a client for the Redis at rawURL, without connecting yet:
//
//	redis://[user:password@]host:port[/db]       plain
//	rediss://[user:password@]host:port[/db]      over TLS
//	redis-sentinel://[user:password@]host:port[,host:port...]/master[/db]
//	rediss-sentinel://…                          over TLS, to the Sentinels as to the master
//
// The last two name Sentinels (port 26379 if left out) and the master that they watch; the master may stand as
// ?master=NAME instead, the path then being the database alone. The user and password are the master's;
// Sentinels that want their own take ?sentinel_username= and ?sentinel_password=.
//
// Over TLS, a server's certificate must be valid for the host that rawURL names; a master's and a further
// Sentinel's for the address that Sentinels tell.
//
// Every command of the client fails within a few seconds when Redis is away, whatever its context says. An
// error never holds any part of rawURL.
func NewRedis(rawURL string) (*redis.Client, error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	switch strings.ToLower(scheme) {
	case "redis", "rediss":
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, errForm
		}
		return newClient(o), nil
	case "redis-sentinel", "rediss-sentinel":
		o, err := sentinelOptions(rest)
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(scheme, "rediss-sentinel") {
			// Without a name here, each connection is checked by the address that it is made to.
			o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		return redis.NewFailoverClient(o), nil
	default:
		return nil, errScheme
	}
}

// NewInProcess makes a client for a Redis within this process: dial gives a connection to it.
func NewInProcess(dial func() (net.Conn, error)) *redis.Client {
	return newClient(&redis.Options{
		Addr:   "in-process",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return dial() },
	})
}

func newClient(o *redis.Options) *redis.Client {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = opTimeout, opTimeout, opTimeout, opTimeout
	o.DialerRetries, o.MaxRetries = 1, opRetries
	o.ContextTimeoutEnabled = true
	o.PoolSize = poolSize
	// Nothing here needs RESP3, whose push messages go-redis looks for before it reads a reply.
	o.Protocol = 2
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o)
}

// sentinelOptions reads what follows the scheme. net/url takes no list of hosts, so that they are
// taken out first.
func sentinelOptions(rest string) (*redis.FailoverOptions, error) {
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(authority, '@') + 1
	u, err := url.Parse("redis://" + authority[:at] + "sentinel" + tail)
	if err != nil || u.Fragment != "" {
		return nil, errSentinel
	}
	o := &redis.FailoverOptions{
		DialTimeout: opTimeout, ReadTimeout: opTimeout, WriteTimeout: opTimeout, PoolTimeout: opTimeout,
		DialerRetries: 1, MaxRetries: opRetries,
		ContextTimeoutEnabled: true,
		PoolSize:              poolSize,
		Protocol:              2,
	}
	for host := range strings.SplitSeq(authority[at:], ",") {
		if host == "" {
			return nil, errSentinel
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), sentinelPort)
		}
		o.SentinelAddrs = append(o.SentinelAddrs, host)
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()

	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errSentinel
	}
	o.SentinelUsername, o.SentinelPassword = query.Get("sentinel_username"), query.Get("sentinel_password")
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if o.MasterName = query.Get("master"); o.MasterName == "" {
		o.MasterName, path = path[0], path[1:]
	}
	if len(path) == 1 && path[0] != "" {
		o.DB, err = strconv.Atoi(path[0])
	}
	if err != nil || o.DB < 0 || o.MasterName == "" || len(path) > 1 {
		return nil, errSentinel
	}
	return o, nil
}
