package config

import (
	"encoding/base64"
	"net"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	formDatabase = "postgres://user:password@host:5432/rescind"
	formRedis    = "redis://host:6379/0, rediss://user:password@host:6379/0 or redis-sentinel://host:26379,host:26379/master (rediss-sentinel:// for TLS)"
	formSMTP     = "smtp://user:password@host:587, smtps://user:password@host:465 or file:DIR"
	formFrom     = "Example Ltd <no-reply@example.com>"
	formQuoted   = `"Example, Ltd." <no-reply@example.com>`
	formBounce   = "bounces@example.com"
	formHelo     = "mail.example.com"
	formAddr     = "127.0.0.1:8080, or :8080 for all interfaces"
	formDir      = "/etc/rescind/templates"
	formSecret   = "the output of: openssl rand -base64 32"
)

// need adds a fault if the variable has no value. It reports whether the variable has one.
func (f *faults) need(variable, value, form string) bool {
	if value == "" {
		f.add(variable, "missing", form)
	}
	return value != ""
}

func (f *faults) checkStores(s Stores) {
	f.checkDatabase(s)
	if f.need("REDIS_URL", s.RedisURL, formRedis) {
		f.checkURL("REDIS_URL", s.RedisURL, validRedis, "not a Redis URL", formRedis)
	}
}

func (f *faults) checkDatabase(s Stores) {
	if f.need("DATABASE_URL", s.DatabaseURL, formDatabase) {
		f.checkURL("DATABASE_URL", s.DatabaseURL, validDatabase, "not a PostgreSQL URL", formDatabase)
	}
}

// checkURL checks a URL that may hold a password.
func (f *faults) checkURL(variable, value string, valid func(string) bool, wrong, form string) {
	switch {
	case notEncoded(value):
		f.add(variable, causeEncode, form)
	case !valid(value):
		f.add(variable, wrong, form)
	}
}

func validDatabase(value string) bool {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return false
	}
	// A directory with a Unix socket is given as the parameter host.
	return u.Hostname() != "" || u.Query().Get("host") != ""
}

func validRedis(value string) bool {
	scheme, rest, _ := strings.Cut(value, "://")
	if strings.EqualFold(scheme, "redis-sentinel") || strings.EqualFold(scheme, "rediss-sentinel") {
		hosts, _, _ := strings.Cut(rest, "/")
		hosts = hosts[strings.LastIndexByte(hosts, '@')+1:]
		return !slices.Contains(strings.Split(hosts, ","), "")
	}
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "redis" || u.Scheme == "rediss") && u.Hostname() != ""
}

func (f *faults) checkHTTP(s HTTP) {
	f.checkAddr("HTTP_ADDR", s.HTTPAddr)
	if s.RateLimit < 1 {
		f.add("RATE_LIMIT", "less than 1", formInt)
	}
	if s.SubmitWait < 0 || s.SubmitWait > MaxSubmitWait {
		f.add("SUBMIT_WAIT", "not from 0 to 30s", formDuration)
	}
	if s.JobMaxItems < 1 || s.JobMaxItems > MaxJobItems {
		f.add("JOB_MAX_ITEMS", "not from 1 to 2147483647", formInt)
	}
}

func (f *faults) checkAdmin(s Admin) { f.checkAddr("ADMIN_ADDR", s.AdminAddr) }

func (f *faults) checkAddr(variable, value string) {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		f.add(variable, "not a host and a port", formAddr)
	}
}

// checkMail checks the settings that have a value.
func (f *faults) checkMail(s Mail) {
	if s.SMTPURL != "" {
		f.checkURL("SMTP_URL", s.SMTPURL, validSMTP, "neither the URL of a mail server nor a directory", formSMTP)
	}
	if s.MailFrom != "" {
		_, err := mail.ParseAddress(s.MailFrom)
		switch {
		case err == nil:
		case notQuoted(s.MailFrom):
			f.add("MAIL_FROM", "has a name with a comma or another character that needs quotes around the name", formQuoted)
		default:
			f.add("MAIL_FROM", "not an email address", formFrom)
		}
	}
	if s.MailBounce != "" {
		if a, err := mail.ParseAddress(s.MailBounce); err != nil || a.Address != s.MailBounce {
			f.add("MAIL_BOUNCE", "not an email address alone", formBounce)
		}
	}
	if strings.ContainsFunc(s.MailHelo, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		f.add("MAIL_HELO", "not a host name", formHelo)
	}
	if s.MailMaxAge <= 0 {
		f.add("MAIL_MAX_AGE", "not above 0", formDuration)
	}
	f.checkTemplates(s.Templates)
}

func (f *faults) checkTemplates(s Templates) {
	if s.MailTemplates != "" {
		if info, err := os.Stat(s.MailTemplates); err != nil || !info.IsDir() {
			f.add("MAIL_TEMPLATES", "not a directory that can be read", formDir)
		}
	}
}

func validSMTP(value string) bool {
	if dir, ok := strings.CutPrefix(value, "file:"); ok {
		return dir != ""
	}
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "smtp" || u.Scheme == "smtps") && u.Hostname() != ""
}

func (f *faults) checkRetry(s Retry) {
	if s.BackoffBase <= 0 {
		f.add("BACKOFF_BASE", "not above 0", formDuration)
	}
	if s.BackoffMax <= 0 || !f.has("BACKOFF_BASE") && s.BackoffMax < s.BackoffBase {
		f.add("BACKOFF_MAX", "shorter than BACKOFF_BASE", formDuration)
	}
	if s.MaxAttempts < 1 {
		f.add("MAX_ATTEMPTS", "less than 1", formInt)
	}
}

const (
	maxRetentionDays = 36500
	secretBytes      = 32
)

func (f *faults) checkRetention(s Retention) {
	f.checkDays("RETENTION_DAYS", s.RetentionDays)
	f.checkDays("INVITE_DAYS", s.InviteDays)
	f.checkDays("AUDIT_DAYS", s.AuditDays)
}

func (f *faults) checkDays(name string, days int) {
	if days < 0 || days > maxRetentionDays {
		f.add(name, "not from 0 to 36500", formInt)
	}
}

func (f *faults) checkPreviews(s Previews) {
	if s.PreviewTTL <= 0 || s.PreviewTTL > MaxPreviewTTL {
		f.add("PREVIEW_TTL", "not above 0 and at most 2160h", formDuration)
	}
}

func (f *faults) checkUpstream(s Upstream) {
	if s.UpstreamTimeout <= 0 || s.UpstreamTimeout > MaxUpstreamTimeout {
		f.add("UPSTREAM_TIMEOUT", "not above 0 and at most 45s", formDuration)
	}
	f.checkSecrets(s.Secrets)
}

func (f *faults) checkSecrets(s Secrets) {
	f.checkSecret("SECRETS_KEY", s.SecretsKey)
	f.checkSecret("SECRETS_KEY_OLD", s.SecretsKeyOld)
	if s.SecretsKey == "" && s.SecretsKeyOld != "" && !f.has("SECRETS_KEY_OLD") {
		f.add("SECRETS_KEY", "missing beside SECRETS_KEY_OLD", formSecret)
	}
}

func (f *faults) checkSecret(variable, value string) {
	if value == "" {
		return
	}
	if key, err := base64.StdEncoding.DecodeString(value); err != nil || len(key) != secretBytes {
		f.add(variable, "not 32 bytes in base64", formSecret)
	}
}
