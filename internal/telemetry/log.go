package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// linesPerSecond is how many lines of one message a second are all written. What happens that often is for
// metrics to tell; writing every line would cost more than a tenth of a request.
const linesPerSecond = 100

// Sampled gives a handler that passes on to next at most linesPerSecond lines a second of each message at
// level Info, and everything of other levels. The first line of a message that follows on lines left out has
// an attribute left_out with their number.
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

// pass tells whether a line of the time now is written, and how many were not since the last that was. A
// count can be off by a few when a second begins.
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
