package api_test

import (
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestUploads_waitForSlots takes all slots, as uploads that parse do. Other uploads wait for them, and other requests do not.
func TestUploads_waitForSlots(t *testing.T) {
	w := newWorld(t)
	slots := w.api.CPUSlots()
	if cap(slots) != runtime.GOMAXPROCS(0) {
		t.Errorf("%d slots, want one for each of %d processors", cap(slots), runtime.GOMAXPROCS(0))
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	release := sync.OnceFunc(func() {
		for range cap(slots) {
			<-slots
		}
	})
	defer release() // otherwise the server waits for the uploads forever
	begun := w.notice(afterBegin)
	statuses := make(chan int, 2)
	go func() { statuses <- w.upload(asCSV, "", manyRows(3)).status }()
	<-begun
	go func() {
		statuses <- w.call(http.MethodPut, "/invites", "report_id,candidate_name,candidate_email,assessment_name,sent_at\n"+
			"7001,Ada,ada@acme.example,Go,2026-01-01T00:00:00Z\n", "Content-Type", "", "Content-Type", asCSV).status
	}()
	w.submit(`{"report_id":318}`).want(t, http.StatusOK, "")
	select {
	case status := <-statuses:
		t.Fatalf("an upload was answered without a slot: %d", status)
	case <-time.After(200 * time.Millisecond):
	}
	release()
	got := map[int]bool{<-statuses: true, <-statuses: true}
	if !got[http.StatusAccepted] || !got[http.StatusOK] {
		t.Errorf("answered with %v, want 200 and 202", got)
	}
	if len(slots) != 0 {
		t.Errorf("%d slots are still held", len(slots))
	}
}
