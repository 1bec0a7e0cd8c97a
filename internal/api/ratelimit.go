package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// idleBucket is how long a bucket is kept after its last request. It has been full again since the first
	// second of that, so that nothing is forgotten with it.
	idleBucket = time.Minute
	// maxBuckets bounds those that are limited at once; some 100 bytes each.
	maxBuckets = 100_000
)

// limits hold a bucket for each of those who are limited: perSecond requests at once, and as many again each
// second.
type limits[Who comparable] struct {
	perSecond float64
	// name is the policy's in the RateLimit fields.
	name   string
	policy []string

	mu      sync.Mutex
	buckets map[Who]*bucket
	swept   time.Time
}

// bucket holds what was left at a time.
type bucket struct {
	left float64
	asOf time.Time
}

func newLimits[Who comparable](name string, perSecond int) *limits[Who] {
	return &limits[Who]{
		perSecond: float64(perSecond), name: name,
		policy:  []string{`"` + name + `";q=` + strconv.Itoa(perSecond) + `;w=1`},
		buckets: make(map[Who]*bucket),
		swept:   time.Now(),
	}
}

// take uses up one request and gives what is left; ok is false, and nothing is used up, when there was none.
func (l *limits[Who]) take(who Who) (left float64, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(who, now)
	b.left = min(b.left+now.Sub(b.asOf).Seconds()*l.perSecond, l.perSecond)
	b.asOf = now
	if b.left < 1 {
		return b.left, false
	}
	b.left--
	return b.left, true
}

// setHeaders writes what is left into h.
func (l *limits[Who]) setHeaders(h http.Header, left float64) {
	state := append(make([]byte, 0, 32), '"')
	state = append(state, l.name...)
	state = append(state, `";r=`...)
	state = strconv.AppendInt(state, int64(left), 10)
	state = append(state, ";t="...)
	state = strconv.AppendInt(state, l.refill(left), 10)
	h["RateLimit-Policy"] = l.policy
	h["RateLimit"] = []string{string(state)}
}

// refill is in how many whole seconds a bucket is full again.
func (l *limits[Who]) refill(left float64) int64 {
	return int64(math.Ceil((l.perSecond - left) / l.perSecond))
}

// refuse tells the same, and gives the problem rate_limited.
func (l *limits[Who]) refuse(h http.Header, left float64) *problem {
	l.setHeaders(h, left)
	// For clients that know only the fields from before there was a draft with one.
	h["RateLimit-Limit"] = []string{strconv.Itoa(int(l.perSecond))}
	h["RateLimit-Remaining"] = []string{"0"}
	h["RateLimit-Reset"] = []string{strconv.FormatInt(max(l.refill(left), 1), 10)}
	p := newProblem(codeRateLimited)
	p.retryAfter = max(int(math.Ceil((1-left)/l.perSecond)), 1)
	return p
}

func (l *limits[Who]) bucket(who Who, now time.Time) *bucket {
	b, ok := l.buckets[who]
	if !ok {
		l.sweep(now)
		b = &bucket{left: l.perSecond, asOf: now}
		l.buckets[who] = b
	}
	return b
}

// sweep makes room for one more bucket. Looking at all of them is worth it once in a while only.
func (l *limits[Who]) sweep(now time.Time) {
	if now.Sub(l.swept) > idleBucket {
		l.swept = now
		for who, b := range l.buckets {
			if now.Sub(b.asOf) > idleBucket {
				delete(l.buckets, who)
			}
		}
	}
	for who := range l.buckets {
		if len(l.buckets) < maxBuckets {
			break
		}
		delete(l.buckets, who)
	}
}
