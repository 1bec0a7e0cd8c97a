package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"rescind/internal/client"
	"rescind/internal/rows"
)

// inviteTable is how many invites a table has by default.
const inviteTable = 100

type invitesCommand struct {
	Email        *string `placeholder:"ADDRESS" help:"Print only the invites to this address."`
	Q            *string `name:"q" placeholder:"TEXT" help:"Print only the invites whose name, address or assessment begins with this text of 2 characters or more, in the order of what matched."`
	Assessment   *string `placeholder:"NAME" help:"Print only the invites to the assessment with this name."`
	AssessmentID *string `name:"assessment-id" placeholder:"ID" help:"Print only the invites to the assessment with this id."`
	State        *string `placeholder:"STATE,…" help:"Print only the invites in these states: PENDING, STARTED, COMPLETED."`
	Revoked      bool    `xor:"revoked" help:"Print only the invites that are revoked."`
	NotRevoked   bool    `xor:"revoked" help:"Print only the invites that are not revoked."`
	SentAfter    *moment `placeholder:"TIME" help:"Print only the invites that were sent at this time (RFC 3339) or later."`
	SentBefore   *moment `placeholder:"TIME" help:"Print only the invites that were sent before this time (RFC 3339)."`
	Limit        *atMost `placeholder:"N|all" help:"How many invites. By default 100 in a table, and all with --csv and --json."`
	CSV          bool    `name:"csv" help:"Print CSV, which rescind bulk takes."`
}

// Help implements kong's detailed help.
func (c *invitesCommand) Help() string {
	return "The key needs the scope invites. Texts are compared without case, an assessment's id exactly. White space around them does not count."
}

// Validate implements kong's check of arguments.
func (c *invitesCommand) Validate() error {
	return notEmpty(map[string]*string{
		"--email": c.Email, "--q": c.Q, "--assessment": c.Assessment, "--assessment-id": c.AssessmentID, "--state": c.State,
	})
}

// Run prints the invites page by page. With --json it prints the body of each page on a line.
func (c *invitesCommand) Run(p *process) error {
	if c.CSV && p.json {
		return errors.New("--csv and --json: use one of them")
	}
	search, left, found := c.search(), c.most(p), 0
	for first := true; ; first = false {
		search.Limit = min(left, pageSize)
		page, err := p.client.SearchInvites(p.ctx, search)
		if err != nil {
			return err
		}
		switch {
		case p.json:
			err = p.body(page.Body)
		case c.CSV:
			err = p.print("%s", invitesCSV(page.Data, first))
		default:
			err = p.print("%s", formatInvites(page.Data, first))
		}
		if err != nil {
			return err
		}
		found, left = found+len(page.Data), left-len(page.Data)
		switch {
		case page.NextCursor == nil && found == 0:
			p.display.say("No invite matches.")
			return nil
		case page.NextCursor == nil:
			return nil
		case left <= 0:
			p.display.say("There may be more: --limit all prints every one.")
			return nil
		}
		search.Cursor = *page.NextCursor
	}
}

// most returns how many invites are printed at most.
func (c *invitesCommand) most(p *process) int {
	switch {
	case c.Limit != nil:
		return c.Limit.n
	case c.CSV || p.json:
		return math.MaxInt
	}
	return inviteTable
}

// search returns the flags as a search.
func (c *invitesCommand) search() client.InviteSearch {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	instant := func(m *moment) string {
		if m == nil {
			return ""
		}
		return m.UTC().Format(time.RFC3339Nano)
	}
	s := client.InviteSearch{
		Email: text(c.Email), Query: text(c.Q), Assessment: text(c.Assessment), AssessmentID: text(c.AssessmentID),
		States: strings.ToUpper(text(c.State)), SentAfter: instant(c.SentAfter), SentBefore: instant(c.SentBefore),
	}
	if c.Revoked || c.NotRevoked {
		s.Revoked = &c.Revoked
	}
	return s
}

// atMost is a flag for a number of entries from 1, or all.
type atMost struct{ n int }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *atMost) UnmarshalText(text []byte) error {
	if string(text) == "all" {
		m.n = math.MaxInt
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return errors.New("not a number from 1, and not all")
	}
	m.n = n
	return nil
}

// formatInvites returns a line for each invite, with an optional heading.
func formatInvites(invites []client.Invite, heading bool) string {
	const line = "%10s  %-22s  %-28s  %-22s  %-9s  %-16s  %-16s  %s\n"
	var b strings.Builder
	if heading {
		fmt.Fprintf(&b, line, "REPORT", "NAME", "EMAIL", "ASSESSMENT", "STATE", "SENT", "REVOKED", "PREDICTED")
	}
	shown := func(text string) string {
		if text == "" {
			return "-"
		}
		return printable(text)
	}
	for _, i := range invites {
		revoked := ""
		if i.RevokedAt != nil {
			revoked = formatMinute(*i.RevokedAt)
		}
		fmt.Fprintf(&b, line, strconv.FormatInt(i.ReportID, 10), shown(i.CandidateName), shown(i.CandidateEmail), shown(i.AssessmentName),
			shown(i.State), formatMinute(i.SentAt), shown(revoked), shown(string(i.Predicted)))
	}
	return b.String()
}

// inviteColumns is the header row of invites as CSV, with the names that an import knows.
const inviteColumns = "report_id,candidate_name,candidate_email,assessment_id,assessment_name,language,state,sent_at,revoked_at,predicted\r\n"

// invitesCSV returns a row of CSV for each invite, with an optional header row. A missing value is an empty cell. Texts are
// escaped so that a spreadsheet does not run them as formulas.
func invitesCSV(invites []client.Invite, header bool) []byte {
	var b []byte
	if header {
		b = append(b, inviteColumns...)
	}
	for _, i := range invites {
		b = strconv.AppendInt(b, i.ReportID, 10)
		revoked := ""
		if i.RevokedAt != nil {
			revoked = i.RevokedAt.UTC().Format(time.RFC3339Nano)
		}
		for _, cell := range []string{
			i.CandidateName, i.CandidateEmail, i.AssessmentID, i.AssessmentName, i.Language, i.State,
			i.SentAt.UTC().Format(time.RFC3339Nano), revoked, string(i.Predicted),
		} {
			b = append(b, ',')
			if cell != "" {
				b = rows.AppendCell(b, cell)
			}
		}
		b = append(b, '\r', '\n')
	}
	return b
}
