// Package config reads the programs' settings from environment variables and reports all faults at once. An empty variable
// counts as not set. White space around a value is ignored.
package config

import (
	"math"
	"time"
)

// API are the settings of an API process.
type API struct {
	Stores
	HTTP
	Templates
	Previews
	Admin
	Hosts
}

// Worker are the settings of a worker process.
type Worker struct {
	Stores
	Mail
	Retry
	Upstream
	Previews
	Retention
	Admin
	Hosts
}

// Standalone are the settings of a standalone process: an API and a worker with an embedded database and queue. Emails are
// written to the data directory when SMTPURL is empty.
type Standalone struct {
	HTTP
	Mail
	Retry
	Upstream
	Previews
	Retention
	Admin
	Hosts
}

// Stores are the addresses of the database and of the queue.
type Stores struct {
	// DatabaseURL has the scheme postgres or postgresql.
	DatabaseURL string `env:"DATABASE_URL"`
	// RedisURL has the scheme redis, rediss, redis-sentinel or rediss-sentinel.
	RedisURL string `env:"REDIS_URL"`
}

// HTTP are the settings of the API's public address.
type HTTP struct {
	// HTTPAddr is the host and port to listen on. An empty host means all interfaces. The default is :8080, and
	// 127.0.0.1:8080 for a standalone process.
	HTTPAddr string `env:"HTTP_ADDR"`
	// TrustedProxies are the networks whose X-Forwarded-For header is used; nil means private, loopback and link-local
	// networks.
	TrustedProxies Networks `env:"TRUSTED_PROXIES"`
	// RateLimit is the number of requests per second that each API key may send to this process; at least 1.
	RateLimit int `env:"RATE_LIMIT" envDefault:"50"`
	// SubmitWait is how long a submission waits for its outcome, from 0 to MaxSubmitWait.
	SubmitWait time.Duration `env:"SUBMIT_WAIT" envDefault:"2s"`
	// JobMaxItems is the largest number of items of a job, from 1 to MaxJobItems.
	JobMaxItems int `env:"JOB_MAX_ITEMS" envDefault:"1000000"`
}

// MaxJobItems is the largest JOB_MAX_ITEMS, because rows are numbered with 31 bits.
const MaxJobItems = math.MaxInt32

// MaxSubmitWait is the longest SUBMIT_WAIT.
const MaxSubmitWait = 30 * time.Second

// DefaultAdminAddr is the default of ADMIN_ADDR. Only this machine can reach it.
const DefaultAdminAddr = "127.0.0.1:9090"

// Admin are the settings of the operators' address.
type Admin struct {
	// AdminAddr is the host and port that serve metrics and health.
	AdminAddr string `env:"ADMIN_ADDR"`
}

// Hosts are the settings about Host headers.
type Hosts struct {
	// AllowedHosts are host names without a port. A loopback listener accepts them in addition to localhost and IP
	// addresses. Other listeners accept every name.
	AllowedHosts HostNames `env:"ALLOWED_HOSTS"`
}

// Mail are the settings of emails to candidates.
type Mail struct {
	// SMTPURL has the scheme smtp or smtps, with or without credentials, or is file:DIR.
	SMTPURL string `env:"SMTP_URL"`
	// MailFrom is the sender's address, with or without a display name.
	MailFrom string `env:"MAIL_FROM"`
	// MailBounce is the address of the envelope's sender, without a display name; empty means the address in MailFrom.
	MailBounce string `env:"MAIL_BOUNCE"`
	// MailHelo is the name in EHLO; empty means the domain of the address in MailFrom.
	MailHelo string `env:"MAIL_HELO"`
	// MailRate is the number of messages per second that all workers together may send; 0 means no limit.
	MailRate float64 `env:"MAIL_RATE"`
	// MailMaxAge is how long after the first temporary refusal an email is retried; above 0.
	MailMaxAge time.Duration `env:"MAIL_MAX_AGE" envDefault:"96h"`
	Templates
}

// Templates are the templates of emails: workers send them, and APIs show them.
type Templates struct {
	// MailTemplates is a directory with templates that replace the built-in ones; empty means none.
	MailTemplates string `env:"MAIL_TEMPLATES"`
}

