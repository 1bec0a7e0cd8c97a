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

// RedisOption changes a RedisServer from one that speaks plain TCP and asks for no password.
type RedisOption func(*RedisServer)

// RedisTLS has the server speak nothing but TLS, with a certificate that the authority issued for hosts; without any,
// for those of the loopback interface.
func RedisTLS(by *Authority, hosts ...string) RedisOption {
	if len(hosts) == 0 {
		hosts = loopbackHosts
	}
	return func(s *RedisServer) { s.authority, s.hosts = by, hosts }
}

// RedisPassword has the server refuse whoever does not know the password.
func RedisPassword(password string) RedisOption {
	return func(s *RedisServer) { s.password = password }
}

// replicaOf has the server copy another one, whose TLS and password are its own too.
func replicaOf(primary int) RedisOption {
	return func(s *RedisServer) { s.primary = primary }
}

// directives are the settings that the options come to, of a Redis as of a Sentinel.
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

// URL is the server's address and stays the same for its life.
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

// options are how to reach the server from here. Whether clients check its certificate is what tests are about.
func (s *RedisServer) options() *redis.Options {
	o := &redis.Options{Addr: loopback(s.port), Password: s.password, MaxRetries: -1, DialTimeout: time.Second}
	if s.authority != nil {
		o.TLSConfig = &tls.Config{RootCAs: s.authority.Pool(), ServerName: s.hosts[0], MinVersion: tls.VersionTLS12}
	}
	return o
}

func (s *RedisServer) ping() error {
	client := redis.NewClient(s.options())
	defer func() { _ = client.Close() }() // nothing is left to be done with it
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return client.Ping(ctx).Err()
}
