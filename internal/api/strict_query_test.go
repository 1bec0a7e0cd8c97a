package api_test

import (
	"net/http"
	"slices"
	"testing"

	"rescind/internal/revocation"
)

// TestQuery_unknownParameters sends unknown parameters to every operation that needs a key. The operation must refuse the
// request and change nothing.
func TestQuery_unknownParameters(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(items(300)...)
	single := w.submit(`{"report_id":301}`, "Prefer", "respond-async").str(t, "id")
	for _, one := range [][2]string{
		{http.MethodPost, "/assessments/invite/revoke"},
		{http.MethodGet, "/revocations"},
		{http.MethodGet, "/revocations/" + single},
		{http.MethodPost, "/jobs"},
		{http.MethodGet, "/jobs"},
		{http.MethodGet, "/jobs/" + job.ID.String()},
		{http.MethodGet, "/jobs/" + job.ID.String() + "/results"},
		{http.MethodGet, "/jobs/" + job.ID.String() + "/events"},
		{http.MethodPost, "/jobs/" + job.ID.String() + "/cancel"},
		{http.MethodPost, "/jobs/" + job.ID.String() + "/retry"},
		{http.MethodGet, "/jobs/" + newID().String()},
	} {
		t.Run(one[0]+" "+one[1], func(t *testing.T) {
			for query, want := range map[string]string{
				"verbose=1": "verbose unknown_field", "verbose": "verbose unknown_field", "verbose=1&verbose=1": "verbose unknown_field",
				"apiKey=" + secret: "apiKey unknown_field", "Prefer=wait": "Prefer unknown_field", "=1": "(other) unknown_field",
				"%22%00=1": "(other) unknown_field", "%zz": "query invalid_format", "a;b": "query invalid_format",
			} {
				a := w.call(one[0], one[1]+"?"+query, `{"report_id":302,"report_ids":[302]}`)
				a.want(t, http.StatusUnprocessableEntity, "invalid")
				if got := faultsOf(t, a); !slices.Contains(got, want) {
					t.Errorf("%s: %v, want %s", query, got, want)
				}
			}
		})
	}
	if got := w.call(http.MethodGet, "/jobs/"+job.ID.String(), "").str(t, "state"); got != string(revocation.JobQueued) {
		t.Errorf("the job is %s", got)
	}
	if got := len(w.call(http.MethodGet, "/jobs", "").json(t)["data"].([]any)); got != 1 {
		t.Errorf("%d jobs", got)
	}
}

// TestQuery_cursors sends each list's cursor to the other lists.
func TestQuery_cursors(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job, other := w.job(items(300, 301)...), w.job(items(302, 303)...)
	lists := []string{"/revocations", "/jobs", "/jobs/" + job.ID.String() + "/results", "/jobs/" + other.ID.String() + "/results"}
	for i, from := range lists {
		cursor := w.call(http.MethodGet, from+"?limit=1", "").str(t, "next_cursor")
		for j, to := range lists {
			a := w.call(http.MethodGet, to+"?cursor="+cursor, "")
			if i == j {
				a.want(t, http.StatusOK, "")
				continue
			}
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if got := faultsOf(t, a); !slices.Equal(got, []string{"cursor invalid_format"}) {
				t.Errorf("%s of %s: %v", to, from, got)
			}
		}
	}
}
