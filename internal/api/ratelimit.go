package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// idleBucket is how long a bucket is kept after its last request. A bucket is full one second after that, so deleting
	// it loses no state.
	idleBucket = time.Minute
	// maxBuckets bounds the number of buckets. Each takes some 100 bytes.
	maxBuckets = 100_000
)

// limits holds a token bucket for each key. A bucket holds at most perSecond requests, and refills at perSecond a second.
// It is safe for concurrent use.
type limits[K comparable] struct {
	perSecond float64
	// name is the name of the policy in the RateLimit fields.
	name   string
	policy []string

	mu      sync.Mutex
	buckets map[K]*bucket
	dropped time.Time // when idle buckets were last deleted
}

// bucket holds the number of requests that were left at a time.
type bucket struct {
	left float64
	asOf time.Time
}

func newLimits[K comparable](name string, perSecond int) *limits[K] {
	return &limits[K]{
		perSecond: float64(perSecond), name: name,
		policy:  []string{`"` + name + `";q=` + strconv.Itoa(perSecond) + `;w=1`},
		buckets: make(map[K]*bucket),
		dropped: time.Now(),
	}
}

// take takes one request from the bucket of key and returns how many are left. If there is no request, ok is false and
// the bucket stays as it is.
func (l *limits[K]) take(key K) (left float64, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, now)
	b.left = min(b.left+now.Sub(b.asOf).Seconds()*l.perSecond, l.perSecond)
	b.asOf = now
	if b.left < 1 {
		return b.left, false
	}
	b.left--
	return b.left, true
}

// setHeaders sets the RateLimit fields in h.
func (l *limits[K]) setHeaders(h http.Header, left float64) {
	state := append(make([]byte, 0, 32), '"')
	state = append(state, l.name...)
	state = append(state, `";r=`...)
	state = strconv.AppendInt(state, int64(left), 10)
	state = append(state, ";t="...)
	state = strconv.AppendInt(state, l.refill(left), 10)
	h["RateLimit-Policy"] = l.policy
	h["RateLimit"] = []string{string(state)}
}

// refill returns after how many seconds, rounded up, a bucket is full.
func (l *limits[K]) refill(left float64) int64 {
	return int64(math.Ceil((l.perSecond - left) / l.perSecond))
}

// refuse sets the RateLimit fields in h and returns the problem rate_limited.
func (l *limits[K]) refuse(h http.Header, left float64) *problem {
	l.setHeaders(h, left)
	// Some clients support only these older fields.
	h["RateLimit-Limit"] = []string{strconv.Itoa(int(l.perSecond))}
	h["RateLimit-Remaining"] = []string{"0"}
	h["RateLimit-Reset"] = []string{strconv.FormatInt(max(l.refill(left), 1), 10)}
	p := newProblem(codeRateLimited)
	p.retryAfter = max(int(math.Ceil((1-left)/l.perSecond)), 1)
	return p
}

func (l *limits[K]) bucket(key K, now time.Time) *bucket {
	b, ok := l.buckets[key]
	if !ok {
		l.dropIdle(now)
		b = &bucket{left: l.perSecond, asOf: now}
		l.buckets[key] = b
	}
	return b
}

// dropIdle makes room for one more bucket. It searches for idle buckets at most once per idleBucket, because that reads all
// buckets.
func (l *limits[K]) dropIdle(now time.Time) {
	if now.Sub(l.dropped) > idleBucket {
		l.dropped = now
		for key, b := range l.buckets {
			if now.Sub(b.asOf) > idleBucket {
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
