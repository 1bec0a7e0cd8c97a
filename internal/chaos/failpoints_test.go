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

// failpoints decides what becomes of the processes at their points. Whoever reaches one goes on at once, but for the
// first that reaches one that is armed: it stands there.
type failpoints struct {
	listener net.Listener

	mu    sync.Mutex
	armed map[place]chan standing
}

// place is a point of the processes of one kind.
type place struct {
	program string
	point   string
}

// at names a place as the processes do.
func at(program string, point failpoint.Point, doing string) place {
	return place{program, fmt.Sprintf("%s: %s", point, doing)}
}

func (p place) String() string { return p.program + " " + p.point }

// standing is a process at a point.
type standing struct {
	pid  int
	conn net.Conn
}

// goOn lets it go on. It may have ended.
func (s standing) goOn() { _ = s.conn.Close() }

func startFailpoints(t *testing.T) *failpoints {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failpoints{listener: listener, armed: make(map[place]chan standing)}
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
	var s standing
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
		s.goOn()
		return
	}
	there <- s
}

// arm has the next process that reaches the place stand there, and gives it.
func (f *failpoints) arm(p place) <-chan standing {
	there := make(chan standing, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed[p] = there
	return there
}

// disarm has nobody stand there any more, and lets go whoever does.
func (f *failpoints) disarm(p place, there <-chan standing) {
	f.mu.Lock()
	delete(f.armed, p)
	f.mu.Unlock()
	select {
	case s := <-there:
		s.goOn()
	default:
	}
}
