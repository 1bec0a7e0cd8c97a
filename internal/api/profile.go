package api

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync"
)

// maxProfile is the longest duration of a profile or a trace, in seconds.
const maxProfile = 60

// profiles serves Go's profiles below /debug/pprof/. A profile over a period makes the process slower, so only one such
// profile runs at a time, for at most maxProfile seconds.
func profiles(mux *http.ServeMux) {
	var busy sync.Mutex
	timed := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if sent := r.FormValue("seconds"); sent != "" {
				if seconds, err := strconv.ParseFloat(sent, 64); err != nil || !(seconds > 0 && seconds <= maxProfile) {
					http.Error(w, "seconds must be above 0 and at most 60", http.StatusBadRequest)
					return
				}
			}
			if !busy.TryLock() {
				http.Error(w, "another profile is running; try again when it has ended", http.StatusConflict)
				return
			}
			defer busy.Unlock()
			next(w, r)
		}
	}
	difference := timed(pprof.Index)
	mux.HandleFunc("GET /debug/pprof/", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("seconds") != "" { // the difference between two profiles
			difference(w, r)
			return
		}
		pprof.Index(w, r)
	})
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", timed(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", timed(pprof.Trace))
}
