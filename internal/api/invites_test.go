package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

const inviteHeader = "report_id,candidate_name,candidate_email,assessment_name,sent_at,assessment_id,language,state\n"

// found returns the reports of a page of invites and its cursor.
func found(t *testing.T, a answer) (reports []int64, next string) {
	t.Helper()
	a.want(t, http.StatusOK, "")
	var page struct {
		Data []struct {
			ReportID int64 `json:"report_id"`
		}
		Next *string `json:"next_cursor"`
	}
	a.into(t, &page)
	for _, invite := range page.Data {
		reports = append(reports, invite.ReportID)
	}
	if page.Next != nil {
		next = *page.Next
	}
	return reports, next
}

func (w *world) search(body string) answer {
	return w.call(http.MethodPost, "/invites/search", body)
}

func (w *world) importInvites(t *testing.T) {
	t.Helper()
	rows := inviteHeader +
		"5001,Ada Lovelace,Ada@One.example,Backend,2026-02-01T10:00:00Z,be-1,EN-us,started\n" +
		"5002,ADA BYRON,countess@two.example,Frontend,2026-02-02T10:00:00Z,,,\n" +
		"5003,Grace,adam@three.example,backend,2026-02-03T10:00:00Z,be-1,de,\n"
	a := w.call(http.MethodPut, "/invites", rows, "Content-Type", "", "Content-Type", "text/csv")
	a.want(t, http.StatusOK, "")
	if a.body != `{"read":3,"written":3,"errors":[]}` {
		t.Fatal(a.body)
	}
}

