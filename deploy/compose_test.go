package deploy_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

type composeFile struct {
	Services map[string]composeService
	Networks map[string]struct{ Internal bool }
	Volumes  map[string]struct{}
}

type composeService struct {
	Image           string
	User            string
	Build           struct{ Context, Dockerfile string }
	Entrypoint      []string
	Command         stringOrList
	Environment     map[string]string
	Restart         string
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	ContainerName   string   `yaml:"container_name"`
	Ports           []string
	Networks        []string
	Volumes         []string
	Profiles        []string
	DependsOn       dependencies  `yaml:"depends_on"`
	StopGracePeriod time.Duration `yaml:"stop_grace_period"`
	Healthcheck     struct{ Test []string }
}

// stringOrList is a command, which may be written in either form.
type stringOrList []string

func (s *stringOrList) UnmarshalYAML(unmarshal func(any) error) error {
	var line string
	if unmarshal(&line) == nil {
		*s = strings.Fields(line)
		return nil
	}
	return unmarshal((*[]string)(s))
}

// dependencies are conditions by service; the short form says only that it is started.
type dependencies map[string]string

func (d *dependencies) UnmarshalYAML(unmarshal func(any) error) error {
	*d = make(dependencies)
	var names []string
	if unmarshal(&names) == nil {
		for _, name := range names {
			(*d)[name] = "service_started"
		}
		return nil
	}
	var long map[string]struct{ Condition string }
	err := unmarshal(&long)
	for name, dependency := range long {
		(*d)[name] = dependency.Condition
	}
	return err
}

func (s composeService) program() []string { return append(slices.Clone(s.Entrypoint), s.Command...) }

// variable is one that compose replaces, with its default.
var variable = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

// substituted is the environment for somebody who has set nothing.
func substituted(environment map[string]string) map[string]string {
	set := make(map[string]string, len(environment))
	for name, value := range environment {
		set[name] = variable.ReplaceAllString(value, "$2")
	}
	return set
}

func TestCompose(t *testing.T) {
	compose := decode[composeFile](t, root, "docker-compose.yml")
	for name, service := range compose.Services {
		t.Run(name, func(t *testing.T) {
			checkHardening(t, service)
			checkParts(t, compose, service)
			for name, value := range service.Environment {
				secret := regexp.MustCompile(`PASSWORD|SECRET|AUTH|_URL$`).MatchString(name)
				if secret && variable.ReplaceAllString(value, "") == value {
					t.Errorf("%s cannot be set from outside", name)
				}
			}
			if service.Build.Dockerfile == "" {
				return
			}
			if _, err := os.Stat(filepath.Join(root, service.Build.Context, service.Build.Dockerfile)); err != nil {
				t.Error(err)
			}
			checkSettings(t, service.program(), substituted(service.Environment))
			if check := []string{"CMD", service.Entrypoint[0], "healthcheck"}; service.Restart != "no" && !slices.Equal(service.Healthcheck.Test, check) {
				t.Errorf("its health is not checked by the only client in its image: %v", service.Healthcheck.Test)
			}
			if service.StopGracePeriod < 26*time.Second {
				t.Errorf("it is killed after %v, before it has ended by itself", service.StopGracePeriod)
			}
		})
	}
}

func checkHardening(t *testing.T, s composeService) {
	t.Helper()
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Error("it is not hardened like the others")
	}
	if s.Restart == "" {
		t.Error("nobody says whether it is restarted")
	}
	if s.Restart != "no" && len(s.Profiles) == 0 && len(s.Healthcheck.Test) < 2 {
		t.Error("nobody checks its health")
	}
	if s.Build.Dockerfile == "" && !regexp.MustCompile(`:v?\d+\.\d+`).MatchString(s.Image) {
		t.Errorf("the image %q has no version", s.Image)
	}
	for _, port := range s.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("port %s is open to others than this machine", port)
		}
	}
}

