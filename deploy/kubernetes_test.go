package deploy_test

import (
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every file is used or is an example. Nobody maintains a file that is not applied.
func TestKubernetes_Files(t *testing.T) {
	for _, dir := range []string{base, production} {
		used := decode[kustomization](t, dir, "kustomization.yaml")
		files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := filepath.Base(file)
			example := strings.HasSuffix(name, ".example.yaml")
			if name != "kustomization.yaml" && slices.Contains(used.Resources, name) == example {
				t.Errorf("%s: an example is a resource, or a resource is none", file)
			}
		}
		for _, patch := range used.Patches {
			named(t, resources(t, dir), patch.Target.Kind, patch.Target.Name)
		}
	}
	for _, o := range resources(t, production) {
		if o.Kind == "Secret" {
			t.Errorf("the secret %s is among the resources", o.Metadata.Name)
		}
	}
}

func TestKubernetes_Pods(t *testing.T) {
	objects := resources(t, base)
	secret := decode[object](t, base, "secret.example.yaml")
	images := decode[kustomization](t, production, "kustomization.yaml").Images
	for _, o := range objects {
		if o.Kind != "Deployment" && o.Kind != "Job" {
			continue
		}
		t.Run(o.Metadata.Name, func(t *testing.T) {
			spec := o.Spec.Template.Spec
			if !spec.SecurityContext.RunAsNonRoot || spec.SecurityContext.SeccompProfile.Type != "RuntimeDefault" ||
				spec.ServiceToken == nil || *spec.ServiceToken {
				t.Error("the pod is not hardened")
			}
			if len(spec.Containers) != 1 {
				t.Fatalf("%d containers", len(spec.Containers))
			}
			c := spec.Containers[0]
			security := c.SecurityContext
			if security.Escalation == nil || *security.Escalation || !security.ReadOnly || !slices.Equal(security.Capabilities.Drop, []string{"ALL"}) {
				t.Error("the container is not hardened")
			}
			if c.Resources.Requests["memory"] == "" || c.Resources.Requests["cpu"] == "" || c.Resources.Limits["memory"] == "" {
				t.Error("nobody knows what it needs")
			}
			if len(images) != 1 || c.Image != images[0].Name || images[0].NewTag == "" {
				t.Errorf("production gives the image %s no tag", c.Image)
			}
			checkSettings(t, c.Command, environment(t, c, secret))
			if o.Kind == "Deployment" {
				checkDeployment(t, o, c)
			}
		})
	}
}

// environment returns the variables that a container gets from the settings and the example of the secret.
func environment(t *testing.T, c container, secret object) map[string]string {
	t.Helper()
	set := make(map[string]string)
	for _, from := range c.EnvFrom {
		if generated := decode[kustomization](t, base, "kustomization.yaml").ConfigMapGenerator; from.ConfigMapRef.Name != generated[0].Name {
			t.Errorf("there is no ConfigMap %s", from.ConfigMapRef.Name)
		}
		maps.Copy(set, settings(t))
	}
	for _, env := range c.Env {
		ref := env.ValueFrom.SecretKeyRef
		value, ok := secret.StringData[ref.Key]
		if ref.Name != secret.Metadata.Name || !ok && !ref.Optional {
			t.Errorf("%s: the example of the secret has no %s", env.Name, ref.Key)
		}
		set[env.Name] = value
	}
	return set
}

