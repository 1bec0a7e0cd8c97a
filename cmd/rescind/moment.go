package main

import (
	"errors"
	"time"
)

// moment is a time flag: a time in RFC 3339, or a duration from now, such as 2h30m.
type moment struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	if d, err := time.ParseDuration(string(text)); err == nil && d >= 0 {
		m.Time = time.Now().Add(d)
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return errors.New("not a time like 2026-12-31T18:00:00+01:00, and not a duration from now like 2h30m")
	}
	m.Time = t
	return nil
}

// formatTime returns a time in the reader's zone.
func formatTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// formatMinute returns a time in the reader's zone, in few characters.
func formatMinute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
