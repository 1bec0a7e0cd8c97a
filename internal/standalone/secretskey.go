package standalone

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretsKeyFile is the file with the key that replaces SECRETS_KEY in a directory.
const secretsKeyFile = "secrets.key"

// SecretsKey returns the key that encrypts secrets in the database of a directory, for which SECRETS_KEY is not set. The first
// call for a directory makes the key and writes it to a file there that only its owner can read. Whoever has the directory can
// read the secrets.
func SecretsKey(dir string) (string, error) {
	path := filepath.Join(dir, secretsKeyFile)
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeSecretsKey(dir, path); err == nil {
			key, err = os.ReadFile(path)
		}
	}
	return strings.TrimSpace(string(key)), err
}

// makeSecretsKey writes a new key to path, where no other process sees a part of it. If another process is first, its key stays.
func makeSecretsKey(dir, path string) error {
	file, err := os.CreateTemp(dir, ".secrets-*") // only the owner can read it
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it has its name by then
	var key [32]byte
	rand.Read(key[:]) // it never returns an error
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(key[:]) + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
