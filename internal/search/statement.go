package search

import (
	"strings"
	"time"

	"rescind/internal/revocation"
)

// Dialect is how a database writes statements.
type Dialect struct {
	// Parameter returns the name of the n-th parameter, from 1.
	Parameter func(n int) string
	// Time returns the value of a parameter for a time.
	Time func(time.Time) any
	// ByIndex follows the name of the table and names the index to read; nil if the database chooses one.
	ByIndex func(index string) string
	// Texts returns the value of a parameter for a list of texts.
	Texts func([]string) any
	// ForEach returns a FROM clause with the reports of invites that match a condition, once for each text of a list. list
	// is the name of the list's parameter. The condition calls the text t.value.
	ForEach func(list, index, condition string) string
}

// Statement reads invites with the columns of Columns.
type Statement struct {
	SQL  string
	Args []any
}

// Columns are the columns that each statement returns. NULL stands for an optional value that is not there.
const Columns = `report_id, candidate_name, candidate_email, nullif(assessment_id, ''), assessment_name, nullif(language, ''),
	state, sent_at, revoked_at, revoked_by`

// builder is a statement under construction.
type builder struct {
	Dialect
	args []any
}

func (b *builder) add(arg any) string {
	b.args = append(b.args, arg)
	return b.Parameter(len(b.args))
}

// page returns the statement for the first entries of a segment that match the filter. It reads at most scan rows.
func (b *builder) page(f *revocation.InviteFilter, s *segment, entries int) Statement {
	source, order := b.source(f, s)
	rest := b.rest(f, s)
	if len(rest) == 0 {
		return b.end(`SELECT ` + Columns + source + order + ` LIMIT ` + b.add(entries))
	}
	return b.end(`SELECT ` + Columns + ` FROM (SELECT *` + source + order + ` LIMIT ` + b.add(f.Scan) + `) AS i WHERE ` +
		strings.Join(rest, ` AND `) + order + ` LIMIT ` + b.add(entries))
}

// bound returns the statement for the last row that page reads, if it reads as many as it may.
func (b *builder) bound(f *revocation.InviteFilter, s *segment) Statement {
	source, order := b.source(f, s)
	return b.end(`SELECT ` + Columns + source + order + ` LIMIT 1 OFFSET ` + b.add(f.Scan-1))
}

// one returns the statement for an invite.
func (b *builder) one(account string, reportID int64) Statement {
	return b.end(`SELECT ` + Columns + ` FROM invites WHERE account_id = ` + b.add(account) + ` AND report_id = ` + b.add(reportID))
}

func (b *builder) end(sql string) Statement { return Statement{SQL: sql, Args: b.args} }

// source returns where the rows of a segment come from, and their order.
func (b *builder) source(f *revocation.InviteFilter, s *segment) (source, order string) {
	source = ` FROM invites`
	if b.ByIndex != nil {
		source += b.ByIndex(s.index)
	}
	where := []string{`account_id = ` + b.add(f.Account)}
	order = ` ORDER BY sent_at DESC, report_id DESC`
	switch {
	case s.column == "":
		where = append(where, `report_id > 0`) // the condition of the index
	case s.equal:
		where = append(where, s.column+` = `+b.add(s.low))
	default:
		comparison := ` >= `
		if s.behind {
			comparison = ` > `
		}
		where = append(where, s.column+comparison+b.add(s.low))
		if s.high != "" {
			where = append(where, s.column+` < `+b.add(s.high))
		}
		order = ` ORDER BY ` + s.column + `, sent_at DESC, report_id DESC`
	}
	if s.sortedByTime() {
		where = append(where, b.sent(f)...)
	}
	if s.after.ReportID != 0 {
		where = append(where, `(sent_at, report_id) < (`+b.add(b.Time(s.after.SentAt))+`, `+b.add(s.after.ReportID)+`)`)
	}
	return source + ` WHERE ` + strings.Join(where, ` AND `), order
}

// sortedByTime reports whether the times of the segment are a range of the index.
func (s *segment) sortedByTime() bool { return s.column == "" || s.equal }

// rest returns the conditions of the filter that the index of the segment does not answer.
func (b *builder) rest(f *revocation.InviteFilter, s *segment) (conditions []string) {
	and := func(condition string) { conditions = append(conditions, condition) }
	for _, column := range s.unlike {
		prefix := Fold(f.Query)
		unlike := column + ` < ` + b.add(prefix)
		if end, ok := above(prefix); ok {
			unlike += ` OR ` + column + ` >= ` + b.add(end)
		}
		and(`(` + unlike + `)`)
	}
	if !s.sortedByTime() {
		conditions = append(conditions, b.sent(f)...)
	}
	if f.Email != "" && (s.column != emailColumn || !s.equal || f.Query != "") {
		and(emailColumn + ` = ` + b.add(Fold(f.Email)))
	}
	if f.AssessmentID != "" && s.column != "assessment_id" {
		and(`assessment_id = ` + b.add(f.AssessmentID))
	}
	if f.Assessment != "" && (s.column != assessmentColumn || f.Query != "") {
		and(assessmentColumn + ` = ` + b.add(Fold(f.Assessment)))
	}
	if f.Revoked != nil {
		if *f.Revoked {
			and(`revoked_at IS NOT NULL`)
		} else {
			and(`revoked_at IS NULL`)
		}
	}
	if len(f.Progress) > 0 {
		states := make([]string, len(f.Progress))
		for i, progress := range f.Progress {
			states[i] = b.add(string(progress))
		}
		and(`state IN (` + strings.Join(states, `, `) + `)`)
	}
	return conditions
}

// sent returns the conditions on the time of an invite.
func (b *builder) sent(f *revocation.InviteFilter) (conditions []string) {
	if !f.SentAfter.IsZero() {
		conditions = append(conditions, `sent_at >= `+b.add(b.Time(f.SentAfter)))
	}
	if !f.SentBefore.IsZero() {
		conditions = append(conditions, `sent_at < `+b.add(b.Time(f.SentBefore)))
	}
	return conditions
}
