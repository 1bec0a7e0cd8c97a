package invites

import (
	"cmp"
	"errors"
	"regexp"
	"time"
	_ "time/tzdata" // for systems without time zones

	"rescind/internal/revocation"
)

// Zone returns the time zone with an IANA name, such as Europe/Berlin. ok is false if there is none.
func Zone(name string) (zone *time.Location, ok bool) {
	zone, err := time.LoadLocation(name)
	return zone, err == nil && name != "" && zone != time.Local
}

// timeFormat matches a date, a time, and an optional zone: Z, or an offset with or without minutes and a colon.
var timeFormat = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2}(?:\.\d+)?) ?(?:([Zz])|([+-]\d{2})(?::?(\d{2}))?)?$`)

var (
	errTime   = errors.New("write it like 2025-01-15T10:32:45Z, from 1970 on")
	errNoZone = errors.New("the time has no zone: add one, such as Z, or name a timezone for the file")
	errNever  = errors.New("this time does not exist in the timezone, because clocks were set forward")
)

// parseTime parses a time in the formats of RFC 3339 and of databases. A time without a zone is in zone, and if zone is
// nil, it is an error. So is a year that does not have four digits in every time zone. Of a time that occurs twice, because
// clocks were set back, parseTime returns the first; one that does not exist is an error.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	parts := timeFormat.FindStringSubmatch(s)
	if parts == nil {
		return time.Time{}, errTime
	}
	text, utc, hours, minutes := parts[1]+"T"+parts[2], parts[3], parts[4], parts[5]
	switch {
	case utc != "":
		text += "Z"
	case hours != "":
		text += hours + ":" + cmp.Or(minutes, "00")
	case zone == nil:
		return time.Time{}, errNoZone
	default:
		t, err := parseLocal(text, zone)
		if err != nil {
			return time.Time{}, err
		}
		text = t.UTC().Format(time.RFC3339Nano)
	}
	t, ok := revocation.ParseTime(text)
	if year := t.UTC().Year(); !ok || year < 1970 || year > 9998 {
		return time.Time{}, errTime
	}
	return t, nil
}

func parseLocal(text string, zone *time.Location) (time.Time, error) {
	const layout = "2006-01-02T15:04:05"
	t, err := time.ParseInLocation(layout, text, zone)
	if err != nil {
		return t, errTime
	}
	if t.Format(layout) != text[:len(layout)] {
		return t, errNever
	}
	if start, _ := t.ZoneBounds(); !start.IsZero() {
		_, offset := t.Zone()
		_, before := start.Add(-1).Zone()
		if first := t.Add(time.Duration(offset-before) * time.Second); first.Before(start) && first.Format(layout) == text[:len(layout)] {
			return first, nil
		}
	}
	return t, nil
}
