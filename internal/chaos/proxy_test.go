package chaos_test

import (
	"net"
	"sync"
	"testing"
)

// proxy forwards connections between one process and one server, so that their connection can fail while both are up.
type proxy struct {
	listener net.Listener
	target   string
	// requests and answers can be held. Holding both is a black hole.
	requests gate
	answers  gate
	// rewrite, if not nil, returns the bytes that the client reads instead of an answer.
	rewrite func([]byte) []byte

	mu      sync.Mutex
	refuses bool
	links   map[*link]bool
}

// link is one connection through a proxy.
type link struct {
	client, server net.Conn
	done           chan struct{}
	once           sync.Once
}

func startProxy(t *testing.T, target string, rewrite func([]byte) []byte) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, rewrite: rewrite, links: make(map[*link]bool)}
	p.requests.release()
	p.answers.release()
	var serving sync.WaitGroup
	serving.Go(func() { p.serve(&serving) })
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		serving.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// refuse makes the proxy reset new connections, or accept them again.
func (p *proxy) refuse(refuses bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = refuses
}

func (p *proxy) serve(serving *sync.WaitGroup) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			if l := p.connect(client); l != nil {
				serving.Go(func() { l.pump(l.server, l.client, &p.requests, nil) })
				l.pump(l.client, l.server, &p.answers, p.rewrite)
				p.mu.Lock()
				delete(p.links, l)
				p.mu.Unlock()
			}
		})
	}
}

func (p *proxy) connect(client net.Conn) *link {
	server, err := net.Dial("tcp", p.target)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		reset(client)
		return nil
	}
	l := &link{client: client, server: server, done: make(chan struct{})}
	if p.refuses {
		l.close()
		return nil
	}
	p.links[l] = true
	return l
}

// pump forwards what it reads when the gate is open.
func (l *link) pump(to, from net.Conn, g *gate, rewrite func([]byte) []byte) {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !g.pass(l.done) {
				return
			}
			read := buffer[:n]
			if rewrite != nil {
				read = rewrite(read)
			}
			if _, err := to.Write(read); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		reset(l.client)
		reset(l.server)
	})
}

// reset closes a connection with RST, so that the other side sees a failure and not a normal close.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// gate lets its users pass, or holds them until it is released.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while the gate is open
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		g.open = make(chan struct{})
	default:
	}
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

func (g *gate) pass(done <-chan struct{}) bool {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return true
	case <-done:
		return false
	}
}
