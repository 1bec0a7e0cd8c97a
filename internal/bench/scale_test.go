package bench

import (
	"fmt"
	"time"
)

const (
	mostWorkers = 4
	scaleRounds = 2
)

// scale adds workers, as far as the cores go: the load, the API and the stores are on the same ones.
func (b *bench) scale() {
	t := b.table("scale", "Workers")
	for range min(b.rounds, scaleRounds) {
		for n := 1; n <= mostWorkers; n++ {
			s := b.start(b.contenders[0], n)
			row := fmt.Sprintf("%s, %d workers", rescind, n)
			if n == 1 {
				row = rescind + ", 1 worker"
			}
			// What the turn before has left to be tidied up would be tidied up in this one.
			b.execute(b.database, `VACUUM ANALYZE`)
			b.execute(b.database, `CHECKPOINT`)
			b.warm(s)
			began := time.Now()
			r := b.submit(s, b.length)
			b.drain(s, began)
			t.add(row, perSecond, float64(r.count)/time.Since(began).Seconds())
			t.add(row, "accepted meanwhile", r.rate)
			job := target{addr: s.target.addr, key: b.account(s, b.scaleItems)}
			t.add(row, items(b.scaleItems), float64(b.scaleItems)/b.job(job, b.scaleItems).Seconds())
			b.stop(s)
		}
	}
}
