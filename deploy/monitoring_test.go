package deploy_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Record, Alert, Expr string
			Labels, Annotations map[string]string
		}
	}
}

func TestMetrics(t *testing.T) {
	told := expose(t)
	t.Run("alerts", func(t *testing.T) {
		for _, group := range decode[ruleFile](t, "prometheus", "alerts.yml").Groups {
			for _, rule := range group.Rules {
				told.check(t, rule.Alert+rule.Record, rule.Expr)
			}
		}
	})
	t.Run("dashboard", func(t *testing.T) {
		for _, p := range readDashboard(t).Panels {
			for _, target := range p.Targets {
				told.check(t, p.Title, target.Expr)
			}
		}
	})
	t.Run("scaling", func(t *testing.T) {
		triggers := named(t, resources(t, production), "ScaledObject", "worker").Spec.Triggers
		if len(triggers) == 0 {
			t.Error("workers are not scaled by anything")
		}
		for _, trigger := range triggers {
			told.check(t, "worker-scaling.yaml", trigger.Metadata["query"])
		}
	})
}

// Every alert describes the problem and links to what to do about it, and a test shows that it fires.
func TestAlerts(t *testing.T) {
	runbook, tests := read(t, "docs", "runbook.md"), read(t, "prometheus", "alerts_test.yml")
	recorded := make(map[string]bool)
	for _, group := range decode[ruleFile](t, "prometheus", "alerts.yml").Groups {
		for _, rule := range group.Rules {
			for _, name := range regexp.MustCompile(`\brescind:[a-z0-9_:]+`).FindAllString(rule.Expr, -1) {
				if !recorded[name] {
					t.Errorf("%s: %s is not recorded before it", rule.Alert, name)
				}
			}
			if recorded[rule.Record] = true; rule.Alert == "" {
				continue
			}
			if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
				t.Errorf("%s: the severity is %q", rule.Alert, severity)
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s does not say what is wrong", rule.Alert)
			}
			if got, want := rule.Annotations["runbook"], "deploy/docs/runbook.md#"+strings.ToLower(rule.Alert); got != want {
				t.Errorf("%s: the runbook is %q, not %q", rule.Alert, got, want)
			}
			if !strings.Contains(runbook, "\n#### "+rule.Alert+"\n") {
				t.Errorf("%s has no chapter in runbook.md", rule.Alert)
			}
			if !strings.Contains(tests, `alertname="`+rule.Alert+`"`) {
				t.Errorf("%s never fires in alerts_test.yml", rule.Alert)
			}
		}
	}
}

type dashboard struct {
	UID    string
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "grafana", "dashboards", "rescind.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDashboard(t *testing.T) {
	sources := decode[struct{ Datasources []struct{ UID string } }](t, "grafana", "provisioning", "datasources", "prometheus.yml")
	providers := decode[struct {
		Providers []struct{ Options struct{ Path string } }
	}](t, "grafana", "provisioning", "dashboards", "rescind.yml")
	mounts := decode[composeFile](t, root, "docker-compose.yml").Services["grafana"].Volumes
	if want := "./deploy/grafana/dashboards:" + providers.Providers[0].Options.Path + ":ro"; !slices.Contains(mounts, want) {
		t.Errorf("Grafana looks for dashboards in %s", filepath.Clean(providers.Providers[0].Options.Path))
	}
	ids := make(map[int]string)
	taken := make(map[[2]int]string)
	for _, p := range readDashboard(t).Panels {
		if other, ok := ids[p.ID]; ok || p.ID == 0 {
			t.Errorf("%s has the number of %s", p.Title, other)
		}
		ids[p.ID] = p.Title
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || p.GridPos.H == 0 {
			t.Errorf("%s is outside of the page", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != sources.Datasources[0].UID {
			t.Errorf("%s asks nothing, or a data source that does not exist", p.Title)
		}
	}
	if len(ids) == 0 {
		t.Error("the dashboard is empty")
	}
}
