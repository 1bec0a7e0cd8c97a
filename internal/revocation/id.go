package revocation

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// ID identifies a revocation, a job or an API key. It is a UUID of version 7 (RFC 9562), so ids sort by the millisecond of
// their creation.
type ID [16]byte

// ParseID parses the canonical form, 36 characters with dashes, in lower or upper case. ok is false for any other form.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, false
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, false
	}
	return id, true
}

// String returns the canonical form in lower case.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// Time returns when the id was made, in UTC, to the millisecond. A revocation's time of creation is stored nowhere else, so
// a list ordered by id is ordered by creation.
func (id ID) Time() time.Time {
	ms := binary.BigEndian.Uint64(id[0:8]) >> 16
	return time.UnixMilli(int64(ms)).UTC()
}

// IsZero reports whether id is the zero ID, which stands for none.
func (id ID) IsZero() bool { return id == ID{} }

// Compare compares ids as bytes.Compare does. Ids made in an earlier millisecond are less.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// FirstIDAt returns the lowest id that can be made in t's millisecond: a bound for lists by time.
func FirstIDAt(t time.Time) ID {
	var id ID
	ms := max(t.UnixMilli(), 0)
	if ms >= 1<<48 {
		ms = 1<<48 - 1
	}
	binary.BigEndian.PutUint64(id[0:8], uint64(ms)<<16)
	return id
}
