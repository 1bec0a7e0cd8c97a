package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"rescind/internal/api"
)

func TestAdmin_profiles(t *testing.T) {
	admin := httptest.NewServer(api.Admin(api.NewHealth(), http.NotFoundHandler()))
	defer admin.Close()
	for _, path := range []string{"profile", "trace", "heap", "goroutine"} {
		for _, seconds := range []string{"61", "3600", "1e9", "60.5", "-1", "0", "x", "NaN", "Inf", "0x7fffffff"} {
			if status, body, _ := fetch(t, admin.URL+"/debug/pprof/"+path+"?seconds="+seconds); status != http.StatusBadRequest {
				t.Errorf("%s of %s seconds: %d %s", path, seconds, status, body)
			}
		}
	}
	t.Run("one at a time", func(t *testing.T) {
		// The trace ends with its request. The longest allowed duration must not be refused.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin.URL+"/debug/pprof/trace?seconds=60", nil)
		if err != nil {
			t.Fatal(err)
		}
		first, err := http.DefaultClient.Do(r) // a trace begins with its header
		if err != nil {
			t.Fatal(err)
		}
		if first.StatusCode != http.StatusOK {
			t.Fatal(first.Status)
		}
		for _, path := range []string{"trace?seconds=1", "profile?seconds=1", "profile", "heap?seconds=1"} {
			if status, body, _ := fetch(t, admin.URL+"/debug/pprof/"+path); status != http.StatusConflict {
				t.Errorf("%s beside a trace: %d %s", path, status, body)
			}
		}
		if status, body, _ := fetch(t, admin.URL+"/debug/pprof/heap?debug=1"); status != http.StatusOK {
			t.Errorf("a profile that takes no time: %d %s", status, body)
		}
		if err := first.Body.Close(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			status, body, _ := fetch(t, admin.URL+"/debug/pprof/trace?seconds=0.1")
			if status == http.StatusOK {
				break
			}
			if status != http.StatusConflict || time.Now().After(deadline) {
				t.Fatalf("after a trace: %d %s", status, body)
			}
		}
	})
}
