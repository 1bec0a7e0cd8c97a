package search

import (
	"cmp"

	"rescind/internal/revocation"
)

// Reader reads the invites of a statement, in its order.
type Reader func(Statement) ([]revocation.StoredInvite, error)

// Page reads a page of the invites that f selects. All calls of read must see the same moment. account has what the
// predictions depend on.
func Page(f revocation.InviteFilter, account revocation.AccountState, d Dialect, read Reader) (page revocation.InvitePage, err error) {
	f.Scan = cmp.Or(f.Scan, revocation.InviteScan)
	var at texts
	if f.Query != "" && f.After.ReportID != 0 {
		found, err := read((&builder{Dialect: d}).one(f.Account, f.After.ReportID))
		if err != nil {
			return page, err
		}
		for i := range found { // of which there is one at most
			at = textsOf(&found[i])
		}
	}
	bytes := 0
	for _, s := range segments(&f, at) {
		found, err := read((&builder{Dialect: d}).page(&f, &s, f.Limit+1-len(page.Entries)))
		if err != nil {
			return page, err
		}
		for i := range found {
			if n := len(page.Entries); n > 0 && (n == f.Limit || bytes >= revocation.PageBytes) {
				return page, nil // Next is set by the last entry
			}
			found[i].SetPredicted(account)
			page.Entries = append(page.Entries, found[i])
			page.Next = position(&s, &found[i])
			bytes += size(&found[i])
		}
		if len((&builder{Dialect: d}).rest(&f, &s)) == 0 {
			continue
		}
		last, err := read((&builder{Dialect: d}).bound(&f, &s))
		if err != nil {
			return page, err
		}
		for i := range last { // of which there is one at most
			page.Next = position(&s, &last[i])
			return page, nil
		}
	}
	page.Next = revocation.InvitePosition{}
	return page, nil
}

// One returns the statement for an invite.
func One(d Dialect, account string, reportID int64) Statement {
	return (&builder{Dialect: d}).one(account, reportID)
}

func position(s *segment, i *revocation.StoredInvite) revocation.InvitePosition {
	return revocation.InvitePosition{Part: s.part, SentAt: i.SentAt, ReportID: i.ReportID}
}

// size returns about how much memory an entry takes, in bytes.
func size(i *revocation.StoredInvite) int {
	const fixed = 256 // what is not text, rounded up
	n := fixed + len(i.CandidateName) + len(i.CandidateEmail) + len(i.AssessmentName)
	for _, text := range []*string{i.AssessmentID, i.Language} {
		if text != nil {
			n += len(*text)
		}
	}
	return n
}
