package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// linesPerSecond is the number of lines with the same message that are written in one second. Metrics count more frequent
// events. Writing every line would take more than a tenth of the time of a request.
const linesPerSecond = 100

// Sampled returns a handler that passes lines to next: all lines of levels other than Info, and of each message at level
// Info at most linesPerSecond lines in a second. If lines were left out, the next line of the message has their number in
// the attribute left_out.
func Sampled(next slog.Handler) slog.Handler {
	return &sampled{next: next, windows: &sync.Map{}}
}

type sampled struct {
	next    slog.Handler
	windows *sync.Map // of *window by message
}

// window counts the lines of one message within a second.
type window struct {
	second  atomic.Int64
	lines   atomic.Int64
	leftOut atomic.Int64
}

func (s *sampled) Enabled(ctx context.Context, level slog.Level) bool {
	return s.next.Enabled(ctx, level)
}

func (s *sampled) Handle(ctx context.Context, r slog.Record) error {
	if r.Level != slog.LevelInfo {
		return s.next.Handle(ctx, r)
	}
	found, ok := s.windows.Load(r.Message)
	if !ok {
		found, _ = s.windows.LoadOrStore(r.Message, new(window))
	}
	leftOut, pass := found.(*window).pass(r.Time)
	if !pass {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int64("left_out", leftOut))
	}
	return s.next.Handle(ctx, r)
}

// pass reports whether to write a line, and how many lines were left out since the last one that was written. The counts
// may be slightly wrong when a second begins, because the counters are updated without a lock.
func (w *window) pass(now time.Time) (leftOut int64, ok bool) {
	second := now.Unix()
	if began := w.second.Load(); began != second && w.second.CompareAndSwap(began, second) {
		w.lines.Store(0)
	}
	if w.lines.Add(1) > linesPerSecond {
		w.leftOut.Add(1)
		return 0, false
	}
	return w.leftOut.Swap(0), true
}

func (s *sampled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampled{next: s.next.WithAttrs(attrs), windows: s.windows}
}

func (s *sampled) WithGroup(name string) slog.Handler {
	return &sampled{next: s.next.WithGroup(name), windows: s.windows}
}
