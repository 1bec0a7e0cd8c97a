package api

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

func TestNewServer(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	t.Run("has limits against slow clients that leave room for the longest wait", func(t *testing.T) {
		s := NewServer("127.0.0.1:1", http.NotFoundHandler(), log)
		if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= s.ReadHeaderTimeout || s.IdleTimeout <= 0 || s.WriteTimeout <= s.ReadTimeout+maxWait {
			t.Errorf("%+v", s)
		}
		if s.Addr != "127.0.0.1:1" || s.ErrorLog == nil {
			t.Errorf("%+v", s)
		}
	})
	t.Run("closes idle connections", func(t *testing.T) {
		server := httptest.NewUnstartedServer(nil)
		server.Config = NewServer("", newTestAPI(), log)
		server.Config.IdleTimeout = 20 * time.Millisecond // instead of two minutes
		server.Start()
		defer server.Close()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
			t.Errorf("%v: %s", err, answer)
		}
	})
	t.Run("refuses large headers", func(t *testing.T) {
		server := httptest.NewUnstartedServer(nil)
		server.Config = NewServer("", newTestAPI(), log)
		server.Start()
		defer server.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Filler", strings.Repeat("x", 40<<10))
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Error(response.Status)
		}
	})
}

func TestMiddleware_abortsIncompleteResponses(t *testing.T) {
	a := newTestAPI()
	a.echo.GET("/broken", func(c echo.Context) error {
		if _, err := io.WriteString(c.Response(), "half of "); err != nil {
			return err
		}
		c.Response().Flush()
		panic("a bug")
	})
	server := httptest.NewServer(a)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/broken", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("%q: the connection was not aborted", body)
	}
}
