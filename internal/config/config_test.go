package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/config"
)

const (
	databaseURL = "DATABASE_URL=postgres://rescind:hunter2@db:5432/rescind"
	redisURL    = "REDIS_URL=rediss://default:hunter2@redis:6379/0"
	smtpURL     = "SMTP_URL=smtp://user:hunter2@mail:587"
	secretsKey  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	mailFrom    = "MAIL_FROM=Example Ltd <no-reply@example.com>"
)

func TestLoadAPI(t *testing.T) {
	t.Run("defaults", func(t *testing.T) {
		got, err := config.LoadAPI([]string{databaseURL, redisURL, "RATE_LIMIT="})
		want := config.API{
			Stores: config.Stores{
				DatabaseURL: "postgres://rescind:hunter2@db:5432/rescind",
				RedisURL:    "rediss://default:hunter2@redis:6379/0",
			},
			HTTP: config.HTTP{HTTPAddr: ":8080", RateLimit: 50, SubmitWait: 2 * time.Second, JobMaxItems: 1_000_000}, Previews: config.Previews{PreviewTTL: time.Hour},
			Admin: config.Admin{AdminAddr: "127.0.0.1:9090"},
		}
		check(t, got, err, want)
	})
	t.Run("everything set", func(t *testing.T) {
		got, err := config.LoadAPI([]string{
			databaseURL, redisURL, "HTTP_ADDR=[::1]:80", "ADMIN_ADDR=:0", "RATE_LIMIT=1", "SUBMIT_WAIT=0", "JOB_MAX_ITEMS=7",
			"MAIL_RATE=what it does not use is not its matter",
		})
		want := config.API{
			Stores: got.Stores,
			HTTP:   config.HTTP{HTTPAddr: "[::1]:80", RateLimit: 1, SubmitWait: 0, JobMaxItems: 7}, Previews: config.Previews{PreviewTTL: time.Hour},
			Admin: config.Admin{AdminAddr: ":0"},
		}
		check(t, got, err, want)
	})
}

func TestLoadWorker(t *testing.T) {
	t.Run("defaults", func(t *testing.T) {
		got, err := config.LoadWorker([]string{databaseURL, redisURL, smtpURL, mailFrom})
		want := config.Worker{
			Stores:   got.Stores,
			Mail:     config.Mail{SMTPURL: "smtp://user:hunter2@mail:587", MailFrom: "Example Ltd <no-reply@example.com>", MailMaxAge: 96 * time.Hour},
			Retry:    config.Retry{BackoffBase: 2 * time.Second, BackoffMax: 10 * time.Minute, MaxAttempts: 10},
			Upstream: config.Upstream{UpstreamTimeout: 10 * time.Second}, Previews: config.Previews{PreviewTTL: time.Hour}, Retention: config.Retention{RetentionDays: 90, AuditDays: 400},
			Admin: config.Admin{AdminAddr: "127.0.0.1:9090"},
		}
		check(t, got, err, want)
	})
	t.Run("everything set", func(t *testing.T) {
		dir := t.TempDir()
		got, err := config.LoadWorker([]string{
			databaseURL, redisURL, "SMTP_URL=file:mail", "MAIL_FROM=a@b", "MAIL_RATE=0.5", "MAIL_TEMPLATES=" + dir,
			"MAIL_BOUNCE=bounces@b", "MAIL_HELO=mail.b", "MAIL_MAX_AGE=24h",
			"BACKOFF_BASE=1m", "BACKOFF_MAX=60s", "MAX_ATTEMPTS=1", "ADMIN_ADDR=0.0.0.0:9091",
			"UPSTREAM_TIMEOUT=45s", "SECRETS_KEY=" + secretsKey, "SECRETS_KEY_OLD=" + secretsKey, "RETENTION_DAYS=0", "AUDIT_DAYS=7", "INVITE_DAYS=30", "PREVIEW_TTL=5m",
			"SUBMIT_WAIT=what it does not use is not its matter",
		})
		want := config.Worker{
			Stores: got.Stores,
			Mail:   config.Mail{SMTPURL: "file:mail", MailFrom: "a@b", MailBounce: "bounces@b", MailHelo: "mail.b", MailRate: 0.5, MailMaxAge: 24 * time.Hour, Templates: config.Templates{MailTemplates: dir}},
			Retry:  config.Retry{BackoffBase: time.Minute, BackoffMax: time.Minute, MaxAttempts: 1},
			Upstream: config.Upstream{
				UpstreamTimeout: 45 * time.Second, Secrets: config.Secrets{SecretsKey: secretsKey, SecretsKeyOld: secretsKey},
			},
			Retention: config.Retention{AuditDays: 7, InviteDays: 30},
			Previews:  config.Previews{PreviewTTL: 5 * time.Minute},
			Admin:     config.Admin{AdminAddr: "0.0.0.0:9091"},
		}
		check(t, got, err, want)
	})
}

