package revocation

// Class is a kind of work that goes its own way to the workers.
type Class string

const (
	// ClassSingle is what was submitted singly.
	ClassSingle Class = "single"
	// ClassItems are the items of jobs.
	ClassItems Class = "items"
	// ClassUpstream is what has to be revoked at upstreams, singles and items.
	ClassUpstream Class = "upstream"
	// ClassMail are the emails.
	ClassMail Class = "mail"
)

// Classes are all of them.
var Classes = []Class{ClassSingle, ClassItems, ClassUpstream, ClassMail}
