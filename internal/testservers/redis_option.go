package testservers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisOption changes a RedisServer. Without options the server has no TLS and no password.
type RedisOption func(*RedisServer)

// RedisTLS makes the server accept only TLS. The authority issues its certificate for hosts, or for the names of the
// loopback interface if there are none.
func RedisTLS(by *Authority, hosts ...string) RedisOption {
	if len(hosts) == 0 {
		hosts = loopbackHosts
	}
	return func(s *RedisServer) { s.authority, s.hosts = by, hosts }
}

// RedisPassword makes the server require the password.
func RedisPassword(password string) RedisOption {
	return func(s *RedisServer) { s.password = password }
}

// replicaOf makes the server a replica of primary, with the same TLS and password.
func replicaOf(primary int) RedisOption {
	return func(s *RedisServer) { s.primary = primary }
}

// directives returns the options as settings of a Redis server or a Sentinel.
func (s *RedisServer) directives() ([][]string, error) {
	settings := [][]string{{"bind", "127.0.0.1"}, {"dir", s.dir}}
	if s.password != "" {
		settings = append(settings, []string{"requirepass", s.password})
	}
	if s.authority == nil {
		return append(settings, []string{"port", strconv.Itoa(s.port)}), nil
	}
	cert, key, authority, err := s.authority.write(s.dir, s.hosts)
	if err != nil {
		return nil, fmt.Errorf("write the certificate of a Redis server: %w", err)
	}
	return append(settings, [][]string{
		{"port", "0"},
		{"tls-port", strconv.Itoa(s.port)},
		{"tls-cert-file", cert},
		{"tls-key-file", key},
		{"tls-ca-cert-file", authority},
		{"tls-auth-clients", "no"},
		{"tls-replication", "yes"},
	}...), nil
}

// URL returns the URL of the server. It does not change.
func (s *RedisServer) URL() string {
	u := url.URL{Scheme: "redis", Host: loopback(s.port), Path: "/0"}
	if s.authority != nil {
		u.Scheme = "rediss"
	}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

// options returns the options of a client of the server. The client does not verify the certificate: tests check that.
func (s *RedisServer) options() *redis.Options {
	o := &redis.Options{Addr: loopback(s.port), Password: s.password, MaxRetries: -1, DialTimeout: time.Second}
	if s.authority != nil {
		o.TLSConfig = &tls.Config{RootCAs: s.authority.Pool(), ServerName: s.hosts[0], MinVersion: tls.VersionTLS12}
	}
	return o
}

func (s *RedisServer) ping() error {
	client := redis.NewClient(s.options())
	defer func() { _ = client.Close() }() // the client is not used any more
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return client.Ping(ctx).Err()
}
