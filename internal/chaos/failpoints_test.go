package chaos_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"rescind/internal/failpoint"
)

// failpoints controls the processes at their points. A process that reaches a point continues at once, except the first
// that reaches an armed point. That one waits there.
type failpoints struct {
	listener net.Listener

	mu    sync.Mutex
	armed map[place]chan waitingProcess
}

// place is a point in one of the programs.
type place struct {
	program string
	point   string
}

// at returns a place with the name that the processes use.
func at(program string, point failpoint.Point, doing string) place {
	return place{program, fmt.Sprintf("%s: %s", point, doing)}
}

func (p place) String() string { return p.program + " " + p.point }

// waitingProcess is a process that waits at a point.
type waitingProcess struct {
	pid  int
	conn net.Conn
}

// resume lets the process continue. The process may have ended.
func (s waitingProcess) resume() { _ = s.conn.Close() }

func startFailpoints(t *testing.T) *failpoints {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failpoints{listener: listener, armed: make(map[place]chan waitingProcess)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.reached(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return f
}

func (f *failpoints) addr() string { return f.listener.Addr().String() }

func (f *failpoints) reached(conn net.Conn) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	var s waitingProcess
	var program string
	name, point, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " at ")
	if _, scanErr := fmt.Sscanf(name, "%s %d", &program, &s.pid); err != nil || scanErr != nil || !ok {
		_ = conn.Close()
		return
	}
	s.conn = conn
	p := place{program, point}
	f.mu.Lock()
	defer f.mu.Unlock()
	there := f.armed[p]
	delete(f.armed, p)
	if there == nil {
		s.resume()
		return
	}
	there <- s
}

// arm makes the next process that reaches the place wait there. The channel receives the process.
func (f *failpoints) arm(p place) <-chan waitingProcess {
	there := make(chan waitingProcess, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed[p] = there
	return there
}

// disarm lets processes pass the place again, and resumes the one that waits there.
func (f *failpoints) disarm(p place, there <-chan waitingProcess) {
	f.mu.Lock()
	delete(f.armed, p)
	f.mu.Unlock()
	select {
	case s := <-there:
		s.resume()
	default:
	}
}