func TestLoadStandalone(t *testing.T) {
	t.Run("defaults", func(t *testing.T) {
		got, err := config.LoadStandalone(nil)
		want := config.Standalone{
			HTTP:     config.HTTP{HTTPAddr: "127.0.0.1:8080", RateLimit: 50, SubmitWait: 2 * time.Second, JobMaxItems: 1_000_000},
			Mail:     config.Mail{MailFrom: "rescind@localhost", MailMaxAge: 96 * time.Hour},
			Retry:    config.Retry{BackoffBase: 2 * time.Second, BackoffMax: 10 * time.Minute, MaxAttempts: 10},
			Upstream: config.Upstream{UpstreamTimeout: 10 * time.Second}, Previews: config.Previews{PreviewTTL: time.Hour}, Retention: config.Retention{RetentionDays: 90, AuditDays: 400},
			Admin: config.Admin{AdminAddr: "127.0.0.1:9090"},
		}
		check(t, got, err, want)
	})
	t.Run("everything set, except the addresses of the stores, which are ignored", func(t *testing.T) {
		got, err := config.LoadStandalone([]string{"DATABASE_URL=x", "REDIS_URL=x", smtpURL, mailFrom, "HTTP_ADDR=:1"})
		want := got
		want.SMTPURL, want.MailFrom, want.HTTPAddr = "smtp://user:hunter2@mail:587", "Example Ltd <no-reply@example.com>", ":1"
		check(t, got, err, want)
	})
	t.Run("a fault", func(t *testing.T) {
		_, err := config.LoadStandalone([]string{"SMTP_URL=mail:25", "MAIL_FROM=nobody"})
		checkFaults(t, err,
			"SMTP_URL: neither the URL of a mail server nor a directory; write it like smtp://user:password@host:587, smtps://user:password@host:465 or file:DIR",
			"MAIL_FROM: not an email address; write it like Example Ltd <no-reply@example.com>")
	})
}

