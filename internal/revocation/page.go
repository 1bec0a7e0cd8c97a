package revocation

import "slices"

const (
	// PageScan is how many rows a store reads at most for one page of a list, unless the filter names another number. So
	// a page of what is rare in a long history is short.
	PageScan = 5_000
	// PageBytes is about how much memory the entries of a page take at most.
	PageBytes = 512 << 10
)

// Page is a part of a list. It may have fewer entries than were asked for, even none, and not be the last. Its zero
// value is an empty last page.
type Page[Entry Revocation | Job] struct {
	Entries []Entry
	// Next is the id behind which the next page begins, in the order of the list; zero on the last page.
	Next ID

	bytes int
}

// Add adds the next entry of the list to a page of at most limit entries. When the page is full already, Add returns
// false, and sets Next instead.
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

// Stop says that nothing of the list was read behind an id, in a list whose ids rise or fall. It takes out of the page
// what comes behind it.
func (p *Page[Entry]) Stop(at ID, falling bool) {
	behind := func(id ID) bool { return id != at && (id.Compare(at) < 0) == falling }
	if !p.Next.IsZero() && !behind(p.Next) {
		return
	}
	p.Next = at
	p.Entries = slices.DeleteFunc(p.Entries, func(entry Entry) bool {
		id, _ := listed(&entry)
		return behind(id)
	})
}

// listed returns an entry's id and about how much memory the entry takes.
func listed(entry any) (id ID, bytes int) {
	const fixed = 512 // the fields of either, rounded up
	bytes = fixed
	switch e := entry.(type) {
	case *Revocation:
		id = e.ID
		bytes += len(e.Invalid)
		if e.ClientReference != nil {
			bytes += len(*e.ClientReference)
		}
		if e.LastError != nil {
			bytes += len(e.LastError.Detail)
		}
	case *Job:
		id = e.ID
		if e.Label != nil {
			bytes += len(*e.Label)
		}
	}
	return id, bytes
}
