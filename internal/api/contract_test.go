package api_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rescind/internal/api"
)

// TestContract sends valid and invalid requests to every operation of the served document and validates each answer
// against it. It sends requests with at most one invalid property and, where revocations are carried out, then random ones.
func TestContract(t *testing.T) {
	t.Parallel()
	seen := map[string]map[string]bool{} // statuses, by operation
	var c *contract
	for name, held := range map[string]bool{"running queue": false, "held queue": true} {
		t.Run(name, func(t *testing.T) {
			f := newContractWorld(newWorld(t, func(o *api.Options, _ *httptest.Server) {
				o.JobMaxItems = 10
				if held {
					o.SubmitWait = 0
				}
			}))
			if !held {
				f.queue.release()
			}
			c = readContract(t, f.world)
			f.document = c
			for id, op := range c.operations {
				if seen[id] == nil {
					seen[id] = map[string]bool{}
				}
				t.Run(id, func(t *testing.T) { f.tryAll(t, c, op, seen[id], !held) })
			}
		})
	}
	// The requests must have produced these statuses, or the test has tried too little.
	expected := []string{"200", "202", "304", "400", "401", "403", "404", "413", "415", "422"}
	for id, op := range c.operations {
		for status := range op.Responses {
			if slices.Contains(expected, status) && !seen[id][status] {
				t.Errorf("%s: no answer was a %s: %v", id, status, slices.Sorted(maps.Keys(seen[id])))
			}
		}
	}
}

// tryAll tries the variations of an operation, one by one and then at random if random is set, and records the statuses of the
// answers in seen.
func (f *contractWorld) tryAll(t *testing.T, c *contract, op *contractOperation, seen map[string]bool, random bool) {
	variations := f.variations(op)
	for v := range variations {
		for choice := range variations[v].choices {
			chosen := make([]int, len(variations))
			chosen[v] = choice
			status, err := f.try(c, op, variations, chosen)
			if err != nil {
				t.Fatalf("%s, choice %d: %v", variations[v].name, choice, err)
			}
			seen[status] = true
		}
	}
	if !random {
		return
	}
	rapid.Check(t, func(rt *rapid.T) {
		chosen := make([]int, len(variations))
		for v := range variations {
			if rapid.IntRange(0, 2).Draw(rt, "vary "+variations[v].name) == 0 {
				chosen[v] = rapid.IntRange(0, len(variations[v].choices)-1).Draw(rt, variations[v].name)
			}
		}
		if _, err := f.try(c, op, variations, chosen); err != nil {
			rt.Fatal(err)
		}
	})
}

// try sends a request and returns the status of the answer, and an error if the answer violates the document.
func (f *contractWorld) try(c *contract, op *contractOperation, variations []variation, chosen []int) (string, error) {
	r := &contractRequest{header: http.Header{}}
	for v, choice := range chosen {
		variations[v].choices[choice](r)
	}
	address, err := r.address(f.server.URL)
	f.must(err)
	request, err := http.NewRequestWithContext(f.t.Context(), r.method, address.String(), strings.NewReader(r.body))
	f.must(err)
	request.Header = r.header
	response, err := f.server.Client().Do(request)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", r.method, address, err)
	}
	defer response.Body.Close()
	body, err := readAnswer(response)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", r.method, address, err)
	}
	a := answer{response.StatusCode, response.Header, body}
	f.checkEvery(request, a)
	if r.method != op.method && r.method != http.MethodHead {
		if a.status != http.StatusMethodNotAllowed || !slices.Contains(strings.Split(a.header.Get("Allow"), ", "), op.method) {
			err = fmt.Errorf("%d with Allow: %q", a.status, a.header.Get("Allow"))
		} else {
			err = c.fitsSchema(a.body, "Problem")
		}
	} else {
		err = c.validate(op, a, r.method == http.MethodHead)
	}
	if err != nil {
		err = fmt.Errorf("%s %s %.300q %v: %w: %.1000s", r.method, address, r.body, r.header, err, a.body)
	}
	return fmt.Sprint(a.status), err
}

// readAnswer reads a body. Of a stream of events, which may last long, it reads the first one only.
func readAnswer(response *http.Response) (string, error) {
	if response.Header.Get("Content-Type") != "text/event-stream" || response.Request.Method == http.MethodHead {
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	var body strings.Builder
	for lines := bufio.NewReader(response.Body); strings.Count(body.String(), "\n\n") < 2; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("after %q: %w", body.String(), err)
		}
		body.WriteString(line)
	}
	return body.String(), nil
}
