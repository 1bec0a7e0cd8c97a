// Package config reads the programs' settings from environment variables and checks them all at once. An
// empty variable counts as one that is not set. White space around a value does not count.
package config

import (
	"math"
	"time"
)

// API are the settings of an API process.
type API struct {
	Stores
	HTTP
	Admin
	Hosts
}

// Worker are the settings of a worker process.
type Worker struct {
	Stores
	Mail
	Retry
	Upstream
	Retention
	Admin
	Hosts
}

// Standalone are the settings of the one process that is all of it, on embedded parts. Mail is written to
// the data directory when SMTPURL is empty.
type Standalone struct {
	HTTP
	Mail
	Retry
	Upstream
	Retention
	Admin
	Hosts
}

// Stores is where the truth and the work are.
type Stores struct {
	// DatabaseURL is postgres:// or postgresql://.
	DatabaseURL string `env:"DATABASE_URL"`
	// RedisURL is redis://, rediss://, redis-sentinel:// or rediss-sentinel://.
	RedisURL string `env:"REDIS_URL"`
}

// HTTP is how the API serves its callers.
type HTTP struct {
	// HTTPAddr is the host, which may be empty for all, and the port to listen on. By default :8080, and
	// 127.0.0.1:8080 standalone.
	HTTPAddr string `env:"HTTP_ADDR"`
	// TrustedProxies are the networks whose X-Forwarded-For counts; none: private ones, loopback and link-local.
	TrustedProxies Networks `env:"TRUSTED_PROXIES"`
	// RateLimit is in requests a second and API key, in this process; at least 1.
	RateLimit int `env:"RATE_LIMIT" envDefault:"50"`
	// SubmitWait is how long a submission waits for its outcome: 0 to MaxSubmitWait.
	SubmitWait time.Duration `env:"SUBMIT_WAIT" envDefault:"2s"`
	// JobMaxItems bounds a job: 1 to MaxJobItems.
	JobMaxItems int `env:"JOB_MAX_ITEMS" envDefault:"1000000"`
}

// MaxJobItems bounds JOB_MAX_ITEMS: rows are numbered in 31 bits.
const MaxJobItems = math.MaxInt32

// MaxSubmitWait bounds SUBMIT_WAIT.
const MaxSubmitWait = 30 * time.Second

// DefaultAdminAddr is on this machine alone.
const DefaultAdminAddr = "127.0.0.1:9090"

// Admin is where the operator looks in.
type Admin struct {
	// AdminAddr is the host and port of metrics and health.
	AdminAddr string `env:"ADMIN_ADDR"`
}

// Hosts are whom listeners on loopback answer to.
type Hosts struct {
	// AllowedHosts are host names, without a port. Beside them, listeners on loopback answer to localhost and to
	// addresses; other listeners answer to every name.
	AllowedHosts HostNames `env:"ALLOWED_HOSTS"`
}

// Mail is how candidates are told.
type Mail struct {
	// SMTPURL is smtp:// or smtps://, with credentials or without, or file:DIR.
	SMTPURL string `env:"SMTP_URL"`
	// MailFrom is the sender's address, which may have a display name.
	MailFrom string `env:"MAIL_FROM"`
	// MailBounce is the envelope's sender: an address alone; empty: MailFrom's.
	MailBounce string `env:"MAIL_BOUNCE"`
	// MailHelo is the name in EHLO; empty: the domain of MailFrom's address.
	MailHelo string `env:"MAIL_HELO"`
	// MailRate is in messages a second over all workers; 0: as fast as they can.
	MailRate float64 `env:"MAIL_RATE"`
	// MailMaxAge is how long after the first temporary refusal an email is tried again; above 0.
	MailMaxAge time.Duration `env:"MAIL_MAX_AGE" envDefault:"96h"`
	// MailTemplates is a directory of templates that replace the built-in ones; empty: none.
	MailTemplates string `env:"MAIL_TEMPLATES"`
}

// Retry is when a failed attempt is made again: see revocation.RetryPolicy.
type Retry struct {
	// BackoffBase is above 0.
	BackoffBase time.Duration `env:"BACKOFF_BASE" envDefault:"2s"`
	// BackoffMax is BackoffBase or longer.
	BackoffMax time.Duration `env:"BACKOFF_MAX" envDefault:"10m"`
	// MaxAttempts is at least 1.
	MaxAttempts int `env:"MAX_ATTEMPTS" envDefault:"10"`
}

