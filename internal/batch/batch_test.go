package batch_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/batch"
)

var options = batch.Options{MaxSize: 4, MaxRunning: 2, MaxWait: 20 * time.Millisecond}

// recorder has a run function that takes a given time for each batch and records when the batch began.
type recorder struct {
	takes time.Duration
	began time.Time

	mu      sync.Mutex
	batches [][]int
	at      []time.Duration
}

func (r *recorder) run(items []int) {
	r.mu.Lock()
	r.batches = append(r.batches, slices.Clone(items))
	r.at = append(r.at, time.Since(r.began))
	r.mu.Unlock()
	time.Sleep(r.takes)
}

func TestBatcher(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		takes   time.Duration
		add     []time.Duration // when the items 0, 1, … are added
		batches [][]int
		at      []time.Duration
	}{
		"a single item runs at once":          {takes: 5 * ms, add: []time.Duration{0, 10 * ms}, batches: [][]int{{0}, {1}}, at: []time.Duration{0, 10 * ms}},
		"items added meanwhile run together":  {takes: 5 * ms, add: []time.Duration{0, 1 * ms, 2 * ms, 3 * ms}, batches: [][]int{{0}, {1, 2, 3}}, at: []time.Duration{0, 5 * ms}},
		"a full batch does not wait":          {takes: 15 * ms, add: []time.Duration{0, 1 * ms, 2 * ms, 3 * ms, 4 * ms, 5 * ms}, batches: [][]int{{0}, {1, 2, 3, 4}, {5}}, at: []time.Duration{0, 4 * ms, 15 * ms}},
		"a batch runs beside a slow one":      {takes: 100 * ms, add: []time.Duration{0, 1 * ms, 2 * ms}, batches: [][]int{{0}, {1, 2}}, at: []time.Duration{0, 21 * ms}},
		"no more than MaxRunning run":         {takes: 100 * ms, add: []time.Duration{0, 1 * ms, 30 * ms, 31 * ms}, batches: [][]int{{0}, {1}, {2, 3}}, at: []time.Duration{0, 21 * ms, 100 * ms}},
		"items beyond a full batch run next":  {takes: 60 * ms, add: []time.Duration{0, 1 * ms, 1 * ms, 1 * ms, 1 * ms, 1 * ms, 1 * ms}, batches: [][]int{{0}, {1, 2, 3, 4}, {5, 6}}, at: []time.Duration{0, 1 * ms, 60 * ms}},
		"the wait counts from the first item": {takes: 30 * ms, add: []time.Duration{0, 1 * ms, 19 * ms}, batches: [][]int{{0}, {1, 2}}, at: []time.Duration{0, 21 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{takes: c.takes, began: time.Now()}
				b := batch.New(options, r.run)
				for i, at := range c.add {
					time.Sleep(time.Until(r.began.Add(at)))
					b.Add(i)
					synctest.Wait()
				}
				b.Close()
				if diff := cmp.Diff(c.batches, r.batches); diff != "" {
					t.Errorf("batches (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.at, r.at); diff != "" {
					t.Errorf("times (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestBatcher_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{takes: time.Second, began: time.Now()}
		b := batch.New(options, r.run)
		for i := range 3 {
			b.Add(i)
		}
		b.Close()
		if diff := cmp.Diff([][]int{{0}, {1, 2}}, r.batches); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if b.Add(3) {
			t.Error("an item was added after Close")
		}
	})
}

// TestBatcher_Concurrent adds items from many goroutines and checks that each is in exactly one batch and no batch is too
// large.
func TestBatcher_Concurrent(t *testing.T) {
	const callers, each = 50, 200
	seen := make([]atomic.Int32, callers*each)
	var running atomic.Int32
	var tooMany atomic.Bool
	b := batch.New(options, func(items []int) {
		if int(running.Add(1)) > options.MaxRunning {
			tooMany.Store(true)
		}
		defer running.Add(-1)
		if len(items) < 1 || len(items) > options.MaxSize {
			t.Errorf("a batch of %d", len(items))
		}
		for _, item := range items {
			seen[item].Add(1)
		}
	})
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				b.Add(c*each + i)
			}
		})
	}
	wg.Wait()
	b.Close()
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Fatalf("item %d was in %d batches", i, n)
		}
	}
	if tooMany.Load() {
		t.Errorf("more than %d batches ran at once", options.MaxRunning)
	}
}

func TestIsolate(t *testing.T) {
	errItem, errUnavailable := errors.New("item"), errors.New("unavailable")
	items := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for name, c := range map[string]struct {
		splits int
		bad    map[int]error
		done   []int
		failed [][]int
		calls  int
	}{
		"no item fails":               {splits: 9, done: items, calls: 1},
		"one item fails":              {splits: 9, bad: map[int]error{5: errItem}, done: []int{0, 1, 2, 3, 6, 7, 4}, failed: [][]int{{5}}, calls: 7},
		"two items fail":              {splits: 9, bad: map[int]error{0: errItem, 7: errItem}, done: []int{2, 3, 1, 4, 5, 6}, failed: [][]int{{0}, {7}}, calls: 11},
		"splits run out":              {splits: 1, bad: map[int]error{5: errItem}, done: []int{0, 1, 2, 3}, failed: [][]int{{4, 5, 6, 7}}, calls: 3},
		"the error blames no item":    {splits: 9, bad: map[int]error{5: errUnavailable}, failed: [][]int{items}, calls: 1},
		"no splits":                   {splits: 0, bad: map[int]error{5: errItem}, failed: [][]int{items}, calls: 1},
		"an item fails in every part": {splits: 2, bad: map[int]error{0: errItem, 2: errItem, 4: errItem, 6: errItem}, failed: [][]int{{0, 1}, {2, 3}, {4, 5, 6, 7}}, calls: 5},
	} {
		t.Run(name, func(t *testing.T) {
			var done []int
			var failed [][]int
			calls := 0
			err := batch.Isolate(items, c.splits, func(items []int) error {
				calls++
				for _, i := range items {
					if err := c.bad[i]; err != nil {
						return err
					}
				}
				done = append(done, items...)
				return nil
			}, func(err error) bool { return errors.Is(err, errItem) }, func(items []int, _ error) error {
				failed = append(failed, items)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(done)
			slices.Sort(c.done)
			if diff := cmp.Diff(c.done, done); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.failed, failed); diff != "" {
				t.Errorf("failed (-want +got):\n%s", diff)
			}
			if calls != c.calls {
				t.Errorf("%d calls, want %d", calls, c.calls)
			}
		})
	}
	t.Run("an error of fail ends it", func(t *testing.T) {
		calls := 0
		err := batch.Isolate(items, 9, func([]int) error { calls++; return errItem },
			func(error) bool { return true }, func([]int, error) error { return errUnavailable })
		if !errors.Is(err, errUnavailable) || calls != 4 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

func BenchmarkBatcher(b *testing.B) {
	for name, takes := range map[string]time.Duration{"instant": 0, "200µs": 200 * time.Microsecond} {
		b.Run(name, func(b *testing.B) {
			var items, batches atomic.Int64
			batcher := batch.New(batch.Options{MaxSize: 256, MaxRunning: 4, MaxWait: 20 * time.Millisecond}, func(batch []chan struct{}) {
				time.Sleep(takes)
				items.Add(int64(len(batch)))
				batches.Add(1)
				for _, done := range batch {
					done <- struct{}{}
				}
			})
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				done := make(chan struct{}, 1)
				for pb.Next() {
					batcher.Add(done)
					<-done
				}
			})
			batcher.Close()
			b.ReportMetric(float64(items.Load())/float64(batches.Load()), "items/batch")
		})
	}
}
