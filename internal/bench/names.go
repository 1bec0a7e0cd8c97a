package bench

// The columns of tables that are read again, for the goals and the plot.
const (
	perSecond = "a second"
	p50       = "p50, ms"
	p99       = "p99, ms"
	seconds   = "s"
	ofACore   = "API and worker, % of a core"
)

// The contenders, as the tables name them.
const (
	rescind       = "rescind"
	embedded      = "rescind, embedded"
	besideMillion = "rescind, beside a job of a million"
	besideClients = "rescind, beside 32 clients of another account"
	bareFloor     = "echo, asynq: no database"
	asynqRow      = "echo, INSERT, asynq"
	riverPlain    = "River"
	riverBatched  = "River, gathered inserts"
	bullMQ        = "BullMQ, fastify"
	byHand        = "COPY, UPDATE, UPDATE"
	onceByHand    = "COPY, UPDATE, INSERT"
	oneByOne      = "one call after the other"
)

const (
	smallJob  = 10_000
	middleJob = 100_000
	largeJob  = 1_000_000
	hugeJob   = 10_000_000
)

// jobSizes are those of the jobs that are measured, with the largest only on request.
func jobSizes(huge bool) []int {
	sizes := []int{smallJob, middleJob, largeJob}
	if huge {
		sizes = append(sizes, hugeJob)
	}
	return sizes
}

// items is the column of a size of job.
func items(size int) string { return thousands(int64(size)) + ", items a second" }

// cost is the column of what a million items cost in jobs of a size.
func cost(size int) string { return thousands(int64(size)) + ": all" }