// Upstream is how accounts on an upstream platform are served.
type Upstream struct {
	// UpstreamTimeout bounds one call as a whole; above 0, at most MaxUpstreamTimeout.
	UpstreamTimeout time.Duration `env:"UPSTREAM_TIMEOUT" envDefault:"10s"`
	Secrets
}

// MaxUpstreamTimeout bounds UPSTREAM_TIMEOUT: a worker must have the answer before its turn counts as lost.
const MaxUpstreamTimeout = 45 * time.Second

// Secrets are the keys under which the accounts' keys at their upstreams are kept: base64 of 32 bytes, or empty.
// They are needed only where an account has an upstream.
type Secrets struct {
	SecretsKey string `env:"SECRETS_KEY"`
	// SecretsKeyOld opens what was sealed before SecretsKey was changed.
	SecretsKeyOld string `env:"SECRETS_KEY_OLD"`
}

// Retention is how long what has ended is kept.
type Retention struct {
	// RetentionDays is 0 for good, and 100 years at most.
	RetentionDays int `env:"RETENTION_DAYS" envDefault:"90"`
}

// RetentionPeriod is the time that what has ended is kept; 0: for good.
func (r Retention) RetentionPeriod() time.Duration {
	return time.Duration(r.RetentionDays) * 24 * time.Hour
}

// LoadAPI reads the settings of an API process from environ, which is in the form of os.Environ. Its error
// tells all faults, one a line, and none of the values.
func LoadAPI(environ []string) (API, error) {
	s := API{HTTP: HTTP{HTTPAddr: ":8080"}, Admin: Admin{DefaultAdminAddr}}
	f := parse(&s, environ)
	f.checkStores(s.Stores)
	f.checkHTTP(s.HTTP)
	f.checkAdmin(s.Admin)
	return s, f.err()
}

// LoadWorker reads the settings of a worker; see LoadAPI.
func LoadWorker(environ []string) (Worker, error) {
	s := Worker{Admin: Admin{DefaultAdminAddr}}
	f := parse(&s, environ)
	f.checkStores(s.Stores)
	f.need("SMTP_URL", s.SMTPURL, formSMTP)
	f.need("MAIL_FROM", s.MailFrom, formFrom)
	f.checkMail(s.Mail)
	f.checkRetry(s.Retry)
	f.checkUpstream(s.Upstream)
	f.checkRetention(s.Retention)
	f.checkAdmin(s.Admin)
	return s, f.err()
}

// LoadStandalone reads the settings of a standalone process; see LoadAPI.
func LoadStandalone(environ []string) (Standalone, error) {
	s := Standalone{
		HTTP: HTTP{HTTPAddr: "127.0.0.1:8080"}, Mail: Mail{MailFrom: "rescind@localhost"}, Admin: Admin{DefaultAdminAddr},
	}
	f := parse(&s, environ)
	f.checkHTTP(s.HTTP)
	f.checkMail(s.Mail)
	f.checkRetry(s.Retry)
	f.checkUpstream(s.Upstream)
	f.checkRetention(s.Retention)
	f.checkAdmin(s.Admin)
	return s, f.err()
}

// LoadSecrets reads the keys that a command needs to keep an upstream's; see LoadAPI.
func LoadSecrets(environ []string) (Secrets, error) {
	var s Secrets
	f := parse(&s, environ)
	f.checkSecrets(s)
	return s, f.err()
}

// DatabaseURL reads all that a command on PostgreSQL has to know; see LoadAPI.
func DatabaseURL(environ []string) (string, error) {
	var s Stores
	f := parse(&s, environ)
	f.checkDatabase(s)
	return s.DatabaseURL, f.err()
}

// AdminAddr reads all that a health check has to know; see LoadAPI.
func AdminAddr(environ []string) (string, error) {
	s := Admin{DefaultAdminAddr}
	f := parse(&s, environ)
	f.checkAdmin(s)
	return s.AdminAddr, f.err()
}
