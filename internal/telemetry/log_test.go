package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSampled(t *testing.T) {
	var out bytes.Buffer
	handler := Sampled(slog.NewJSONHandler(&out, nil))
	second := time.Unix(1_800_000_000, 0)
	write := func(at time.Time, level slog.Level, message string, times int) (lines []map[string]any) {
		t.Helper()
		out.Reset()
		for range times {
			if err := handler.Handle(context.Background(), slog.NewRecord(at, level, message, 0)); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(out.String()) {
			var attrs map[string]any
			if err := json.Unmarshal([]byte(line), &attrs); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, attrs)
		}
		return lines
	}
	if got := len(write(second, slog.LevelInfo, "request", linesPerSecond)); got != linesPerSecond {
		t.Errorf("%d lines of %d", got, linesPerSecond)
	}
	if got := len(write(second, slog.LevelInfo, "request", 250)); got != 0 {
		t.Errorf("%d lines beyond the limit", got)
	}
	if got := len(write(second, slog.LevelInfo, "another", 3)); got != 3 {
		t.Errorf("%d of 3 lines of another message", got)
	}
	if got := len(write(second, slog.LevelWarn, "request", 250)); got != 250 {
		t.Errorf("%d of 250 warnings", got)
	}
	next := write(second.Add(time.Second), slog.LevelInfo, "request", 2)
	if len(next) != 2 || next[0]["left_out"] != 250.0 || next[1]["left_out"] != nil {
		t.Errorf("the next second begins with %v", next)
	}
}
