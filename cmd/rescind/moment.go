package main

import (
	"errors"
	"fmt"
	"time"
)

// moment is a time flag in RFC 3339. It takes no duration, because "1h" could be an hour ago or an hour from now.
type moment struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) (err error) {
	if m.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return errors.New("not a time like 2026-12-31T18:00:00+01:00")
	}
	return nil
}

// futureMoment is a time flag: a time in RFC 3339, or a duration from now, such as 2h30m.
type futureMoment struct{ moment }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *futureMoment) UnmarshalText(text []byte) error {
	if d, err := time.ParseDuration(string(text)); err == nil && d >= 0 {
		m.Time = time.Now().Add(d)
		return nil
	}
	if err := m.moment.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, and not a duration from now like 2h30m", err)
	}
	return nil
}

// formatTime returns a time in the reader's zone.
func formatTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// formatMinute returns a time in the reader's zone, in few characters.
func formatMinute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
