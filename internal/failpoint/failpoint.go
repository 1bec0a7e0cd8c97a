// Package failpoint names the points in the programs at which the chaos suite kills, stops or delays a process. In a
// normal build, Reach is an empty function. With the build tag failpoint, Reach waits for the chaos suite.
package failpoint

// Point is a point in the program, such as the one before a commit.
type Point string

// The points.
const (
	// BeforeCommit is reached when all statements of a transaction have run. AfterCommit is reached when the database has
	// confirmed the commit and no other process has learned of it. The action is the transaction's name.
	BeforeCommit Point = "before the commit"
	AfterCommit  Point = "after the commit"
	// BeforeEnqueue is reached when rows need a task, AfterEnqueue when Redis has the task. The action is the task's type.
	BeforeEnqueue Point = "before the task is sent"
	AfterEnqueue  Point = "after the task is sent"
	// TaskBegun is reached when a worker has taken a task, TaskDone when everything is written and the task is not yet
	// acknowledged. The action is the task's type.
	TaskBegun Point = "task begun"
	TaskDone  Point = "task done"
	// BeforeDot is reached when the mail server has a whole message except its final dot, AfterDot when the server has
	// answered the dot.
	BeforeDot Point = "before the final dot"
	AfterDot  Point = "after the final dot"
	// BeforeCall is reached before a call to an upstream is sent, AfterCall before its answer is written to the database.
	BeforeCall Point = "before the call"
	AfterCall  Point = "after the call"
)

// Setting is the environment variable with the address, host:port, of the chaos suite. Without it, Reach does nothing.
const Setting = "RESCIND_FAILPOINTS"
