package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// object has the fields of a Kubernetes object that these tests check.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Replicas *int
		// The selector of a Service is a map of labels. The others have matchLabels.
		Selector       map[string]any
		PodSelector    *selector             `yaml:"podSelector"`
		ScaleTargetRef struct{ Name string } `yaml:"scaleTargetRef"`
		MinReplicas    int                   `yaml:"minReplicas"`
		MaxReplicas    int                   `yaml:"maxReplicas"`
		Strategy       struct {
			RollingUpdate map[string]int `yaml:"rollingUpdate"`
		}
		Template pod
		// The ports of a Service have a targetPort. The rules of a NetworkPolicy have a port.
		Ports []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Ingress  []struct{ Ports []struct{ Port string } }
		Triggers []struct{ Metadata map[string]string }
	}
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type pod struct {
	Metadata struct {
		Labels      map[string]string
		Annotations map[string]string
	}
	Spec struct {
		Grace           int   `yaml:"terminationGracePeriodSeconds"`
		ServiceToken    *bool `yaml:"automountServiceAccountToken"`
		SecurityContext struct {
			RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
			SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Spread []struct {
			LabelSelector selector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		Containers []container
	}
}

type container struct {
	Image   string
	Command []string
	EnvFrom []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Env []struct {
		Name      string
		ValueFrom struct {
			SecretKeyRef struct {
				Name, Key string
				Optional  bool
			} `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	LivenessProbe   probe `yaml:"livenessProbe"`
	ReadinessProbe  probe `yaml:"readinessProbe"`
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		Escalation   *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnly     bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities struct{ Drop []string }
	} `yaml:"securityContext"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

type kustomization struct {
	Resources          []string
	ConfigMapGenerator []struct {
		Name string
		Envs []string
	} `yaml:"configMapGenerator"`
	Images []struct {
		Name   string
		NewTag string `yaml:"newTag"`
	}
	Patches []struct {
		Target struct{ Kind, Name string }
		Patch  string
	}
}

var base, production = filepath.Join("kubernetes", "base"), filepath.Join("kubernetes", "overlays", "production")

// resources returns the objects of a kustomization and of its bases.
func resources(t *testing.T, dir string) (objects []object) {
	t.Helper()
	for _, name := range decode[kustomization](t, dir, "kustomization.yaml").Resources {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			objects = append(objects, resources(t, path)...)
			continue
		}
		for _, o := range decodeAll[object](t, path) {
			if o.APIVersion == "" || o.Kind == "" || o.Metadata.Name == "" {
				t.Errorf("%s: an object without apiVersion, kind or name", path)
			}
			objects = append(objects, o)
		}
	}
	return objects
}

func named(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	i := slices.IndexFunc(objects, func(o object) bool { return o.Kind == kind && o.Metadata.Name == name })
	if i < 0 {
		t.Fatalf("there is no %s %s", kind, name)
	}
	return objects[i]
}

// settings returns the values of the generated ConfigMap.
func settings(t *testing.T) map[string]string {
	t.Helper()
	set := make(map[string]string)
	for line := range strings.Lines(read(t, base, "settings.env")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			set[name] = value
		}
	}
	return set
}

func within(labels, of map[string]string) bool {
	for name, value := range labels {
		if of[name] != value {
			return false
		}
	}
	return true
}
