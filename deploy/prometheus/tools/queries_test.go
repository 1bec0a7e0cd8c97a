// Package tools_test has Prometheus itself read the queries that are not in its own files: the dashboard's, and those
// that workers are scaled by. Rules are promtool's matter. It is a module of its own, so that none of this is the
// service's.
package tools_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func check(t *testing.T, where, query string) {
	t.Helper()
	// Grafana puts in a length that suits the scrapes.
	query = strings.ReplaceAll(query, "$__rate_interval", "1m")
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(query); err != nil {
		t.Errorf("%s: %v in %s", where, err, query)
	}
}

func TestDashboard(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana", "dashboards", "rescind.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries++
			check(t, panel.Title, target.Expr)
		}
	}
	if queries == 0 {
		t.Error("the dashboard asks nothing")
	}
}

func TestScaling(t *testing.T) {
	scaling := read(t, "kubernetes", "overlays", "production", "worker-scaling.yaml")
	queries := regexp.MustCompile(`(?m)^ +query: (.+)$`).FindAllStringSubmatch(scaling, -1)
	if len(queries) == 0 {
		t.Error("workers are scaled by nothing")
	}
	for _, query := range queries {
		check(t, "worker-scaling.yaml", query[1])
	}
}