func TestInvites_search(t *testing.T) {
	w := newWorld(t)
	w.importInvites(t)
	for name, c := range map[string]struct {
		body string
		want []int64
	}{
		"address":    {`{"candidate_email":"ADA@one.EXAMPLE"}`, []int64{5001}},
		"beginning":  {`{"q":"ada","sent_after":"2026-02-01T00:00:00Z"}`, []int64{5002, 5001, 5003}},
		"assessment": {`{"assessment_name":"BACKEND","state":null}`, []int64{5003, 5001}},
		"all": {
			`{"q":"ada","candidate_email":"ada@one.example","assessment_id":"be-1","assessment_name":"backend","revoked":false,"state":"STARTED,COMPLETED","sent_after":"2026-02-01T10:00:00Z","sent_before":"2026-02-02T00:00:00Z","limit":5,"cursor":null}`,
			[]int64{5001},
		},
		"white space": {
			`{"q":" ada\u00a0","candidate_email":" ada@one.example ","assessment_id":" be-1 ","assessment_name":"\tBackend "}`, []int64{5001},
		},
		"nobody":            {`{"candidate_email":"nobody@one.example"}`, nil},
		"a byte order mark": {"\ufeff" + `{"candidate_email":"ada@one.example"}`, []int64{5001}},
	} {
		t.Run(name, func(t *testing.T) {
			got, next := found(t, w.search(c.body))
			if diff := cmp.Diff(c.want, got); diff != "" || next != "" {
				t.Errorf("next %q (-want +got):\n%s", next, diff)
			}
		})
	}
	t.Run("in the query", func(t *testing.T) {
		got, _ := found(t, w.call(http.MethodGet, "/invites?assessment_name=backend&revoked=false&state=STARTED&sent_after=2026-02-01T10:00:00Z&sent_before=&limit=9", ""))
		if diff := cmp.Diff([]int64{5001}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("pages", func(t *testing.T) {
		var all []int64
		cursor := ""
		for {
			page, next := found(t, w.search(fmt.Sprintf(`{"q":"ada","sent_after":"2026-02-01T00:00:00Z","limit":1,"cursor":%q}`, cursor)))
			all = append(all, page...)
			if strings.Contains(strings.ToLower(next), "ada") {
				t.Errorf("a cursor holds a name: %s", next)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff([]int64{5002, 5001, 5003}, all); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("one", func(t *testing.T) {
		a := w.call(http.MethodGet, "/invites/5001", "")
		want := `{"report_id":5001,"candidate_name":"Ada Lovelace","candidate_email":"Ada@One.example","assessment_id":"be-1","assessment_name":"Backend","language":"en-US","state":"STARTED","sent_at":"2026-02-01T10:00:00.000Z","revoked_at":null,"predicted":"REVOKED","revocation_id":null}`
		if a.status != http.StatusOK || a.body != want {
			t.Errorf("%d %s", a.status, a.body)
		}
		id := w.submit(`{"report_id":5001}`).str(t, "id")
		if a = w.call(http.MethodGet, "/invites/5001", ""); a.str(t, "revocation_id") != id || a.str(t, "predicted") != "ALREADY_REVOKED" {
			t.Error(a.body)
		}
		for _, path := range []string{"/invites/5999", "/invites/0", "/invites/+5001", "/invites/05001", "/invites/x", "/invites/9223372036854775808"} {
			w.call(http.MethodGet, path, "").want(t, http.StatusNotFound, "not_found")
		}
	})
}

func TestInvites_faults(t *testing.T) {
	w := newWorld(t)
	_, cursor := found(t, w.call(http.MethodGet, "/invites?limit=1", ""))
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"short":            {`{"q":"a"}`, []string{"q out_of_range"}},
		"short, trimmed":   {`{"q":" a "}`, []string{"q out_of_range"}},
		"white space":      {`{"q":"  ","candidate_email":" ","assessment_name":"\t"}`, []string{"assessment_name out_of_range", "candidate_email out_of_range", "q out_of_range"}},
		"types":            {`{"q":1,"limit":"5","revoked":"true","state":["STARTED"]}`, []string{"q wrong_type", "limit wrong_type", "revoked wrong_type", "state wrong_type"}},
		"unknown":          {`{"email":"ada@example.com","x y":1}`, []string{"email unknown_field", "(other) unknown_field"}},
		"twice":            {`{"q":"ada","q":"bob"}`, []string{"q duplicate_field"}},
		"NUL":              {`{"q":"ada\u0000"}`, []string{"q invalid_characters"}},
		"long":             {`{"candidate_email":"` + strings.Repeat("a", 501) + `"}`, []string{"candidate_email too_long"}},
		"state":            {`{"state":"DONE"}`, []string{"state unknown_value"}},
		"time":             {`{"sent_after":"yesterday"}`, []string{"sent_after invalid_format"}},
		"limit":            {`{"limit":1001}`, []string{"limit out_of_range"}},
		"cursor":           {`{"cursor":"AAAA"}`, []string{"cursor invalid_format"}},
		"cursor elsewhere": {`{"q":"ada","cursor":"` + cursor + `"}`, []string{"cursor invalid_format"}},
		"no object":        {`[]`, []string{"body wrong_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.search(c.body)
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff(c.want, faultsOf(t, a)); diff != "" {
				t.Error(diff)
			}
		})
	}
	w.search(`{"q":`).want(t, http.StatusBadRequest, "malformed_json")
	w.search(` `).want(t, http.StatusBadRequest, "malformed_json")
	for _, query := range []string{"candidate_email=ada@example.com", "q=ada"} {
		a := w.call(http.MethodGet, "/invites?"+query, "")
		a.want(t, http.StatusUnprocessableEntity, "invalid")
		if !strings.Contains(a.body, "Use POST /invites/search") || strings.Contains(a.body, "ada") {
			t.Error(a.body)
		}
	}
	url := "https://upstream.example"
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")}}))
	w.call(http.MethodGet, "/invites", "").want(t, http.StatusUnprocessableEntity, "not_supported")
	w.search(`{"q":"ada"}`).want(t, http.StatusUnprocessableEntity, "not_supported")
	w.call(http.MethodGet, "/invites/318", "").want(t, http.StatusUnprocessableEntity, "not_supported")
	w.call(http.MethodPut, "/invites", inviteHeader, "Content-Type", "", "Content-Type", "text/csv").want(t, http.StatusUnprocessableEntity, "not_supported")
}

func TestInvites_tenants(t *testing.T) {
	w := newWorld(t)
	as := []string{"apiKey", "", "apiKey", otherSecret}
	for _, body := range []string{`{"candidate_email":"ada@example.com"}`, `{"q":"ada"}`, `{}`} {
		if got, _ := found(t, w.call(http.MethodPost, "/invites/search", body, as...)); len(got) != 1 || got[0] != 9000 {
			t.Errorf("%s finds %v", body, got)
		}
	}
	row := inviteHeader + "318,Eve,eve@example.com,Go,2026-02-01T10:00:00Z,,,\n"
	w.call(http.MethodPut, "/invites", row, append(as, "Content-Type", "", "Content-Type", "text/csv")...).want(t, http.StatusOK, "")
	if a := w.call(http.MethodGet, "/invites/318", ""); a.str(t, "candidate_name") != "Ada" {
		t.Error(a.body)
	}
	w.addKey("acme", "rescind_reads-and-revokes", time.Time{}, revocation.ScopeRead, revocation.ScopeRevoke)
	w.addKey("acme", "rescind_invites-only", time.Time{}, revocation.ScopeInvites)
	for _, key := range []string{"rescind_reads-and-revokes", "rescind_invites-only"} {
		w.call(http.MethodPut, "/invites", row, "apiKey", "", "apiKey", key, "Content-Type", "", "Content-Type", "text/csv").want(t, http.StatusForbidden, "missing_scope")
	}
}

func TestInvites_forget(t *testing.T) {
	w := newWorld(t)
	w.call(http.MethodDelete, "/invites/318", "", "apiKey", "", "apiKey", otherSecret).want(t, http.StatusNotFound, "not_found")
	for range 2 {
		w.call(http.MethodDelete, "/invites/9000", "", "apiKey", "", "apiKey", otherSecret).want(t, http.StatusNoContent, "")
	}
	if a := w.call(http.MethodGet, "/invites/9000", "", "apiKey", "", "apiKey", otherSecret); strings.Contains(strings.ToLower(a.body), "ada") {
		t.Error(a.body)
	}
	a := w.call(http.MethodGet, "/events?type=invites.forgotten", "", "apiKey", "", "apiKey", otherSecret)
	if a.want(t, http.StatusOK, ""); strings.Count(a.body, `"type":"invites.forgotten"`) != 1 {
		t.Error(a.body)
	}
}

func TestInvites_import(t *testing.T) {
	w := newWorld(t)
	put := func(path, media, body string, headers ...string) answer {
		return w.call(http.MethodPut, path, body, append([]string{"Content-Type", "", "Content-Type", media}, headers...)...)
	}
	t.Run("bad rows are named and the others written", func(t *testing.T) {
		rows := inviteHeader + "6001,Ada,ada@example.com,Go,2026-02-01 10:00:00,,,\n" + "6002,Ada,secret,Go,2026-02-01T10:00:00Z,,,\n"
		a := put("/invites?timezone=Europe/Berlin", "text/csv", rows)
		a.want(t, http.StatusOK, "")
		want := `{"read":2,"written":1,"errors":[{"row":2,"code":"invalid_format","detail":"Line 3: candidate_email: not an email address."}]}`
		if a.body != want {
			t.Error(a.body)
		}
		if a = w.call(http.MethodGet, "/invites/6001", ""); a.str(t, "sent_at") != "2026-02-01T09:00:00.000Z" {
			t.Error(a.body)
		}
	})
	t.Run("no row at all", func(t *testing.T) {
		a := put("/invites", "text/csv", inviteHeader+"6003,Ada,secret,Go,2026-02-01 10:00:00,,,\n")
		a.want(t, http.StatusUnprocessableEntity, "invalid")
		if !strings.Contains(a.body, "Line 2: candidate_email") || strings.Contains(a.body, "secret") {
			t.Error(a.body)
		}
		for content, want := range map[string]string{
			`[{"report_id":1}]`:                "This is JSON. Send one object on each line, with Content-Type: application/x-ndjson.",
			"\x1f\x8b\x08\x00\x00\x00\x00\x00": "This is a file packed by gzip. Send it with Content-Encoding: gzip.",
		} {
			a := put("/invites", "text/csv", content)
			if a.want(t, http.StatusUnprocessableEntity, "invalid"); !strings.Contains(a.body, want) {
				t.Error(a.body)
			}
		}
		a = w.upload("text/csv", "", "[318]")
		if a.want(t, http.StatusUnprocessableEntity, "invalid"); !strings.Contains(a.body, "This is JSON. Send it with Content-Type: application/json or application/x-ndjson.") {
			t.Error(a.body)
		}
		put("/invites", "text/csv", inviteHeader).want(t, http.StatusUnprocessableEntity, "invalid")
		put("/invites", "text/csv", "report_id\n1\n").want(t, http.StatusUnprocessableEntity, "invalid")
		put("/invites?timezone=Nowhere", "text/csv", inviteHeader).want(t, http.StatusUnprocessableEntity, "invalid")
		put("/invites", "application/json", "{}").want(t, http.StatusUnsupportedMediaType, "unsupported_media_type")
	})
	t.Run("lines of JSON", func(t *testing.T) {
		a := put("/invites", "application/x-ndjson", `{"report_id":6004,"candidate_name":"A\nB","candidate_email":"ada@example.com","assessment_name":"Go","sent_at":"2026-02-01T10:00:00Z"}`+"\n"+
			`{"report_id":"6005","candidate_name":"","candidate_email":"ada@example.com","assessment_name":"","sent_at":"2026-02-01T10:00:00Z"}`+"\n[]\n{\n"+
			`{"report_id":6006}`+"\n")
		if a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"read":5,"written":1,`) || strings.Count(a.body, `"row"`) != 4 {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a = w.call(http.MethodGet, "/invites/6004", ""); a.str(t, "candidate_name") != "A B" {
			t.Error(a.body)
		}
	})
	t.Run("compressed, and recognised by its content", func(t *testing.T) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(strings.ReplaceAll(inviteHeader, ",", ";")))
		w.must(err)
		for id := range 12_000 {
			_, err := fmt.Fprintf(z, "%d;Ada %d;ada%d@example.com;Go;2026-02-01T10:00:00Z;;;\n", 100_000+id, id, id)
			w.must(err)
		}
		w.must(z.Close())
		a := put("/invites", "application/octet-stream", b.String(), "Content-Encoding", "gzip")
		if a.status != http.StatusOK || a.body != `{"read":12000,"written":12000,"errors":[]}` {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// endingStore is a store whose database is away after some imports of a batch.
type endingStore struct {
	revocation.InviteStore
	left atomic.Int32
}

func (s *endingStore) UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error {
	if len(invites) > 0 && s.left.Add(-1) < 0 {
		return &revocation.Error{Code: revocation.CodeUnavailable}
	}
	return s.InviteStore.UpsertInvites(ctx, account, invites)
}

func TestInvites_importEndsEarly(t *testing.T) {
	for batches, want := range map[int32]string{0: "Nothing was accepted.", 1: "A part of the invites is written."} {
		w := newWorld(t, func(o *api.Options, _ *httptest.Server) {
			s := &endingStore{InviteStore: o.Invites}
			s.left.Store(batches)
			o.Invites = s
		})
		var body strings.Builder
		body.WriteString(inviteHeader)
		for id := range 15_000 {
			fmt.Fprintf(&body, "%d,Ada,ada@example.com,Go,2026-02-01T10:00:00Z,,,\n", 100_000+id)
		}
		a := w.call(http.MethodPut, "/invites", body.String(), "Content-Type", "", "Content-Type", "text/csv")
		a.want(t, http.StatusServiceUnavailable, "unavailable")
		if !strings.Contains(a.body, want) {
			t.Error(a.body)
		}
		written := strings.Contains(w.call(http.MethodGet, "/invites/100000", "").body, "Ada")
		if written != (batches > 0) {
			t.Errorf("written: %t", written)
		}
	}
}
