package bench

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory is one of the fields of a process's memory, in bytes; 0 when it has ended.
func (b *bench) memory(pid int, field string) int {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), field+":"); found {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			b.must(err)
			return kb << 10
		}
	}
	return 0
}

func mebibytes(n int) float64 { return float64(n) / (1 << 20) }

// peaks are the most memory that was seen.
type peaks struct{ server, worker, postgres, redis int }

// watch samples memory until it is stopped. PostgreSQL's processes share most of their resident memory, so watch adds up
// their private memory. For Redis it reads the reported size of the data.
func (b *bench) watch(s *started) (stop func() peaks) {
	b.Helper()
	data := func() int {
		n, err := strconv.Atoi(b.redisInfo("memory", "used_memory_dataset"))
		b.must(err)
		return n
	}
	atFirst := data()
	var most peaks
	look := func() {
		most.server = max(most.server, b.memory(s.server.Process.Pid, "VmRSS"))
		for _, worker := range s.workers {
			most.worker = max(most.worker, b.memory(worker.Process.Pid, "VmRSS"))
		}
		private := b.memory(b.postgresPID, "RssAnon")
		for _, child := range b.children(b.postgresPID) {
			private += b.memory(child, "RssAnon")
		}
		most.postgres, most.redis = max(most.postgres, private), max(most.redis, data()-atFirst)
	}
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			look()
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	})
	return func() peaks {
		close(ended)
		watching.Wait()
		return most
	}
}

// report adds them.
func (p peaks) report(t *table, row string) {
	t.add(row, "API, MiB", mebibytes(p.server))
	if p.worker == 0 { // it is all in one
		return
	}
	t.add(row, "worker, MiB", mebibytes(p.worker))
	t.add(row, "PostgreSQL's processes, their own, MiB", mebibytes(p.postgres))
	t.add(row, "Redis's data, growth, KiB", float64(p.redis)/(1<<10))
}
