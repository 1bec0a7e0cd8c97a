package main

import (
	"net/http"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

// secret is in every URL of this test, and no program may print it.
const secret = "hunter2"

// verified returns the URL of a database for a client that checks the server's certificate.
func verified(database, more string) string {
	return strings.Replace(strings.Replace(database, "postgres@", "postgres:"+secret+"@", 1), "sslmode=disable", "sslmode=verify-full"+more, 1)
}

func TestEncrypted(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	authority := testservers.NewAuthority()
	trusted := authority.File(t)
	postgres := testservers.StartEncryptedPostgres(t, authority)
	ours := "SSL_CERT_FILE=" + trusted
	report := 0
	for name, option := range map[string]testservers.SMTPOption{
		"STARTTLS": testservers.WithSTARTTLS(), "TLS from the first byte": testservers.WithTLS(),
	} {
		t.Run("servers with a certificate of the authority in SSL_CERT_FILE are trusted, with mail over "+name, func(t *testing.T) {
			redis := testservers.StartRedis(t, testservers.RedisTLS(authority), testservers.RedisPassword(secret))
			mail := testservers.SMTP(t, option, testservers.WithAuthority(authority), testservers.WithAuth("mailer", secret))
			p := prepareProduction(t, verified(postgres.URL(), ""), redis.URL(), mail, ours)
			p.startAPI()
			p.startWorker()
			report++ // the database is the same
			a := p.final(p.revoke(report, true, "").str("id"))
			if a = p.settled(a.str("id")); a.str("status") != "REVOKED" || a.notification() != "SENT" {
				t.Errorf("%v", a.body)
			}
			if got := mail.Messages(); len(got) != 1 || !got[0].TLS || got[0].User != "mailer" {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("PostgreSQL's authority can be in its URL instead", func(t *testing.T) {
		mustCommand(t, []string{"DATABASE_URL=" + verified(postgres.URL(), "&sslrootcert="+trusted)}, "", "account", "list")
	})
	t.Run("a PostgreSQL without a valid certificate is refused", func(t *testing.T) {
		stranger := testservers.StartEncryptedPostgres(t, authority, "db.example")
		plain := testservers.StartPostgres(t)
		for what, env := range map[string][]string{
			"unknown authority":  {"DATABASE_URL=" + verified(postgres.URL(), "")},
			"another's name":     {"DATABASE_URL=" + verified(stranger.URL(), ""), ours},
			"no encryption":      {"DATABASE_URL=" + verified(plain.URL(), ""), ours},
			"another's, by file": {"DATABASE_URL=" + verified(postgres.URL(), "&sslrootcert="+testservers.NewAuthority().File(t))},
		} {
			_, told, exit := command(t, env, "", "account", "list")
			if exit == 0 || strings.Contains(told, secret) || !strings.Contains(told, "certificate") && !strings.Contains(told, "TLS") {
				t.Errorf("%s: exit %d, %s", what, exit, told)
			}
		}
	})
	t.Run("a Redis without a valid certificate is refused, and the log states the reason", func(t *testing.T) {
		stranger := testservers.StartRedis(t, testservers.RedisTLS(authority, "redis.example"), testservers.RedisPassword(secret))
		unknown := testservers.StartRedis(t, testservers.RedisTLS(testservers.NewAuthority()), testservers.RedisPassword(secret))
		sentinels := testservers.StartWatchedRedis(t, testservers.NewAuthority())
		for what, redis := range map[string]string{
			"another's name": stranger.URL(), "unknown authority": unknown.URL(), "unknown authority of Sentinels": sentinels.URL(),
		} {
			p := prepareProduction(t, testservers.Postgres(t), redis, testservers.SMTP(t), ours)
			api, _ := p.startAPI()
			until(t, what+": the API is degraded and states the reason", func() bool {
				a := p.must(http.MethodGet, "/readyz", "", "")
				return a.str("state") == "degraded" && strings.Contains(api.log(), "certificate")
			})
			if strings.Contains(api.log(), secret) {
				t.Errorf("%s: the log tells the password", what)
			}
		}
	})
	t.Run("a mail server without a valid certificate or without TLS receives neither the password nor mail", func(t *testing.T) {
		signIn := testservers.WithAuth("mailer", secret)
		for what, mail := range map[string]*testservers.SMTPServer{
			"another's name": testservers.SMTP(t, testservers.WithSTARTTLS(), testservers.WithAuthority(authority, "mail.example"), signIn),
			"another's name, TLS from the first byte": testservers.SMTP(t, testservers.WithTLS(),
				testservers.WithAuthority(authority, "mail.example"), signIn),
			"unknown authority":              testservers.SMTP(t, testservers.WithSTARTTLS(), signIn),
			"unknown authority, no password": testservers.SMTP(t, testservers.WithSTARTTLS()),
			"STARTTLS hidden":                testservers.SMTP(t, signIn),
		} {
			p := prepareProduction(t, testservers.Postgres(t), testservers.Redis(t), mail, ours)
			p.startAPI()
			worker, _ := p.startWorker()
			p.final(p.revoke(1, true, "").str("id"))
			why := "delivery unreachable: certificate"
			if what == "STARTTLS hidden" {
				why = "delivery unreachable: tls"
			}
			until(t, what+": the log states the reason", func() bool { return strings.Contains(worker.log(), why) })
			if got := mail.Messages(); len(got) != 0 {
				t.Errorf("%s: it has got %d emails", what, len(got))
			}
			if len(mail.SignIns()) != 0 {
				t.Errorf("%s: somebody has tried to sign in", what)
			}
			if strings.Contains(worker.log(), secret) {
				t.Errorf("%s: the log tells the password", what)
			}
		}
	})
}
