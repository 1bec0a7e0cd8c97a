package api

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 5 * time.Second
	// readTimeout is for a request's header and body. It does not end a wait, because net/http clears the deadline when it
	// has read the body.
	readTimeout = 15 * time.Second
	// writeTimeout is long enough for a slow body, the longest wait, and the response.
	writeTimeout   = readTimeout + maxWait + 15*time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// NewServer returns a server for the handler, with timeouts for slow clients and a limit of 32 KiB for headers. It logs
// its errors to log at level Warn.
func NewServer(addr string, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Addr: addr, Handler: handler,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		// The handler serves OPTIONS *, with the headers that every response has.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
