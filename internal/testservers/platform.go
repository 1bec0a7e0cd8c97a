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

// PlatformCall is a call that a PlatformServer has got.
type PlatformCall struct {
	ReportID int64
	Notify   bool
	Key      string
	// Nth counts the calls for this report, from 1.
	Nth int
	// Revoked tells that this call revoked the invite.
	Revoked bool
	At      time.Time
}

// PlatformFault is what a platform does instead of answering as usual; the zero value is the usual answer.
type PlatformFault struct {
	// Status is the documented status that is answered without anything being done.
	Status string
	// Code is the HTTP code that is answered without anything being done, with Header and Body.
	Code   int
	Header http.Header
	Body   string
	// Delay comes before the answer.
	Delay time.Duration
	// Drop breaks the connection before anything is done, Lose after it.
	Drop bool
	Lose bool
}

// PlatformServer is an upstream that speaks the documented endpoint on a free loopback port: every invite is
// there and can be revoked once. It remembers all calls, and fails as it is told.
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

// Platform starts one that takes the key, and ends it with the test.
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

// URL is the base URL.
func (p *PlatformServer) URL() string { return p.server.URL + "/api" }

// SetKey changes the key that is taken.
func (p *PlatformServer) SetKey(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = key
}

// RecordOutcomes has fault decide about each call from now on; nil: none fails.
func (p *PlatformServer) RecordOutcomes(fault func(PlatformCall) PlatformFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// Calls are all calls so far, in the order in which they came.
func (p *PlatformServer) Calls() []PlatformCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Revoked is how often each invite was revoked in effect: at most once, unless somebody else is to blame.
func (p *PlatformServer) Revoked() map[int64]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.revoked)
}

// MostAtOnce is how many calls were under way at once at most.
func (p *PlatformServer) MostAtOnce() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// ServeHTTP is the documented endpoint.
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
