package bench

import (
	"net/http"
	"slices"
	"time"
)

const (
	acceptedTitle = "Accepted submissions, 64 connections, nobody carrying out"
	carriedTitle  = "Submitted over 64 connections and carried out by one worker, until the last is final"
	latencyTitle  = "From submit to final outcome, over HTTP, one at a time"
	idleTitle     = "Nothing to do"
	pollingTitle  = "Reads of a revocation, 64 connections"
	costsTitle    = "A submission that is carried out: µs of a core"
)

// accepted has the APIs take turns, without workers.
func (b *bench) accepted() {
	t := b.table("accepted", acceptedTitle)
	var all []*started
	for _, c := range b.contenders {
		if c.name == embedded { // it cannot but carry out
			continue
		}
		all = append(all, b.start(c, 0))
	}
	for round := range b.rounds + 1 {
		for _, s := range all {
			before := b.shares(s)
			r := b.submit(s, b.length)
			cost := b.shares(s).since(before)
			if s.name != rescind {
				b.clear(s)
			}
			if round == 0 { // warms up
				continue
			}
			t.add(s.name, perSecond, r.rate)
			t.add(s.name, p50, milliseconds(r.took, .5))
			t.add(s.name, p99, milliseconds(r.took, .99))
			cost.report(t, s.name, r.count)
		}
	}
	for _, s := range all {
		b.stop(s)
	}
	// What the product has accepted is a backlog, which it does not forget.
	began := time.Now()
	s := b.start(b.contenders[0], 1)
	b.drain(s, time.Unix(0, 0))
	b.table("backlog", "A backlog, by one worker").add(rescind, perSecond, float64(s.next.Load())/time.Since(began).Seconds())
	b.stop(s)
}

// carried has one contender after the other take and carry out submissions at the same time.
func (b *bench) carried() {
	t, costs := b.table("carried", carriedTitle), b.table("costs", costsTitle)
	for range b.rounds {
		for _, c := range b.contenders {
			if !c.carries {
				continue
			}
			s := b.start(c, 1)
			b.warm(s)
			before, began := b.shares(s), time.Now()
			r := b.submit(s, b.length)
			b.drain(s, began)
			t.add(c.name, perSecond, float64(r.count)/time.Since(began).Seconds())
			t.add(c.name, "accepted meanwhile", r.rate)
			t.add(c.name, p99, milliseconds(r.took, .99))
			b.shares(s).since(before).report(costs, c.name, r.count)
			b.stop(s)
		}
	}
	for _, c := range b.contenders {
		if c.database != "" {
			b.audit(c.database)
		}
	}
}

// latency measures single submissions on an idle system.
func (b *bench) latency() {
	t := b.table("latency", latencyTitle)
	for range b.rounds {
		for _, c := range b.contenders {
			if !c.carries {
				continue
			}
			s := b.start(c, 1)
			b.warm(s)
			took, err := latencies(s.target, b.samples, pause, s.next, nil)
			b.must(err)
			slices.Sort(took)
			t.add(c.name, p50, milliseconds(took, .5))
			t.add(c.name, p99, milliseconds(took, .99))
			b.stop(s)
		}
	}
}

// pause is between two submissions, so that each meets an idle system.
const pause = 20 * time.Millisecond

// settle is what a start and a cleaning get to come to an end.
const settle = 2 * time.Second

// idle measures the cost of an idle system.
func (b *bench) idle() {
	t := b.table("idle", idleTitle)
	for _, c := range b.contenders {
		if !c.carries {
			continue
		}
		s := b.start(c, 1)
		_, err := latencies(s.target, b.samples, 0, s.next, nil)
		b.must(err)
		if s.database != "" { // it would clean up by itself sooner or later
			b.execute(s.database, `VACUUM ANALYZE`)
		}
		time.Sleep(settle)
		before := b.shares(s)
		time.Sleep(b.idleLength)
		used := b.shares(s).since(before)
		percent := func(d time.Duration) float64 { return 100 * d.Seconds() / b.idleLength.Seconds() }
		t.add(c.name, ofACore, percent(used.server+used.workers))
		t.add(c.name, "PostgreSQL and Redis, % of a core", percent(used.postgres+used.redis))
		t.add(c.name, "API, MiB", mebibytes(b.memory(s.server.Process.Pid, "VmRSS")))
		if len(s.workers) > 0 {
			t.add(c.name, "worker, MiB", mebibytes(b.memory(s.workers[0].Process.Pid, "VmRSS")))
		}
		b.stop(s)
	}
}

// polled is the number of revocations that are read in rotation.
const polled = 1000

// polling measures reads of final revocations.
func (b *bench) polling() {
	t := b.table("polling", pollingTitle)
	var all []*started
	locations := make(map[string][]string)
	for _, c := range b.contenders {
		if !c.carries {
			continue
		}
		s := b.start(c, 1)
		began := time.Now()
		for range polled {
			locations[c.name] = append(locations[c.name], b.submitOne(s))
		}
		b.drain(s, began)
		all = append(all, s)
	}
	for round := range b.rounds + 1 {
		for _, s := range all {
			before := b.shares(s)
			r, err := polls(s.target, connections, b.length, locations[s.name])
			b.must(err)
			if round == 0 { // warms up
				continue
			}
			t.add(s.name, perSecond, r.rate)
			t.add(s.name, p50, milliseconds(r.took, .5))
			t.add(s.name, p99, milliseconds(r.took, .99))
			b.shares(s).since(before).report(t, s.name, r.count)
		}
	}
	for _, s := range all {
		b.stop(s)
	}
}

// submitOne submits a revocation and returns its location.
func (b *bench) submitOne(s *started) (location string) {
	b.Helper()
	c, err := dial(s.target.addr)
	b.must(err)
	defer func() { _ = c.conn.Close() }()
	got, err := c.submit(s.asking(), s.next.Add(1))
	b.must(err)
	if got.status != http.StatusAccepted {
		b.Fatalf("status %d", got.status)
	}
	return got.location
}
