package bench

import "fmt"

// goal is a goal with its measured value.
type goal struct{ title, wanted, measured, reached string }

// flat is as much as the cost of an item may differ in a larger job: it is read in hundredths of a second.
const flat = 1.2

// goals compares the results with the goals. It omits goals that were not measured.
func (r *results) goals() (all []goal) {
	least := func(title string, wanted float64, values []float64) {
		if len(values) > 0 {
			s := spreadOf(values)
			all = append(all, goal{title, "at least " + number(wanted), s.String(), verdict(s.median >= wanted, wanted-s.median, wanted)})
		}
	}
	most := func(title string, wanted float64, unit string, values []float64) {
		if len(values) > 0 {
			s := spreadOf(values)
			all = append(all, goal{title, "at most " + number(wanted) + unit, s.String() + unit, verdict(s.median <= wanted, s.median-wanted, wanted)})
		}
	}
	times := func(table, column, ours, others string) []float64 {
		return ratios(r.values(table, ours, column), r.values(table, others, column))
	}
	least("accepted submissions, times asynq without a database", 1, times("accepted", perSecond, rescind, bareFloor))
	least("submitted and carried out, times River with a transaction a request", 3, times("carried", perSecond, rescind, riverPlain))
	least("submitted and carried out, times River with gathered inserts", 1.5, times("carried", perSecond, rescind, riverBatched))
	least("submitted and carried out, times BullMQ", 3, times("carried", perSecond, rescind, bullMQ))
	most("submit to final outcome, idle, p50", 3, " ms", r.values("latency", rescind, p50))
	most("submit to final outcome, idle, p99", 10, " ms", r.values("latency", rescind, p99))
	most("the same beside a job of a million: p50, times idle", 2, "", times("latency", p50, besideMillion, rescind))
	most("the same beside a job of a million: p99, times idle", 2, "", times("latency", p99, besideMillion, rescind))
	most("the same beside 32 clients of another account: p99, times without them", 5, "", times("neighbours", p99, besideClients, rescind))
	most("idle API and worker, of a core", 1, " %", r.values("idle", rescind, ofACore))
	for _, size := range jobSizes(true) {
		least("a job of "+thousands(int64(size))+", times COPY, UPDATE, UPDATE", 1.5, times("bulk", items(size), rescind, byHand))
	}
	for _, size := range jobSizes(true)[1:] {
		most("core-seconds a million items, in a job of "+thousands(int64(size))+", times one of 10,000", flat, "", ratios(r.values("bulkcosts", rescind, cost(size)), r.values("bulkcosts", rescind, cost(smallJob))))
	}
	for _, kind := range r.rowsOf("search") {
		for _, when := range []string{"just loaded", "old"} {
			most("a search for "+kind+", "+when+", p99", 20, " ms", r.values("search", kind, when+": "+p99))
		}
	}
	for _, part := range r.rowsOf("selections") {
		most("a selection "+part+", just loaded", 3, " s", r.values("selections", part, "just loaded: "+seconds))
	}
	least("polls a second", 20_000, r.values("polling", rescind, perSecond))
	return all
}

// ratios returns the ratio of each round if both have the same number of rounds, and otherwise that of the medians.
func ratios(ours, others []float64) (all []float64) {
	if len(ours) == 0 || len(others) == 0 {
		return nil
	}
	if len(ours) != len(others) {
		return []float64{spreadOf(ours).median / spreadOf(others).median}
	}
	for i := range ours {
		all = append(all, ours[i]/others[i])
	}
	return all
}

func verdict(reached bool, missing, wanted float64) string {
	if reached {
		return "yes"
	}
	digits := 0
	if missing < wanted/100 {
		digits = 1
	}
	return fmt.Sprintf("no, by %.*f %%", digits, 100*missing/wanted)
}
