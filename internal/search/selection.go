package search

import (
	"slices"
	"strings"

	"rescind/internal/revocation"
)

// Select returns the statement for the reports of the invites that are selected, in any order and each once. It returns at
// most limit of them.
func Select(d Dialect, account string, selected revocation.Selection, limit int) Statement {
	revoked := false
	f := revocation.InviteFilter{
		Account: account, AssessmentID: selected.AssessmentID, Assessment: selected.Assessment, Revoked: &revoked,
		Progress: selected.Progress, SentAfter: selected.SentAfter, SentBefore: selected.SentBefore,
	}
	b := &builder{Dialect: d}
	where := []string{`account_id = ` + b.add(account)}
	s := simple(&f)
	list := ""
	switch {
	case len(selected.Emails) > 0:
		s = segment{index: "invites_email", column: emailColumn, equal: true}
		list = b.add(d.Texts(foldAll(selected.Emails)))
		where = append(where, emailColumn+` = t.value`)
	case s.equal:
		where = append(where, s.column+` = `+b.add(s.low))
	default:
		where = append(where, `report_id > 0`) // the condition of the index
		if f.SentAfter.IsZero() && f.SentBefore.IsZero() {
			s.index = "" // all invites are read, in the order of the table
		}
	}
	where = append(where, b.sent(&f)...)
	condition := strings.Join(append(where, b.rest(&f, &s)...), ` AND `)
	var source string
	if list != "" {
		source = d.ForEach(list, s.index, condition)
	} else {
		source = ` FROM invites`
		if d.ByIndex != nil && s.index != "" {
			source += d.ByIndex(s.index)
		}
		source += ` WHERE ` + condition
	}
	return b.end(`SELECT report_id` + source + ` LIMIT ` + b.add(limit))
}

// NeedsFolded reports whether a selection compares folded texts.
func NeedsFolded(selected revocation.Selection) bool {
	return len(selected.Emails) > 0 || selected.Assessment != ""
}

// Unfolded returns the statement for the report of an invite, of any account, whose texts are not folded yet. The order makes
// the database read the index of such invites, which is empty in general.
func Unfolded(d Dialect) Statement {
	from := ` FROM invites`
	if d.ByIndex != nil {
		from += d.ByIndex("invites_unfolded")
	}
	return Statement{SQL: `SELECT report_id` + from + ` WHERE name_folded IS NULL ORDER BY sent_at DESC LIMIT 1`}
}

// foldAll returns the folded texts, each once.
func foldAll(texts []string) []string {
	folded := make([]string, len(texts))
	for i, text := range texts {
		folded[i] = Fold(text)
	}
	slices.Sort(folded)
	return slices.Compact(folded)
}
