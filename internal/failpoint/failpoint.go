// Package failpoint names the points of the program's way at which the chaos suite ends it, stops it, or lets it wait.
// In the programs as they are shipped there is nothing of it: a point is a call of an empty function. Built with the
// tag failpoint, they ask at each point whether to go on; see Reach.
package failpoint

// Point is a place in the program. What is being done there is told beside it.
type Point string

// The points.
const (
	// BeforeCommit is when a transaction has been made up and is not yet committed, AfterCommit when the database has
	// said that it is, and nobody else knows yet. What is done is the transaction's name.
	BeforeCommit Point = "before the commit"
	AfterCommit  Point = "after the commit"
	// BeforeEnqueue is when rows wait for a task, AfterEnqueue when Redis has it. What is done is the task's type.
	BeforeEnqueue Point = "before the task is sent"
	AfterEnqueue  Point = "after the task is sent"
	// TaskBegun is when a worker has a task, TaskDone when all is written and Redis does not know yet.
	TaskBegun Point = "task begun"
	TaskDone  Point = "task done"
	// BeforeDot is when the mail server has all of a message but its final dot, AfterDot when it has answered that.
	BeforeDot Point = "before the final dot"
	AfterDot  Point = "after the final dot"
	// BeforeCall is when a call to an upstream has not been sent, AfterCall when its answer has not been written.
	BeforeCall Point = "before the call"
	AfterCall  Point = "after the call"
)

// Setting is the environment variable that names who decides, as host:port; without it all go on.
const Setting = "RESCIND_FAILPOINTS"
