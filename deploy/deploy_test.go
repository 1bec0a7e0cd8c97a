// Package deploy_test compares the deployment files with the service: the program's own code reads their settings, and
// the metrics that they use are the ones that it exposes. The tests need no container engine and no network.
package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"rescind/internal/config"
	"rescind/internal/testservers"
)

// root is the repository's root, relative to this directory.
const root = ".."

func TestMain(m *testing.M) { testservers.Main(m) }

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// decode reads a YAML file of one document. It refuses unknown fields if Document is a struct.
func decode[Document any](t *testing.T, path ...string) Document {
	t.Helper()
	documents := decodeAll[Document](t, path...)
	if len(documents) != 1 {
		t.Fatalf("%s has %d documents, not one", filepath.Join(path...), len(documents))
	}
	return documents[0]
}

func decodeAll[Document any](t *testing.T, path ...string) (documents []Document) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(read(t, path...))))
	for {
		var document Document
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			t.Fatalf("%s: %v", filepath.Join(path...), err)
		}
		documents = append(documents, document)
	}
}

// runtimeSettings are read by the Go runtime and not by the program.
var runtimeSettings = []string{"GOMEMLIMIT", "GOGC"}

// checkSettings has the program named by a container's command read the settings that the container is given.
func checkSettings(t *testing.T, command []string, environment map[string]string) {
	t.Helper()
	environ := make([]string, 0, len(environment))
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		environ = append(environ, name+"="+environment[name])
		if !knownSettings()[name] && !slices.Contains(runtimeSettings, name) {
			t.Errorf("%v: there is no setting %s", command, name)
		}
	}
	var err error
	switch strings.Join(command, " ") {
	case "api serve":
		_, err = config.LoadAPI(environ)
	case "worker":
		_, err = config.LoadWorker(environ)
	case "api migrate":
		_, err = config.DatabaseURL(environ)
	default:
		t.Errorf("%v is nothing that runs", command)
	}
	if err != nil {
		t.Errorf("%v: %v", command, err)
	}
}

// knownSettings returns the variables that the programs read.
func knownSettings() map[string]bool {
	known := make(map[string]bool)
	for _, settings := range []any{config.API{}, config.Worker{}, config.Standalone{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(settings)) {
			if name, ok := field.Tag.Lookup("env"); ok {
				known[name] = true
			}
		}
	}
	return known
}

func TestDockerfile(t *testing.T) {
	file := read(t, "Dockerfile")
	module := read(t, root, "go.mod")
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(module)[1]
	if !strings.Contains(file, "golang:"+version+"-") {
		t.Errorf("the image is not built with Go %s, which go.mod asks for", version)
	}
	for _, want := range []string{"CGO_ENABLED=0", "\nUSER 65532:65532\n", "ca-certificates.crt"} {
		if !strings.Contains(file, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, program := range []string{"api", "worker", "rescind"} {
		if !strings.Contains(file, " ./cmd/"+program) {
			t.Errorf("%s is not built", program)
		}
		if _, err := os.Stat(filepath.Join(root, "cmd", program, "main.go")); err != nil {
			t.Error(err)
		}
	}
	// The build context contains what the build copies, and nothing else.
	ignored := strings.Split(read(t, root, ".dockerignore"), "\n")
	if !slices.Contains(ignored, "*") {
		t.Error(".dockerignore lets everything in")
	}
	for _, copied := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(file, -1) {
		for source := range strings.FieldsSeq(copied[1]) {
			if !slices.Contains(ignored, "!"+source) {
				t.Errorf(".dockerignore keeps %s out", source)
			}
		}
	}
}
