package queue_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
)

func TestPage(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		mux := http.NewServeMux()
		mux.Handle("/queues", queue.Page(r, "/queues"))
		mux.Handle("/queues/", queue.Page(r, "/queues"))
		server := httptest.NewServer(mux)
		defer server.Close()
		call := func(method, path string, headers ...string) (status int, header http.Header, body string) {
			t.Helper()
			request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(headers); i += 2 {
				request.Header.Set(headers[i], headers[i+1])
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response.StatusCode, response.Header, string(text)
		}
		ref := revocation.Ref{Account: "canary", ID: revocation.ID{1}}
		if err := queue.NewClient(r).EnqueueRevocations(t.Context(), 0, []revocation.Ref{ref}); err != nil {
			t.Fatal(err)
		}

		t.Run("the policy lets the page run", func(t *testing.T) {
			for _, path := range []string{"/queues", "/queues/", "/queues/queues/single"} {
				status, header, html := call(http.MethodGet, path)
				policy := header.Get("Content-Security-Policy")
				if status != http.StatusOK || !strings.Contains(html, `id="root"`) {
					t.Errorf("%s: %d %s", path, status, html)
				}
				if !strings.Contains(html, `FLAG_READ_ONLY="true"`) {
					t.Errorf("the page is not read-only: %s", html)
				}
				if !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "http") {
					t.Errorf("%s: policy %s", path, policy)
				}
			}
			_, _, html := call(http.MethodGet, "/queues/")
			scripts := regexp.MustCompile(`<script src="([^"]+)"`).FindAllStringSubmatch(html, -1)
			if len(scripts) == 0 {
				t.Errorf("it has no scripts: %s", html)
			}
			for _, script := range scripts {
				status, header, body := call(http.MethodGet, script[1])
				if status != http.StatusOK || !strings.Contains(header.Get("Content-Type"), "javascript") || len(body) < 1000 {
					t.Errorf("%s: %d %v", script[1], status, header)
				}
			}
		})
		t.Run("it shows tasks without their payloads", func(t *testing.T) {
			status, _, body := call(http.MethodGet, "/queues/api/queues")
			var queues struct {
				Queues []struct {
					Queue   string `json:"queue"`
					Pending int    `json:"pending"`
				} `json:"queues"`
			}
			if err := json.Unmarshal([]byte(body), &queues); err != nil || status != http.StatusOK {
				t.Fatalf("%d %s: %v", status, body, err)
			}
			if len(queues.Queues) != 1 || queues.Queues[0].Queue != "single" || queues.Queues[0].Pending != 1 {
				t.Errorf("%s", body)
			}
			status, _, body = call(http.MethodGet, "/queues/api/queues/single/pending_tasks")
			if status != http.StatusOK || !strings.Contains(body, ref.ID.String()) || strings.Contains(body, "canary") {
				t.Errorf("%d %s", status, body)
			}
		})
		t.Run("it changes nothing", func(t *testing.T) {
			const writes = "/queues/api/queues/single"
			for _, path := range []string{
				writes, writes + ":pause", writes + ":resume",
				writes + "/pending_tasks:delete_all", writes + "/pending_tasks:archive_all", writes + "/pending_tasks:batch_delete",
				writes + "/pending_tasks/" + ref.ID.String(), writes + "/pending_tasks/" + ref.ID.String() + ":archive",
				writes + "/active_tasks:cancel_all", "/queues", "/queues/",
			} {
				for _, method := range []string{
					http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodHead, "BREW",
				} {
					status, header, body := call(method, path)
					if status != http.StatusMethodNotAllowed || header.Get("Allow") != http.MethodGet {
						t.Errorf("%s %s: %d %v %s", method, path, status, header, body)
					}
					for _, override := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
						if status, _, body := call(http.MethodPost, path, override, http.MethodGet); status != http.StatusMethodNotAllowed {
							t.Errorf("POST %s, %s: GET: %d %s", path, override, status, body)
						}
						// A GET stays a GET: what is left of the queue shows that nothing was changed.
						call(http.MethodGet, path, override, method)
					}
					call(http.MethodGet, path+"?_method="+method)
				}
			}
			if n := r.LLen(t.Context(), queue.AsynqKey("single", "pending")).Val(); n != 1 {
				t.Errorf("%d tasks are left of 1", n)
			}
			if n := r.Exists(t.Context(), queue.AsynqKey("single", "paused")).Val(); n != 0 {
				t.Error("the queue is paused")
			}
		})
	})
}
