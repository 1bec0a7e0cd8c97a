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
	// opTimeout bounds a dial, a write, a reply and the wait for a pooled connection, each. So a network that drops
	// packets fails as fast as one that refuses connections.
	opTimeout = time.Second
	// opRetries lets a command succeed after one dead connection. By default, go-redis would dial five times for each of
	// four tries.
	opRetries = 1
	poolSize  = 16

	sentinelPort = "26379"
)

// No error quotes the URL, which contains a password.
var (
	errScheme   = errors.New("must begin with redis://, rediss://, redis-sentinel:// or rediss-sentinel://")
	errForm     = errors.New("must be of the form redis://[user:password@]host:port[/db]")
	errSentinel = errors.New("must be of the form redis-sentinel://[user:password@]host:port[,host:port...]/master[/db]")
)

// NewRedis returns a client for the Redis at rawURL. It does not connect yet. The URL is one of
//
//	redis://[user:password@]host:port[/db]       plain
//	rediss://[user:password@]host:port[/db]      over TLS
//	redis-sentinel://[user:password@]host:port[,host:port...]/master[/db]
//	rediss-sentinel://…                          over TLS, to the Sentinels as to the master
//
// The last two name Sentinels, whose default port is 26379, and the master that they watch. The master may be given as
// ?master=NAME instead; the path is the database alone then. The user and password are those of the master. Credentials
// for the Sentinels are given as ?sentinel_username= and ?sentinel_password=.
//
// Over TLS, the certificate of a server must be valid for the host in rawURL. The certificates of the master and of
// further Sentinels must be valid for the addresses that the Sentinels report.
//
// While Redis is away, every command of the client fails within a few seconds, even if its context has no deadline. The
// error contains no part of rawURL.
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
			// Without a name here, each certificate is verified against the address of its connection.
			o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		return redis.NewFailoverClient(o), nil
	default:
		return nil, errScheme
	}
}

// NewInProcess returns a client for a Redis in this process. dial must return a connection to it.
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
	// Nothing here needs RESP3, with which go-redis would check for push messages before each reply.
	o.Protocol = 2
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o)
}

// sentinelOptions parses the URL after its scheme. It removes the hosts first, because net/url does not parse a list of
// hosts.
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
