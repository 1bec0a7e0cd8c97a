package api

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 5 * time.Second
	// readTimeout is for a request's header and body; net/http lifts it when the body has been read, so that
	// it does not end a wait.
	readTimeout = 15 * time.Second
	// writeTimeout holds a body that came slowly, the longest wait, and the answer.
	writeTimeout   = readTimeout + maxWait + 15*time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// NewServer makes a server for either handler of this package, with limits against clients that are slow or
// send too much. Its own complaints go to log.
func NewServer(addr string, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Addr: addr, Handler: handler,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		// The handler answers it, with the headers that every answer has.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