func check[T any](t *testing.T, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func checkFaults(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no fault was found")
	}
	lines := strings.Split(err.Error(), "\n  ")
	if diff := cmp.Diff(append([]string{"wrong or missing settings:"}, want...), lines); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

const (
	writeDatabase = "write it like postgres://user:password@host:5432/rescind"
	writeRedis    = "write it like redis://host:6379/0, rediss://user:password@host:6379/0 or redis-sentinel://host:26379,host:26379/master (rediss-sentinel:// for TLS)"
	writeSMTP     = "write it like smtp://user:password@host:587, smtps://user:password@host:465 or file:DIR"
	writeFrom     = "write it like Example Ltd <no-reply@example.com>"
	writeAddr     = "write it like 127.0.0.1:8080, or :8080 for all interfaces"
	writeDuration = "write it like 200ms, 2s or 10m"
	writeInt      = "write it like 50"
)

// load reads the settings of both services from a valid environment with the given variables added.
func load(t *testing.T, set ...string) error {
	t.Helper()
	environ := append([]string{databaseURL, redisURL, smtpURL, mailFrom}, set...) // the last value of a variable is used
	_, err := config.LoadAPI(environ)
	if err == nil {
		_, err = config.LoadWorker(environ)
	}
	return err
}

func TestOneFault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string][]string{
		"DATABASE_URL: missing; " + writeDatabase: {""},
		"DATABASE_URL: not a PostgreSQL URL; " + writeDatabase: {
			"mysql://db/rescind", "db:5432", "postgres://", "postgres:///rescind", "postgres://:5432/x", "postgres://db:port/x",
			"host=db password=hunter2",
		},
		"REDIS_URL: missing; " + writeRedis: {""},
		"REDIS_URL: not a Redis URL; " + writeRedis: {
			"redis:6379", "http://redis", "redis://", "redis:///0", "rediss://:6379",
			"redis-sentinel://", "redis-sentinel:///master", "redis-sentinel://user:hunter2@/master", "redis-sentinel://a,,b/master",
			"rediss-sentinel://a,,b/master",
		},
		"SMTP_URL: missing; " + writeSMTP: {""},
		"SMTP_URL: neither the URL of a mail server nor a directory; " + writeSMTP: {
			"mail:25", "http://mail", "smtp://", "smtps://user:hunter2@", "smtp://mail:port", "file:", "/var/mail",
		},
		"MAIL_FROM: missing; " + writeFrom:              {""},
		"MAIL_FROM: not an email address; " + writeFrom: {"nobody", "a@b, c@d", "Example <a@b", "a@b\r\nBcc: c@d"},
		"MAIL_BOUNCE: not an email address alone; write it like bounces@example.com": {
			"bounces", "<bounces@example.com>", "Example <bounces@example.com>", "a@b\r\nBcc: c@d",
		},
		"MAIL_HELO: not a host name; write it like mail.example.com": {"mail example", "mail\r\nQUIT"},
		"MAIL_RATE: not a number from 0.00001 to 1000000; write it like 0.5 or 20": {
			"0", "-1", "fast", "NaN", "Inf", "1e-300", "1e7",
		},
		"MAIL_MAX_AGE: not a duration; " + writeDuration: {"4 days"},
		"MAIL_MAX_AGE: not above 0; " + writeDuration:    {"0", "-1h"},
		"MAIL_TEMPLATES: not a directory that can be read; write it like /etc/rescind/templates": {
			file, filepath.Join(file, "none"),
		},
		"HTTP_ADDR: not a host and a port; " + writeAddr:   {"8080", "localhost", ":http", ":65536", ":-1", "::1:80", "http://localhost:80"},
		"ADMIN_ADDR: not a host and a port; " + writeAddr:  {"9090"},
		"RATE_LIMIT: not a whole number; " + writeInt:      {"many", "1.5", "99999999999999999999"},
		"RATE_LIMIT: less than 1; " + writeInt:             {"0", "-1"},
		"SUBMIT_WAIT: not a duration; " + writeDuration:    {"2", "soon", "1 s"},
		"SUBMIT_WAIT: not from 0 to 30s; " + writeDuration: {"-1ms", "30.001s"},
		"BACKOFF_BASE: not a duration; " + writeDuration:   {"2"},
		"BACKOFF_BASE: not above 0; " + writeDuration:      {"0", "-2s"},
		"BACKOFF_MAX: not a duration; " + writeDuration:    {"ten"},
		"BACKOFF_MAX: shorter than BACKOFF_BASE; " + writeDuration: {
			"1.999s", "0", "-10m",
		},
		"MAX_ATTEMPTS: not a whole number; " + writeInt: {"ten"},
		"MAX_ATTEMPTS: less than 1; " + writeInt:        {"0"},

		"JOB_MAX_ITEMS: not from 1 to 2147483647; " + writeInt:            {"0", "-1", "2147483648"},
		"RETENTION_DAYS: not a whole number; " + writeInt:                 {"1.5", "forever"},
		"RETENTION_DAYS: not from 0 to 36500; " + writeInt:                {"-1", "36501"},
		"INVITE_DAYS: not a whole number; " + writeInt:                    {"1.5", "forever"},
		"INVITE_DAYS: not from 0 to 36500; " + writeInt:                   {"-1", "36501"},
		"UPSTREAM_TIMEOUT: not above 0 and at most 45s; " + writeDuration: {"0", "-1s", "46s"},
		"PREVIEW_TTL: not a duration; " + writeDuration:                   {"1 h", "3600"},
		"PREVIEW_TTL: not above 0 and at most 2160h; " + writeDuration:    {"0", "-1s", "2160h1ns"},

		"SECRETS_KEY: not 32 bytes in base64; write it like the output of: openssl rand -base64 32": {
			"hunter2", secretsKey[4:], secretsKey + "AAAA",
		},
		"SECRETS_KEY_OLD: not 32 bytes in base64; write it like the output of: openssl rand -base64 32": {"hunter2"},
	}
	for fault, values := range tests {
		variable, _, _ := strings.Cut(fault, ":")
		for _, value := range values {
			t.Run(variable+"="+value, func(t *testing.T) {
				checkFaults(t, load(t, variable+"="+value), fault)
			})
		}
	}
}

