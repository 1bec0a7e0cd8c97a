package revocation

import (
	"bytes"
	"cmp"
	"time"
)

// operator is the actor of the commands on the service's machine.
var operator = Actor{Type: ActorOperator}

// AccountEvents returns the events of a command that has changed an account. before is nil if the command created it.
// There are none if nothing has changed. Only numbers, times and booleans are in the data of account.changed; all other
// settings are names alone.
func AccountEvents(before, after *Account) []Event {
	created := before == nil
	if created {
		before = &Account{}
	}
	changed, values := []string{}, map[string]any{}
	add := func(differs bool, name string) {
		if differs {
			changed = append(changed, name)
		}
	}
	set := func(differs bool, name string, value any) {
		add(differs, name)
		if differs {
			values[name] = value
		}
	}
	add(before.Name != after.Name, "name")
	add(before.Contact != after.Contact, "contact")
	set(!before.PlanChangedAt.Equal(after.PlanChangedAt), "plan_changed_at", timeOrNil(after.PlanChangedAt))
	set(before.Hold != after.Hold, "hold_seconds", int(after.Hold/time.Second))
	set(!sameLimit(before.ConfirmAbove, after.ConfirmAbove), "confirm_above", after.ConfirmAbove)
	set(!sameLimit(before.ApproveAbove, after.ApproveAbove), "approve_above", after.ApproveAbove)
	add(before.SpareStarted != after.SpareStarted, "spare")
	set(before.MessageLinks != after.MessageLinks, "message_links", after.MessageLinks)
	set(before.SingleEvents != after.SingleEvents, "single_events", after.SingleEvents)
	was, is := upstreamOf(before), upstreamOf(after)
	add(was.URL != is.URL, "upstream_url")
	add(!bytes.Equal(was.SealedKey, is.SealedKey), "upstream_key")
	set(was.Rate != is.Rate, "upstream_rate", is.Rate)
	set(was.Concurrency != is.Concurrency, "upstream_concurrency", is.Concurrency)

	var all []Event
	if created || len(changed) > 0 {
		all = append(all, accountEvent(after.ID, EventAccountChanged, operator, struct {
			Created bool           `json:"created"`
			Changed []string       `json:"changed"`
			Values  map[string]any `json:"values"`
		}{created, changed, values}))
	}
	if was.Hold != "" && is.Hold == "" {
		all = append(all, UpstreamResumed(after.ID, operator))
	}
	return all
}

func accountEvent(account string, t EventType, by Actor, data any) Event {
	return Event{Account: account, Type: t, Actor: by, Subject: Subject{Type: SubjectAccount, ID: account}, Data: eventData(data)}
}

func upstreamOf(a *Account) Upstream {
	if a.Upstream == nil {
		return Upstream{}
	}
	return *a.Upstream
}

func sameLimit(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// UpstreamPaused returns the event of an upstream that is on hold, and was not before.
func UpstreamPaused(account string, why Hold) Event {
	return accountEvent(account, EventUpstreamPaused, Actor{Type: ActorService}, struct {
		Reason Hold `json:"reason"`
	}{why})
}

// UpstreamResumed returns the event of an upstream that is not on hold any more.
func UpstreamResumed(account string, by Actor) Event {
	return accountEvent(account, EventUpstreamResumed, by, struct{}{})
}

// Import counts the rows of an import of invites.
type Import struct {
	// Written counts the invites that were written, and Bad the rows that could not be read.
	Written, Bad int
	// By is who imported them; zero for an operator.
	By Actor
}

// InvitesImported returns the event of an import.
func InvitesImported(account string, counts Import) Event {
	return accountEvent(account, EventInvitesImported, cmp.Or(counts.By, operator), struct {
		Written int `json:"written"`
		Bad     int `json:"bad"`
	}{counts.Written, counts.Bad})
}

// KeyCreated returns the event of a new key.
func KeyCreated(key *APIKey) Event {
	return keyEvent(key.Account, key.ID, EventKeyCreated, struct {
		Scopes    []Scope    `json:"scopes"`
		ExpiresAt *time.Time `json:"expires_at"`
	}{append([]Scope{}, key.Scopes...), timeOrNil(key.ExpiresAt.UTC())})
}

// KeyRevoked returns the event of a key that was valid and is revoked.
func KeyRevoked(account string, id ID) Event {
	return keyEvent(account, id, EventKeyRevoked, struct{}{})
}

func keyEvent(account string, id ID, t EventType, data any) Event {
	return Event{
		Account: account, Type: t, Actor: operator, Subject: Subject{Type: SubjectKey, ID: id.String()}, Data: eventData(data),
	}
}

// FinishedSingles returns an event for each single revocation that decisions make final. Stores write them for accounts with
// SingleEvents.
func FinishedSingles(decisions []Decision) []Event {
	var all []Event
	for i := range decisions {
		if d := &decisions[i]; d.Kind == Final && d.Job.IsZero() {
			all = append(all, finishedSingle(d))
		}
	}
	return all
}

func finishedSingle(d *Decision) Event {
	return Event{
		Account: d.Account, Type: EventRevocationFinished, Actor: Actor{Type: ActorService},
		Subject: Subject{Type: SubjectRevocation, ID: d.ID.String()},
		Data: eventData(struct {
			ReportID int64  `json:"report_id"`
			Status   Status `json:"status"`
			Attempts int    `json:"attempts"`
		}{d.ReportID, d.Status, d.Attempts()}),
	}
}
