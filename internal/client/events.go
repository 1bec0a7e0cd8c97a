package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Event describes something that happened in the account.
type Event struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	OccurredAt time.Time `json:"occurred_at"`
	Actor      struct {
		Type string `json:"type"`
		Name string `json:"name"` // empty for the service itself
	} `json:"actor"`
	Subject struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"subject"`
	Data json.RawMessage `json:"data"`
}

// Events is a page of events, oldest first. An empty page means that there is nothing more now.
type Events struct {
	Data []Event `json:"data"`
	// NextCursor is the cursor of the next page. It is never empty.
	NextCursor string `json:"next_cursor"`

	// Body is the body of the response.
	Body []byte `json:"-"`
}

// EventFilter selects events.
type EventFilter struct {
	// Types are separated by commas; empty for all. Subject is an id; empty for all.
	Types   string
	Subject string
	// After is a time in RFC 3339; empty for no bound. It must be empty with Cursor.
	After string
	// Cursor is the NextCursor of the page before, LatestEvents, or empty for the first page.
	Cursor string
}

// LatestEvents is a cursor after the newest event.
const LatestEvents = "latest"

// Events returns a page of at most limit events (1 to 1000). If there is none, it waits up to wait for one.
func (c *Client) Events(ctx context.Context, f EventFilter, limit int, wait time.Duration) (Events, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, value := range map[string]string{"type": f.Types, "subject": f.Subject, "after": f.After, "cursor": f.Cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	r := request{method: http.MethodGet, path: "/events", query: query}
	if wait > 0 {
		r.prefer = preferWait(wait)
	}
	page, body, err := do[Events](ctx, c, c.timing.maxPause, r)
	page.Body = body
	return page, err
}
