package standalone_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rescind/internal/standalone"
)

func TestSecretsKey(t *testing.T) {
	dir := t.TempDir()
	keys := make([]string, 20)
	var asking sync.WaitGroup
	for i := range keys {
		asking.Go(func() {
			key, err := standalone.SecretsKey(dir)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	asking.Wait()
	for _, key := range keys {
		if b, err := base64.StdEncoding.DecodeString(key); key != keys[0] || err != nil || len(b) != 32 {
			t.Fatalf("%d bytes, the same for all: %v, %v", len(b), key == keys[0], err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if info, err := os.Stat(filepath.Join(dir, files[0].Name())); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
	other, err := standalone.SecretsKey(t.TempDir())
	if err != nil || other == keys[0] {
		t.Errorf("another directory has the same key: %v", err)
	}
}