// checkParts follows what a service refers to.
func checkParts(t *testing.T, compose composeFile, s composeService) {
	t.Helper()
	for name, condition := range s.DependsOn {
		other, ok := compose.Services[name]
		switch {
		case !ok:
			t.Errorf("it depends on %s, which does not exist", name)
		case condition == "service_healthy" && len(other.Healthcheck.Test) < 2:
			t.Errorf("it waits for the health of %s, which nobody checks", name)
		case condition == "service_completed_successfully" && other.Restart != "no":
			t.Errorf("it waits for the end of %s, which is started again", name)
		case len(other.Profiles) > 0 && len(s.Profiles) == 0:
			t.Errorf("it depends on %s, which is not always there", name)
		}
	}
	for _, network := range s.Networks {
		if _, ok := compose.Networks[network]; !ok {
			t.Errorf("there is no network %s", network)
		}
	}
	for _, volume := range s.Volumes {
		source, _, _ := strings.Cut(volume, ":")
		if _, ok := compose.Volumes[source]; ok {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, source)); err != nil {
			t.Errorf("the volume %s: %v", volume, err)
		}
	}
}

func TestCompose_Order(t *testing.T) {
	services := decode[composeFile](t, root, "docker-compose.yml").Services
	if got := services["migrate"].DependsOn["postgres"]; got != "service_healthy" {
		t.Errorf("the migration does not wait for PostgreSQL's health but for %q", got)
	}
	for _, name := range []string{"api", "worker"} {
		depends := services[name].DependsOn
		if depends["migrate"] != "service_completed_successfully" || depends["postgres"] != "service_healthy" || depends["redis"] != "service_healthy" {
			t.Errorf("%s starts before what it needs: %v", name, depends)
		}
	}
	worker := services["worker"]
	if worker.ContainerName != "" || len(worker.Ports) > 0 {
		t.Error("there can be only one worker")
	}
	if got, want := services["api"].Ports, "127.0.0.1:8080:8080"; !slices.Contains(got, want) {
		t.Errorf("the API's ports are %v, not %s", got, want)
	}
}

func TestCompose_Redis(t *testing.T) {
	command := strings.Join(decode[composeFile](t, root, "docker-compose.yml").Services["redis"].Command, " ")
	for _, want := range []string{"--maxmemory-policy noeviction", "--appendonly yes", "--requirepass ${REDIS_PASSWORD:-"} {
		if !strings.Contains(command, want) {
			t.Errorf("Redis runs without %q: %s", want, command)
		}
	}
}

// Prometheus finds all processes by their service's name: each once, so that they share one network with it.
func TestCompose_Prometheus(t *testing.T) {
	services := decode[composeFile](t, root, "docker-compose.yml").Services
	type discovery struct {
		Names []string
		Port  string
	}
	prometheus := decode[struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrape    []struct {
			Job string      `yaml:"job_name"`
			DNS []discovery `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}](t, "prometheus", "prometheus.yml")
	for _, file := range prometheus.RuleFiles {
		read(t, "prometheus", file)
	}
	scraped := make(map[string]string)
	for _, scrape := range prometheus.Scrape {
		for _, found := range scrape.DNS {
			for _, name := range found.Names {
				scraped[name] = scrape.Job
				if _, port, _ := net.SplitHostPort(services[name].Environment["ADMIN_ADDR"]); port == "" || port != found.Port {
					t.Errorf("%s is asked on port %s and listens on %q", name, found.Port, port)
				}
				shared := slices.DeleteFunc(slices.Clone(services[name].Networks), func(network string) bool {
					return !slices.Contains(services["prometheus"].Networks, network)
				})
				if len(shared) != 1 {
					t.Errorf("%s shares the networks %v with Prometheus", name, shared)
				}
			}
		}
	}
	if scraped["api"] != "rescind-api" || scraped["worker"] != "rescind-worker" {
		t.Errorf("the jobs are not those that the alerts know: %v", scraped)
	}
}
