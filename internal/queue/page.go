package queue

import (
	"net/http"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"
)

// pagePolicy lets the page run its own scripts, some of which are inline, and call its own server. The page also asks
// for fonts of another site, which the policy blocks.
const pagePolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'"

// Page returns a handler for root, such as "/queues", and the paths below it: a page that shows the queues. The page is
// read-only and shows no payloads. It uses Redis only while a browser shows it.
func Page(client *redis.Client, root string) http.Handler {
	hidden := asynqmon.PayloadFormatterFunc(func(string, []byte) string { return "" })
	page := asynqmon.New(asynqmon.Options{
		RootPath: root, RedisConnOpt: shared{client}, ReadOnly: true, PayloadFormatter: hidden,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet {
			h.Set("Allow", http.MethodGet)
			http.Error(w, "this page is read-only", http.StatusMethodNotAllowed)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// shared returns a client that it does not own: neither the page nor asynq's inspector closes it.
type shared struct{ client *redis.Client }

var _ asynq.RedisConnOpt = shared{}

// MakeRedisClient implements asynq.RedisConnOpt.
func (s shared) MakeRedisClient() any { return s.client }
