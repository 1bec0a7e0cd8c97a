package revocation

// ForgottenEvent returns the event of the candidates of n invites of an account that were forgotten in one transaction.
func ForgottenEvent(account string, by Actor, n int) Event {
	return Event{
		Account: account, Type: EventInvitesForgotten, Actor: by, Subject: Subject{Type: SubjectAccount, ID: account},
		Data: eventData(struct {
			Count int `json:"count"`
		}{n}),
	}
}
