package testservers

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// PlatformCall is a call that a PlatformServer has received.
type PlatformCall struct {
	ReportID int64
	Notify   bool
	Key      string
	// Nth is the number of the call for this report, from 1.
	Nth int
	// Revoked reports that this call revoked the invite.
	Revoked bool
	At      time.Time
}

// PlatformFault is what a platform does instead of answering as usual. The zero value is the usual answer.
type PlatformFault struct {
	// Status is the documented status to answer. The call has no effect.
	Status string
	// Code is the HTTP code to answer, with Header and Body. The call has no effect.
	Code   int
	Header http.Header
	Body   string
	// Delay is the time to wait before the answer.
	Delay time.Duration
	// Drop breaks the connection before the call has an effect, Lose after it.
	Drop bool
	Lose bool
}

// PlatformServer is an upstream with the documented endpoint on a free loopback port. Every invite exists and can be revoked
// once. The server records all calls, and fails as a test prescribes.
type PlatformServer struct {
	server *httptest.Server

	mu      sync.Mutex
	key     string
	fault   func(PlatformCall) PlatformFault
	calls   []PlatformCall
	nth     map[int64]int
	revoked map[int64]int
	now     int
	most    int
}

// Platform starts a PlatformServer that accepts the key. It is closed when the test ends.
func Platform(t testing.TB, key string) *PlatformServer {
	t.Helper()
	p := &PlatformServer{key: key, nth: make(map[int64]int), revoked: make(map[int64]int)}
	p.server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// URL returns the base URL.
func (p *PlatformServer) URL() string { return p.server.URL + "/api" }

// SetKey changes the key that the server accepts.
func (p *PlatformServer) SetKey(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = key
}

// SetFault sets the function that returns the fault of each call from now on. With nil no call fails.
func (p *PlatformServer) SetFault(fault func(PlatformCall) PlatformFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// Calls returns all calls so far in the order of their arrival.
func (p *PlatformServer) Calls() []PlatformCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Revoked returns how often each invite was revoked. A correct PlatformServer revokes each at most once.
func (p *PlatformServer) Revoked() map[int64]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.revoked)
}

// MostAtOnce returns the highest number of concurrent calls so far.
func (p *PlatformServer) MostAtOnce() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// ServeHTTP serves the documented endpoint.
func (p *PlatformServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ReportID int64 `json:"report_id"`
		Notify   bool  `json:"notify_candidate"`
	}
	if r.Method != http.MethodPost || r.URL.Path != "/api/assessments/invite/revoke" {
		http.NotFound(w, r)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	call, fault, allowed := p.begin(PlatformCall{
		ReportID: body.ReportID, Notify: body.Notify, Key: r.Header.Get("apiKey"), At: time.Now(),
	})
	defer p.end()
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
		}
	}
	switch {
	case fault.Drop:
		panic(http.ErrAbortHandler)
	case fault.Code != 0:
		maps.Copy(w.Header(), fault.Header)
		w.WriteHeader(fault.Code)
		_, _ = w.Write([]byte(fault.Body))
	case fault.Status != "":
		answerPlatform(w, fault.Status)
	case !allowed:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		status := p.revoke(call)
		if fault.Lose {
			panic(http.ErrAbortHandler)
		}
		answerPlatform(w, status)
	}
}

func answerPlatform(w http.ResponseWriter, status string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"status": %q, "message": "as documented"}`, status)
}

func (p *PlatformServer) begin(call PlatformCall) (begun PlatformCall, fault PlatformFault, allowed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	p.most = max(p.most, p.now)
	p.nth[call.ReportID]++
	call.Nth = p.nth[call.ReportID]
	p.calls = append(p.calls, call)
	if p.fault != nil {
		fault = p.fault(call)
	}
	return call, fault, call.Key == p.key
}

func (p *PlatformServer) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
}

func (p *PlatformServer) revoke(call PlatformCall) (status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revoked[call.ReportID] > 0 {
		return "ALREADY_REVOKED"
	}
	p.revoked[call.ReportID]++
	for i := range p.calls {
		if p.calls[i].ReportID == call.ReportID && p.calls[i].Nth == call.Nth {
			p.calls[i].Revoked = true
		}
	}
	return "REVOKED"
}
