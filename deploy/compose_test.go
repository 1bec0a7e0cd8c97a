package deploy_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rescind/internal/config"
)

// ownImage is the image that is built here.
const ownImage = "rescind:local"

type composeFile struct {
	Services map[string]composeService
	Secrets  map[string]struct{ File string }
	Networks map[string]struct{ Internal bool }
	Volumes  map[string]struct{}
}

type composeService struct {
	Image           string
	User            string
	Build           struct{ Context, Dockerfile string }
	PullPolicy      string `yaml:"pull_policy"`
	MemLimit        string `yaml:"mem_limit"`
	Secrets         []string
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

// stringOrList is a command: YAML has it as a string or as a list.
type stringOrList []string

func (s *stringOrList) UnmarshalYAML(unmarshal func(any) error) error {
	var line string
	if unmarshal(&line) == nil {
		*s = strings.Fields(line)
		return nil
	}
	return unmarshal((*[]string)(s))
}

// dependencies maps each service to its condition. The short form, a list, means that the service is started.
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

// variable matches a variable that Compose replaces, with its default.
var variable = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

// substituted returns the environment with each variable replaced by its default.
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
			if service.Image != ownImage {
				return
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

// pinned matches an image that stays the same: one of Docker's official images by its digest, another publisher's by its
// exact version at least.
var pinned = regexp.MustCompile(`^([a-z]+:\d+\.\d+[^@/]*@sha256:[0-9a-f]{64}|[a-z]+/[a-z]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?)$`)

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
	if s.Image != ownImage && !pinned.MatchString(s.Image) {
		t.Errorf("the image %q is not pinned", s.Image)
	}
	for _, port := range s.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("port %s is open to others than this machine", port)
		}
	}
}

// checkParts fails the test if a service refers to something that does not exist.
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

// The settings of emails reach the worker when they are set, and the worker uses its defaults when they are not.
func TestCompose_Mail(t *testing.T) {
	environment := decode[composeFile](t, root, "docker-compose.yml").Services["worker"].Environment
	environ := make([]string, 0, len(environment))
	for name, value := range substituted(environment) {
		environ = append(environ, name+"="+value)
	}
	settings, err := config.LoadWorker(environ)
	if err != nil {
		t.Fatal(err)
	}
	if settings.MailHelo != "" || settings.MailBounce != "" || settings.MailMaxAge != 96*time.Hour {
		t.Errorf("without values, the settings are %+v", settings.Mail)
	}
	for _, name := range []string{"SMTP_URL", "MAIL_FROM", "MAIL_BOUNCE", "MAIL_HELO", "MAIL_MAX_AGE"} {
		if replaced := variable.FindStringSubmatch(environment[name]); replaced == nil || replaced[1] != name || replaced[0] != environment[name] {
			t.Errorf("%s is %q, not the variable of the same name", name, environment[name])
		}
	}
}

// If two services built the same tag, the builds would race and the containers would run different images.
func TestCompose_Image(t *testing.T) {
	services := decode[composeFile](t, root, "docker-compose.yml").Services
	var builders []string
	for name, service := range services {
		if service.Build.Dockerfile != "" {
			builders = append(builders, name)
			if _, err := os.Stat(filepath.Join(root, service.Build.Context, service.Build.Dockerfile)); err != nil {
				t.Error(err)
			}
		}
	}
	if len(builders) != 1 || services[builders[0]].Image != ownImage {
		t.Fatalf("the image %s is built by %v, not by one service", ownImage, builders)
	}
	for _, name := range []string{"migrate", "api", "worker"} {
		if s := services[name]; s.Image != ownImage || s.PullPolicy != "never" {
			t.Errorf("%s runs %s with the pull policy %q", name, s.Image, s.PullPolicy)
		}
	}
}

// A container that reaches its memory limit is killed, so the Go runtime must know a lower limit.
func TestCompose_Memory(t *testing.T) {
	services := decode[composeFile](t, root, "docker-compose.yml").Services
	for _, name := range []string{"api", "worker"} {
		limit := mebibytes(t, services[name].MemLimit, "m")
		soft := mebibytes(t, services[name].Environment["GOMEMLIMIT"], "MiB")
		if soft > limit*9/10 {
			t.Errorf("%s: GOMEMLIMIT is %d MiB of a limit of %d MiB, which leaves no room", name, soft, limit)
		}
	}
}

func mebibytes(t *testing.T, size, unit string) int {
	t.Helper()
	number, ok := strings.CutSuffix(size, unit)
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		t.Fatalf("the size %q is not written as a number with the unit %s", size, unit)
	}
	return n
}

// Prometheus finds the processes by the name of their service. It finds each once if they share exactly one network.
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

// The command lines in the documents name services and profiles that exist.
func TestCompose_Manual(t *testing.T) {
	services := decode[composeFile](t, root, "docker-compose.yml").Services
	profiles := make(map[string]bool)
	for _, service := range services {
		for _, profile := range service.Profiles {
			profiles[profile] = true
		}
	}
	line := regexp.MustCompile(`docker compose ((?:--profile \S+\s)?)(up|run|exec|stop|down|build|ps)\b([^&|<#)(\n]*)`)
	text := read(t, root, "docker-compose.yml")
	for _, d := range documents(t) {
		text += "\n" + strings.ReplaceAll(strings.Join(d.code, "\n"), "\\\n", " ")
	}
	lines := line.FindAllStringSubmatch(text, -1)
	if len(lines) < 10 {
		t.Fatalf("%d lines found", len(lines))
	}
	for _, l := range lines {
		if profile := strings.TrimSpace(strings.TrimPrefix(l[1], "--profile ")); profile != "" && !profiles[profile] {
			t.Errorf("%q: there is no such profile", l[0])
		}
		for word := range strings.FieldsSeq(l[3]) {
			if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
				continue
			}
			if _, ok := services[word]; !ok {
				t.Errorf("%q: there is no service %s", l[0], word)
			}
			if l[2] == "run" || l[2] == "exec" { // what follows is the container's command
				break
			}
		}
	}
}
