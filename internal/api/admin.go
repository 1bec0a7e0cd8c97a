package api

import "net/http"

// Admin returns the handler for the operators' address: /healthz, /readyz, /metrics and /debug/pprof/. It requires no
// key, so that address must not be public. The caller may add pages to the mux, and must wrap it in ForOperators.
func Admin(health *Health, metrics http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		setAdminHeaders(w, http.StatusOK, mediaJSON, jsonOf(livenessBody{StateOK}))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, media, body := health.answer()
		setAdminHeaders(w, status, media, body)
	})
	mux.Handle("GET /metrics", metrics)
	profiles(mux)
	return mux
}

func setAdminHeaders(w http.ResponseWriter, status int, media string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