func checkDeployment(t *testing.T, o object, c container) {
	t.Helper()
	labels := o.Spec.Template.Metadata.Labels
	chosen, _ := o.Spec.Selector["matchLabels"].(map[string]any)
	for name, value := range chosen {
		if labels[name] != value {
			t.Errorf("its pods have not the label %s", name)
		}
	}
	if len(chosen) == 0 || chosen["app.kubernetes.io/component"] != o.Metadata.Name {
		t.Errorf("it chooses its pods by %v", chosen)
	}
	for _, spread := range o.Spec.Template.Spec.Spread {
		if len(spread.LabelSelector.MatchLabels) == 0 || !within(spread.LabelSelector.MatchLabels, labels) {
			t.Error("its pods are spread among others than themselves")
		}
	}
	if got := o.Spec.Template.Spec.Grace; got < 30 {
		t.Errorf("it is killed after %d s, before it has ended by itself", got)
	}
	if unavailable, ok := o.Spec.Strategy.RollingUpdate["maxUnavailable"]; !ok || unavailable != 0 {
		t.Error("a rollout takes pods away before there are others")
	}

	ports := make(map[string]string)
	for _, port := range c.Ports {
		ports[port.Name] = strconv.Itoa(port.ContainerPort)
	}
	for name, setting := range map[string]string{"http": "HTTP_ADDR", "admin": "ADMIN_ADDR"} {
		_, want, err := net.SplitHostPort(settings(t)[setting])
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := ports[name]; ok && got != want {
			t.Errorf("port %s is %s, and the process listens on %s", name, got, want)
		}
	}
	for path, p := range map[string]probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p.HTTPGet.Path != path || ports[p.HTTPGet.Port] == "" {
			t.Errorf("%s is asked at port %q for %q", path, p.HTTPGet.Port, p.HTTPGet.Path)
		}
	}
	if got := o.Spec.Template.Metadata.Annotations["prometheus.io/port"]; got != ports["admin"] {
		t.Errorf("Prometheus is sent to port %q", got)
	}
}

// Every selector and every autoscaler matches a workload that exists.
func TestKubernetes_References(t *testing.T) {
	objects := resources(t, production)
	api, worker := named(t, objects, "Deployment", "api"), named(t, objects, "Deployment", "worker")
	pods := []pod{api.Spec.Template, worker.Spec.Template, named(t, objects, "Job", "migrate").Spec.Template}
	covered := make(map[string]bool)
	for _, o := range objects {
		name := o.Kind + " " + o.Metadata.Name
		covered[name] = true
		var labels map[string]string
		switch o.Kind {
		case "Service":
			labels = asLabels(o.Spec.Selector)
		case "PodDisruptionBudget":
			matched, _ := o.Spec.Selector["matchLabels"].(map[string]any)
			labels = asLabels(matched)
		case "NetworkPolicy":
			labels = o.Spec.PodSelector.MatchLabels
		case "HorizontalPodAutoscaler", "ScaledObject":
			named(t, objects, "Deployment", o.Spec.ScaleTargetRef.Name)
			continue
		default:
			continue
		}
		chosen := slices.DeleteFunc(slices.Clone(pods), func(p pod) bool { return !within(labels, p.Metadata.Labels) })
		if len(chosen) == 0 {
			t.Errorf("%s chooses no pod by %v", name, labels)
		}
		if o.Kind != "NetworkPolicy" && (len(labels) == 0 || len(chosen) != 1) {
			t.Errorf("%s chooses %d kinds of pods", name, len(chosen))
		}
		for _, port := range o.Spec.Ports {
			if !hasPort(chosen, port.TargetPort) {
				t.Errorf("%s leads to the port %s, which is none", name, port.TargetPort)
			}
		}
		for _, rule := range o.Spec.Ingress {
			for _, port := range rule.Ports {
				if !hasPort(chosen, port.Port) {
					t.Errorf("%s opens the port %s, which is none", name, port.Port)
				}
			}
		}
	}
	for _, want := range []string{
		"Service api", "PodDisruptionBudget api", "PodDisruptionBudget worker", "NetworkPolicy deny",
		"HorizontalPodAutoscaler api", "ScaledObject worker",
	} {
		if !covered[want] {
			t.Errorf("there is no %s", want)
		}
	}
	if api.Spec.Replicas != nil {
		t.Error("the number of APIs is set here and by their autoscaler")
	}
}

func asLabels(values map[string]any) map[string]string {
	labels := make(map[string]string, len(values))
	for name, value := range values {
		labels[name], _ = value.(string)
	}
	return labels
}

func hasPort(pods []pod, name string) bool {
	return slices.ContainsFunc(pods, func(p pod) bool {
		return slices.ContainsFunc(p.Spec.Containers, func(c container) bool {
			for _, port := range c.Ports {
				if port.Name == name {
					return true
				}
			}
			return false
		})
	})
}
