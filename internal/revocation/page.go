package revocation

import "slices"

const (
	// PageScan is the largest number of rows that a store reads for one page of a list, unless the filter sets another
	// number. So a page of entries that are rare in a long history is short.
	PageScan = 5_000
	// PageBytes is about the largest number of bytes that the entries of a page use in memory.
	PageBytes = 512 << 10
)

// Page is a part of a list. A page that is not the last may have fewer entries than requested, even none. The zero Page is
// an empty last page.
type Page[Entry Revocation | Job] struct {
	Entries []Entry
	// Next is the id after which the next page begins, in the order of the list; zero on the last page.
	Next ID

	bytes int
}

// Add adds the next entry of the list to a page of at most limit entries. If the page is full, Add sets Next instead and
// returns false.
func (p *Page[Entry]) Add(entry Entry, limit int) bool {
	if n := len(p.Entries); n > 0 && (n >= limit || p.bytes >= PageBytes) {
		p.Next, _ = listed(&p.Entries[n-1])
		return false
	}
	p.Entries = append(p.Entries, entry)
	_, bytes := listed(&entry)
	p.bytes += bytes
	return true
}

// Stop declares that the list was read up to the id at and no further. descending reports whether the ids of the list
// decrease. Stop removes the entries after at from the page, and sets Next to at unless Next is before it.
func (p *Page[Entry]) Stop(at ID, descending bool) {
	after := func(id ID) bool { return id != at && (id.Compare(at) < 0) == descending }
	if !p.Next.IsZero() && !after(p.Next) {
		return
	}
	p.Next = at
	p.Entries = slices.DeleteFunc(p.Entries, func(entry Entry) bool {
		id, _ := listed(&entry)
		return after(id)
	})
}

// listed returns an entry's id and about how much memory the entry takes.
func listed(entry any) (id ID, bytes int) {
	const fixed = 512 // the fields of a Revocation or a Job, rounded up
	bytes = fixed
	switch e := entry.(type) {
	case *Revocation:
		id = e.ID
		bytes += len(e.Invalid)
		for _, s := range []*string{e.ClientReference, e.Reason, e.CandidateMessage} {
			if s != nil {
				bytes += len(*s)
			}
		}
		if e.LastError != nil {
			bytes += len(e.LastError.Detail)
		}
	case *Job:
		id = e.ID
		for _, s := range []*string{e.Label, e.Reason, e.CandidateMessage} {
			if s != nil {
				bytes += len(*s)
			}
		}
	}
	return id, bytes
}
