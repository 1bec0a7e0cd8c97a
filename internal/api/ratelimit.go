package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rescind/internal/revocation"
)

const (
	// idleBucket is how long a bucket is kept after its last request. It has been full again since the first
	// second of that, so that nothing is forgotten with it.
	idleBucket = time.Minute
	// maxBuckets bounds the keys that are limited at once.
	maxBuckets = 100_000
)

// limits hold a bucket for each API key: perSecond requests at once, and as many again each second.
type limits struct {
	perSecond int
	policy    []string

	mu      sync.Mutex
	buckets map[revocation.ID]*bucket
	swept   time.Time
}

type bucket struct {
	*rate.Limiter
	used time.Time
}

func newLimits(perSecond int) *limits {
	return &limits{
		perSecond: perSecond,
		policy:    []string{`"default";q=` + strconv.Itoa(perSecond) + `;w=1`},
		buckets:   make(map[revocation.ID]*bucket),
		swept:     time.Now(),
	}
}

// take uses up one request of the key, and tells in h what is left. Its error is the problem rate_limited.
func (l *limits) take(h http.Header, key revocation.ID) error {
	now := time.Now()
	b := l.bucket(key, now)
	allowed := b.AllowN(now, 1)
	left := max(b.TokensAt(now), 0)
	limit := float64(l.perSecond)
	refill := int(math.Ceil((limit - left) / limit))

	state := append(make([]byte, 0, 32), `"default";r=`...)
	state = strconv.AppendInt(state, int64(left), 10)
	state = append(state, ";t="...)
	state = strconv.AppendInt(state, int64(refill), 10)
	h["RateLimit-Policy"] = l.policy
	h["RateLimit"] = []string{string(state)}
	if allowed {
		return nil
	}
	// For clients that know only the fields from before there was a draft with one.
	h["RateLimit-Limit"] = []string{strconv.Itoa(l.perSecond)}
	h["RateLimit-Remaining"] = []string{"0"}
	h["RateLimit-Reset"] = []string{strconv.Itoa(max(refill, 1))}
	p := newProblem(codeRateLimited)
	p.retryAfter = max(int(math.Ceil((1-left)/limit)), 1)
	return p
}

func (l *limits) bucket(key revocation.ID, now time.Time) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		l.sweep(now)
		b = &bucket{Limiter: rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)}
		l.buckets[key] = b
	}
	b.used = now
	return b
}

// sweep makes room for one more bucket. Looking at all of them is worth it once in a while only.
func (l *limits) sweep(now time.Time) {
	if now.Sub(l.swept) > idleBucket {
		l.swept = now
		for key, b := range l.buckets {
			if now.Sub(b.used) > idleBucket {
				delete(l.buckets, key)
			}
		}
	}
	for key := range l.buckets {
		if len(l.buckets) < maxBuckets {
			break
		}
		delete(l.buckets, key)
	}
}
