package api

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"rescind/internal/revocation"
)

// watchedBody is a body that fails the test when it is waited for with a slot.
type watchedBody struct {
	t    *testing.T
	slot *cpuSlot
	io.Reader
}

func (b watchedBody) Read(p []byte) (int, error) {
	if b.slot.held || len(b.slot.all) != 0 {
		b.t.Error("the caller is waited for with a slot")
	}
	return b.Reader.Read(p)
}

func (b watchedBody) Close() error { return nil }

// CPUSlots returns the channel with an element for each cpuSlot that is held.
func (a *API) CPUSlots() chan struct{} { return a.cpuSlots }

func uploadOf(t *testing.T, packed bool, content string) *upload {
	t.Helper()
	slot := &cpuSlot{all: make(chan struct{}, 1)}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/jobs", watchedBody{t, slot, strings.NewReader(content)})
	x := &requestContext{Context: echo.New().NewContext(r, httptest.NewRecorder())}
	return newUpload(x, slot, packed, 64<<20, nil)
}

func packedText(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestUpload_cpuSlot parses with a slot, and waits for the caller without.
func TestUpload_cpuSlot(t *testing.T) {
	for name, c := range map[string]struct {
		media, content string
		packed         bool
	}{
		"CSV":         {mediaCSV, "report_id\n1\n2\n", false},
		"NDJSON":      {mediaNDJSON, "{\"report_id\":1}\n", false},
		"JSON":        {mediaJSON, `{"report_ids":[1,2]}`, false},
		"packed":      {mediaCSV, packedText(t, "report_id\n1\n2\n"), true},
		"a workbook":  {mediaXLSX, workbook(t), false},
		"a form":      {mediaForm, "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nreport_id\n1\n\r\n--x--\r\n", false},
		"a large one": {mediaCSV, "report_id\n" + strings.Repeat("1\n", 200_000), false},
	} {
		t.Run(name, func(t *testing.T) {
			u := uploadOf(t, c.packed, c.content)
			request := jobRequest{media: c.media, boundary: "x", key: &revocation.APIKey{}}
			list, err := request.open(u)
			if err != nil {
				t.Fatal(err)
			}
			items := 0
			if _, _, err := request.readItems(list, u.wire.slot.yield, func(revocation.Item) error {
				if items++; !u.wire.slot.held || len(u.wire.slot.all) != 1 {
					return errors.New("an item is read without a slot")
				}
				return nil
			}); err != nil || items == 0 {
				t.Errorf("%d items: %v", items, err)
			}
		})
	}
}

// TestUpload_yields has another upload get the only slot while one parses what came at once.
func TestUpload_yields(t *testing.T) {
	t.Run("while it unpacks", func(t *testing.T) {
		u := uploadOf(t, true, packedText(t, "report_id\n"+strings.Repeat("1\n", 1_000_000)))
		var passed atomic.Bool
		meanwhile := false
		request := jobRequest{media: mediaCSV}
		_, _, err := request.readItems(u, u.wire.slot.yield, func(revocation.Item) error {
			if u.items++; u.items == 1 {
				go func() {
					other := &cpuSlot{all: u.wire.slot.all}
					other.acquire()
					passed.Store(true)
					other.release()
				}()
			}
			if u.items%1000 == 0 {
				runtime.Gosched()
			}
			if u.items == 900_000 {
				meanwhile = passed.Load()
			}
			return nil
		})
		if err != nil || !meanwhile {
			t.Errorf("another upload had a slot: %v; %v", meanwhile, err)
		}
	})
	t.Run("while it reads a workbook", func(t *testing.T) {
		u := uploadOf(t, false, workbook(t))
		yields := 0
		request := jobRequest{media: mediaXLSX}
		_, _, err := request.readItems(u, func() { yields++ }, func(revocation.Item) error { return nil })
		if err != nil || yields < 5 {
			t.Errorf("%d yields: %v", yields, err)
		}
	})
}

func workbook(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "rows", "testdata", "files", "openpyxl.xlsx"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
