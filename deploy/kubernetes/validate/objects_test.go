// Package validate_test reads what is deployed to Kubernetes as the cluster does: built by kustomize, and decoded into
// the types of its API, which know all fields. It is a module of its own, so that the service does not depend on it.
package validate_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// scaledObject is as much of KEDA's kind of that name as is used: its own module would bring its whole operator.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount int32 `json:"minReplicaCount"`
		MaxReplicaCount int32 `json:"maxReplicaCount"`
		PollingInterval int32 `json:"pollingInterval"`
		CooldownPeriod  int32 `json:"cooldownPeriod"`
		Fallback        struct {
			FailureThreshold int32 `json:"failureThreshold"`
			Replicas         int32 `json:"replicas"`
		} `json:"fallback"`
		Triggers []struct {
			Type       string            `json:"type"`
			MetricType string            `json:"metricType"`
			Metadata   map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// DeepCopyObject implements runtime.Object. Nothing here copies one.
func (s *scaledObject) DeepCopyObject() runtime.Object { return s }

func decoder(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}, &scaledObject{})
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
}

// build gives what `kubectl apply -k` would send, by kind and name.
func build(t *testing.T, dir string) map[string]runtime.Object {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("..", dir))
	if err != nil {
		t.Fatal(err)
	}
	objects, decode := make(map[string]runtime.Object), decoder(t)
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%s %s", resource.GetKind(), resource.GetName())
		object, _, err := decode.Decode(text, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if namespace := resource.GetNamespace(); namespace != "rescind" && resource.GetKind() != "Namespace" {
			t.Errorf("%s is in the namespace %q", name, namespace)
		}
		objects[name] = object
	}
	return objects
}

func TestKubernetes(t *testing.T) {
	for _, dir := range []string{"base", filepath.Join("overlays", "production")} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			objects := build(t, dir)
			configured := 0
			for name, object := range objects {
				switch o := object.(type) {
				case *corev1.ConfigMap:
					configured++
				case *appsv1.Deployment:
					checkPods(t, name, objects, o.Spec.Template.Spec)
				case *batchv1.Job:
					checkPods(t, name, objects, o.Spec.Template.Spec)
				case *scaledObject:
					checkScaled(t, objects, o)
				}
			}
			if configured != 1 {
				t.Errorf("%d ConfigMaps", configured)
			}
		})
	}
}

// checkPods follows the names that kustomize has changed.
func checkPods(t *testing.T, name string, objects map[string]runtime.Object, spec corev1.PodSpec) {
	t.Helper()
	for _, container := range spec.Containers {
		for _, from := range container.EnvFrom {
			if objects["ConfigMap "+from.ConfigMapRef.Name] == nil {
				t.Errorf("%s: there is no ConfigMap %s", name, from.ConfigMapRef.Name)
			}
		}
		limit, request := container.Resources.Limits.Memory(), container.Resources.Requests.Memory()
		if request.IsZero() || request.Cmp(*limit) > 0 {
			t.Errorf("%s asks for %s of memory, and is ended at %s", name, request, limit)
		}
	}
}

// checkScaled makes sure that one decides how many there are, and that a fallback is among what it may decide.
func checkScaled(t *testing.T, objects map[string]runtime.Object, o *scaledObject) {
	t.Helper()
	target, ok := objects["Deployment "+o.Spec.ScaleTargetRef.Name].(*appsv1.Deployment)
	if !ok || target.Spec.Replicas != nil {
		t.Errorf("%s is not there to be scaled, or has a number of its own", o.Spec.ScaleTargetRef.Name)
	}
	numbers := []int32{1, o.Spec.MinReplicaCount, o.Spec.Fallback.Replicas, o.Spec.MaxReplicaCount}
	if !slices.IsSorted(numbers) {
		t.Errorf("%s: at least, without Prometheus, at most: %v", o.Name, numbers[1:])
	}
	for _, trigger := range o.Spec.Triggers {
		if trigger.Type != "prometheus" || trigger.Metadata["query"] == "" || trigger.Metadata["threshold"] == "" {
			t.Errorf("%s is scaled by %+v", o.Name, trigger)
		}
	}
}

// A fault of the kinds that this is for is found.
func TestKubernetes_Strict(t *testing.T) {
	const good = "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec:\n  ports: [{port: 80}]\n"
	decode := decoder(t)
	if _, _, err := decode.Decode([]byte(good), nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2]string{
		{"port: 80", "prot: 80"},
		{"port: 80", "port: http"},
		{"kind: Service", "kind: Sevrice"},
		{"apiVersion: v1", "apiVersion: v2"},
		{"{name: api}", "{name: api, name: api}"},
	} {
		text := bytes.Replace([]byte(good), []byte(bad[0]), []byte(bad[1]), 1)
		if _, _, err := decode.Decode(text, nil, nil); err == nil {
			t.Errorf("%q is taken", bad[1])
		}
	}
}