func TestNoFault(t *testing.T) {
	for _, set := range []string{
		"DATABASE_URL=postgresql://db/rescind?sslmode=disable",
		"DATABASE_URL=postgres://one:5432,two:5433/rescind",
		"DATABASE_URL=postgres:///rescind?host=/run/postgresql",
		"REDIS_URL=redis://redis",
		"REDIS_URL=redis-sentinel://:hunter2@one:26379,two/master/1",
		"REDIS_URL=rediss-sentinel://:hunter2@one:26379,two/master/1",
		"SMTP_URL=smtps://mail",
		"SMTP_URL=smtp://user%40example.com:p%2Fw@[::1]:25",
		"SMTP_URL=file:///var/spool/rescind",
		"MAIL_RATE=100",
		"MAIL_BOUNCE=bounces@example.com",
		"MAIL_HELO=[192.0.2.1]",
		"SUBMIT_WAIT=30s",
	} {
		t.Run(set, func(t *testing.T) {
			if err := load(t, set); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := config.LoadWorker([]string{
		"DATABASE_URL=mysql://rescind:hunter2@db", "MAIL_RATE=hunter2", "MAX_ATTEMPTS=0", "BACKOFF_BASE=hunter2", "ADMIN_ADDR=hunter2",
	})
	checkFaults(t, err,
		"MAIL_RATE: not a number from 0.00001 to 1000000; write it like 0.5 or 20",
		"BACKOFF_BASE: not a duration; "+writeDuration,
		"DATABASE_URL: not a PostgreSQL URL; "+writeDatabase,
		"REDIS_URL: missing; "+writeRedis,
		"SMTP_URL: missing; "+writeSMTP,
		"MAIL_FROM: missing; "+writeFrom,
		"MAX_ATTEMPTS: less than 1; "+writeInt,
		"ADMIN_ADDR: not a host and a port; "+writeAddr,
	)
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the error contains a value")
	}
}

func TestDatabaseURL(t *testing.T) {
	got, err := config.DatabaseURL([]string{databaseURL, "REDIS_URL=not its matter"})
	check(t, got, err, strings.TrimPrefix(databaseURL, "DATABASE_URL="))

	_, err = config.DatabaseURL([]string{"DATABASE_URL=x"})
	checkFaults(t, err, "DATABASE_URL: not a PostgreSQL URL; "+writeDatabase)
}

func TestAdminAddr(t *testing.T) {
	got, err := config.AdminAddr([]string{databaseURL})
	check(t, got, err, config.DefaultAdminAddr)
	got, err = config.AdminAddr([]string{"ADMIN_ADDR=0.0.0.0:9091"})
	check(t, got, err, "0.0.0.0:9091")

	if _, err = config.AdminAddr([]string{"ADMIN_ADDR=nonsense"}); err == nil || !strings.Contains(err.Error(), "ADMIN_ADDR: not a host") {
		t.Errorf("nonsense: %v", err)
	}
}

func TestLoadSecrets(t *testing.T) {
	got, err := config.LoadSecrets([]string{"SECRETS_KEY=" + secretsKey})
	check(t, got, err, config.Secrets{SecretsKey: secretsKey})

	_, err = config.LoadSecrets([]string{"SECRETS_KEY=hunter2"})
	checkFaults(t, err, "SECRETS_KEY: not 32 bytes in base64; write it like the output of: openssl rand -base64 32")
}

func TestAllowedHosts(t *testing.T) {
	got, err := config.LoadAPI([]string{databaseURL, redisURL, "ALLOWED_HOSTS=a.example.com, B_1.internal"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.HostNames{"a.example.com", "B_1.internal"}, got.AllowedHosts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, value := range []string{"*", "*.example.com", "hunter2:8080", "https://hunter2", "a.example.com,,hunter2", "hunter2 b", "[::1]"} {
		_, err := config.LoadAPI([]string{databaseURL, redisURL, "ALLOWED_HOSTS=" + value})
		if err == nil || !strings.Contains(err.Error(), "ALLOWED_HOSTS: not names of hosts") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	got, err := config.LoadAPI([]string{databaseURL, redisURL, "TRUSTED_PROXIES=192.0.2.0/24, 2001:db8::/32"})
	if err != nil || len(got.TrustedProxies) != 2 || got.TrustedProxies[0].String() != "192.0.2.0/24" || got.TrustedProxies[1].String() != "2001:db8::/32" {
		t.Errorf("%v, %v", got.TrustedProxies, err)
	}
	for _, value := range []string{"hunter2", "192.0.2.1", "192.0.2.0/33", "192.0.2.0/24,,10.0.0.0/8", "all"} {
		_, err := config.LoadAPI([]string{databaseURL, redisURL, "TRUSTED_PROXIES=" + value})
		if err == nil || !strings.Contains(err.Error(), "TRUSTED_PROXIES: not networks") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestLikelyCauses(t *testing.T) {
	const encode = "has a user or password with a character that must be percent-encoded"
	load := func(settings ...string) (text string) {
		t.Helper()
		_, err := config.LoadWorker(append([]string{databaseURL, redisURL, smtpURL, mailFrom}, settings...))
		if err != nil {
			text = err.Error()
		}
		if strings.Contains(text, "hunter") || strings.Contains(text, "Acme") {
			t.Errorf("%v: the error holds a value: %s", settings, text)
		}
		return text
	}
	for variable, form := range map[string]string{
		"DATABASE_URL": "postgres://%s@db:5432/rescind", "REDIS_URL": "rediss://%s@redis:6379/0", "SMTP_URL": "smtp://%s@mail.example:587",
	} {
		for _, user := range []string{
			"app:hunter#2", "app:hunter/2", "app:hunter?2", "app:hunter%2", "app:1/hunter", "app:1#hunter", "app:1?hunter", "app:hunter%zz",
			"hunter/2:x", "app:hunter 2", "app:hunter[2", "app:#hunter", "app:h@hunter/2",
		} {
			value := variable + "=" + strings.Replace(form, "%s", user, 1)
			if text := load(value); !strings.Contains(text, variable+": "+encode) || !strings.Contains(text, "# as %23, / as %2F, ? as %3F, % as %25") {
				t.Errorf("%s: %q", value, text)
			}
		}
		for _, user := range []string{"app:hunter%232", "app:h%2Fu%3Fn%25t", "app:p@ss", "app", "app:", "app:a!$&'()*+,;=:b"} {
			if text := load(variable + "=" + strings.Replace(form, "%s", user, 1)); text != "" {
				t.Errorf("%s with the user %s: %q", variable, user, text)
			}
		}
	}
	for _, value := range []string{
		"REDIS_URL=redis-sentinel://app:hunter/2@one:26379,two:26379/master", "DATABASE_URL=postgres://app:hunter/2@one,two/rescind",
	} {
		if text := load(value); !strings.Contains(text, encode) {
			t.Errorf("%s: %q", value, text)
		}
	}
	for _, value := range []string{
		"DATABASE_URL=postgres://db/rescind?user=app@server", "DATABASE_URL=postgres:///rescind?host=/var/run/postgresql",
		"SMTP_URL=file:///var/mail@here", "SMTP_URL=smtp://mail.example:587?tls=none",
	} {
		if text := load(value); text != "" {
			t.Errorf("%s: %q", value, text)
		}
	}
	const quote = `MAIL_FROM: has a name with a comma or another character that needs quotes around the name; write it like "Example, Ltd." <no-reply@example.com>`
	for _, from := range []string{"Acme, Inc. <jobs@example.com>", "Acme: jobs <jobs@example.com>", "Acme (jobs) [x] <jobs@example.com>", `Acme "The Best", Inc. <jobs@example.com>`, "Acme @ home; now <jobs@example.com>"} {
		if text := load("MAIL_FROM=" + from); !strings.Contains(text, quote) {
			t.Errorf("%s: %q", from, text)
		}
	}
	if text := load(`MAIL_FROM="Acme, Inc." <jobs@example.com>`); text != "" {
		t.Errorf("quoted: %q", text)
	}
	for _, from := range []string{"Acme, Inc. <jobs>", "Acme, Inc. jobs@example.com", "<", "a@b, c@d"} {
		if text := load("MAIL_FROM=" + from); !strings.Contains(text, "MAIL_FROM: not an email address") {
			t.Errorf("%s: %q", from, text)
		}
	}
	t.Run("an old key alone", func(t *testing.T) {
		if text := load("SECRETS_KEY_OLD=" + secretsKey); !strings.Contains(text, "SECRETS_KEY: missing beside SECRETS_KEY_OLD") {
			t.Error(text)
		}
	})
	t.Run("all at once", func(t *testing.T) {
		text := load("DATABASE_URL=postgres://a:#@b/c", "SMTP_URL=smtp://a:?@b", "MAIL_FROM=a, b <c@d>", "RATE_LIMIT=x", "MAX_ATTEMPTS=0", "SECRETS_KEY=x")
		for _, want := range []string{"DATABASE_URL", "SMTP_URL", "MAIL_FROM", "MAX_ATTEMPTS", "SECRETS_KEY"} {
			if !strings.Contains(text, "\n  "+want+": ") {
				t.Errorf("%s is not in %s", want, text)
			}
		}
	})
}

// TestWhiteSpace surrounds every setting with the white space that files and shells leave around a value.
func TestWhiteSpace(t *testing.T) {
	plain := []string{
		databaseURL, redisURL, smtpURL, mailFrom, "HTTP_ADDR=127.0.0.1:1", "ADMIN_ADDR=:0", "RATE_LIMIT=60", "SUBMIT_WAIT=1s", "JOB_MAX_ITEMS=7",
		"MAIL_RATE=0.5", "MAIL_BOUNCE=b@example.com", "MAIL_HELO=mail.example.com", "MAIL_MAX_AGE=1h", "MAIL_TEMPLATES=" + t.TempDir(),
		"BACKOFF_BASE=1s", "BACKOFF_MAX=2s", "MAX_ATTEMPTS=3", "UPSTREAM_TIMEOUT=5s", "SECRETS_KEY=" + secretsKey, "SECRETS_KEY_OLD=" + secretsKey,
		"RETENTION_DAYS=1", "PREVIEW_TTL=5m", "ALLOWED_HOSTS=a.example.com",
	}
	spaced := make([]string, len(plain))
	for i, setting := range plain {
		name, value, _ := strings.Cut(setting, "=")
		spaced[i] = name + "= \t" + value + " \r\n"
	}
	want, err := config.LoadWorker(plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.LoadWorker(spaced)
	check(t, got, err, want)
	wantAll, err := config.LoadStandalone(plain)
	if err != nil {
		t.Fatal(err)
	}
	gotAll, err := config.LoadStandalone(spaced)
	check(t, gotAll, err, wantAll)
	blank, err := config.LoadStandalone([]string{"HTTP_ADDR= ", "RATE_LIMIT=\n"})
	if err != nil || blank.HTTPAddr != "127.0.0.1:8080" || blank.RateLimit != 50 {
		t.Errorf("settings of white space alone do not count as missing: %v", err)
	}
	url, err := config.DatabaseURL(spaced)
	check(t, url, err, want.DatabaseURL)
}
