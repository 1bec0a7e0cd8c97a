package queue

import (
	"net/http"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"
)

// pagePolicy lets the page run its own scripts, which stand in part in its HTML, and ask its own server. It would
// also load fonts from elsewhere: those are left out.
const pagePolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'"

// Page makes the handler of a page on what is in the queues, for root and what is below it, such as "/queues". It
// can change nothing, and shows no payload. It asks Redis only when it is looked at.
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
			http.Error(w, "this page is for looking only", http.StatusMethodNotAllowed)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// shared hands out a client that stays its owner's: neither the page nor asynq's inspector is ever closed.
type shared struct{ client *redis.Client }

var _ asynq.RedisConnOpt = shared{}

// MakeRedisClient implements asynq.RedisConnOpt.
func (s shared) MakeRedisClient() any { return s.client }