// Retry are the settings of revocation.RetryPolicy.
type Retry struct {
	// BackoffBase is above 0.
	BackoffBase time.Duration `env:"BACKOFF_BASE" envDefault:"2s"`
	// BackoffMax is at least BackoffBase.
	BackoffMax time.Duration `env:"BACKOFF_MAX" envDefault:"10m"`
	// MaxAttempts is at least 1.
	MaxAttempts int `env:"MAX_ATTEMPTS" envDefault:"10"`
}

// Upstream are the settings for accounts whose invites are at an upstream.
type Upstream struct {
	// UpstreamTimeout bounds a whole call; above 0, at most MaxUpstreamTimeout.
	UpstreamTimeout time.Duration `env:"UPSTREAM_TIMEOUT" envDefault:"10s"`
	Secrets
}

// MaxUpstreamTimeout is the longest UPSTREAM_TIMEOUT. A worker must have the answer before its account task counts as
// lost.
const MaxUpstreamTimeout = 45 * time.Second

// Secrets are the keys that encrypt the accounts' API keys at their upstreams: each is base64 of 32 bytes, or empty. They
// are required only if an account has an upstream.
type Secrets struct {
	SecretsKey string `env:"SECRETS_KEY"`
	// SecretsKeyOld opens secrets that were sealed before SecretsKey was changed.
	SecretsKeyOld string `env:"SECRETS_KEY_OLD"`
}

// Previews are the settings of what jobs would do.
type Previews struct {
	// PreviewTTL is how long a preview can be confirmed; above 0, at most MaxPreviewTTL.
	PreviewTTL time.Duration `env:"PREVIEW_TTL" envDefault:"1h"`
}

// MaxPreviewTTL is the longest PREVIEW_TTL.
const MaxPreviewTTL = 90 * 24 * time.Hour

// Retention is how long data is kept.
type Retention struct {
	// RetentionDays is from 0 to 36500; 0 means forever.
	RetentionDays int `env:"RETENTION_DAYS" envDefault:"90"`
	// InviteDays is from 0 to 36500; 0 means forever.
	InviteDays int `env:"INVITE_DAYS" envDefault:"0"`
	// AuditDays is from 0 to 36500; 0 means forever.
	AuditDays int `env:"AUDIT_DAYS" envDefault:"400"`
}

// RetentionPeriod returns how long final revocations and ended jobs are kept; 0 means forever.
func (r Retention) RetentionPeriod() time.Duration { return days(r.RetentionDays) }

// InviteAge returns how long after an invite was sent its candidate's name and address are kept; 0 means forever.
func (r Retention) InviteAge() time.Duration { return days(r.InviteDays) }

// AuditPeriod returns how long events are kept; 0 means forever.
func (r Retention) AuditPeriod() time.Duration { return days(r.AuditDays) }

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// LoadAPI reads the settings of an API process from environ, which has the form of os.Environ. Its error lists all faults,
// one on each line, and contains no value.
func LoadAPI(environ []string) (API, error) {
	s := API{HTTP: HTTP{HTTPAddr: ":8080"}, Admin: Admin{DefaultAdminAddr}}
	f := parse(&s, environ)
	f.checkStores(s.Stores)
	f.checkHTTP(s.HTTP)
	f.checkTemplates(s.Templates)
	f.checkPreviews(s.Previews)
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
	f.checkPreviews(s.Previews)
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
	f.checkPreviews(s.Previews)
	f.checkRetention(s.Retention)
	f.checkAdmin(s.Admin)
	return s, f.err()
}

// LoadSecrets reads the keys that a command needs to encrypt the key of an upstream; see LoadAPI.
func LoadSecrets(environ []string) (Secrets, error) {
	var s Secrets
	f := parse(&s, environ)
	f.checkSecrets(s)
	return s, f.err()
}

// DatabaseURL returns DATABASE_URL, the only setting of a command on PostgreSQL; see LoadAPI.
func DatabaseURL(environ []string) (string, error) {
	var s Stores
	f := parse(&s, environ)
	f.checkDatabase(s)
	return s.DatabaseURL, f.err()
}

// AdminAddr returns ADMIN_ADDR or its default, the only setting of a health check; see LoadAPI.
func AdminAddr(environ []string) (string, error) {
	s := Admin{DefaultAdminAddr}
	f := parse(&s, environ)
	f.checkAdmin(s)
	return s.AdminAddr, f.err()
}
