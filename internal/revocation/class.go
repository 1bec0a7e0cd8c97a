package revocation

// Class is a kind of work that has a queue of its own.
type Class string

const (
	// ClassSingle is the single revocations.
	ClassSingle Class = "single"
	// ClassItems is the items of jobs.
	ClassItems Class = "items"
	// ClassUpstream is what has to be revoked at upstreams: singles and items.
	ClassUpstream Class = "upstream"
	// ClassMail is the emails.
	ClassMail Class = "mail"
)

// Classes lists every Class.
var Classes = []Class{ClassSingle, ClassItems, ClassUpstream, ClassMail}
