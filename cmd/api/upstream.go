package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"rescind/internal/config"
	"rescind/internal/revocation"
	"rescind/internal/secrets"
	"rescind/internal/standalone"
	"rescind/internal/upstream"
)

const (
	// noUpstream is the URL that removes an account's upstream.
	noUpstream = "none"
	// maxUpstreamRate is in calls per second. A higher limit would have no effect.
	maxUpstreamRate = 1_000_000
	// maxUpstreamKey is the largest size of a key in bytes, because it is sent in a header.
	maxUpstreamKey = 4096
)

// upstream returns the change of the account's upstream that the flags describe; nil if there is none.
func (c *accountSetCommand) upstream(p *process) (*revocation.UpstreamChange, error) {
	if c.UpstreamURL == nil && c.UpstreamKeyFile == nil && c.UpstreamRate == nil && c.UpstreamConcurrency == nil {
		return nil, nil
	}
	change := &revocation.UpstreamChange{URL: c.UpstreamURL, Rate: c.UpstreamRate, Concurrency: c.UpstreamConcurrency}
	if c.UpstreamURL != nil && *c.UpstreamURL == noUpstream {
		if c.UpstreamKeyFile != nil || c.UpstreamRate != nil || c.UpstreamConcurrency != nil {
			return nil, errors.New("--upstream-url none: the other --upstream flags cannot be used with it")
		}
		change.URL = new(string)
		return change, nil
	}
	if c.UpstreamURL != nil {
		if err := upstream.ValidateURL(*c.UpstreamURL); err != nil {
			return nil, fmt.Errorf("--upstream-url: %w", err)
		}
		change.URL = new(strings.TrimRight(*c.UpstreamURL, "/"))
	}
	if c.UpstreamRate != nil && !(*c.UpstreamRate >= 0 && *c.UpstreamRate <= maxUpstreamRate) {
		return nil, fmt.Errorf("--upstream-rate: from 0 to %d calls a second", maxUpstreamRate)
	}
	if c.UpstreamConcurrency != nil && (*c.UpstreamConcurrency < 1 || *c.UpstreamConcurrency > revocation.MaxConcurrency) {
		return nil, fmt.Errorf("--upstream-concurrency: from 1 to %d", revocation.MaxConcurrency)
	}
	if c.UpstreamKeyFile != nil {
		key, err := readKey(p, *c.UpstreamKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--upstream-key-file: %w", err)
		}
		if change.SealedKey, err = seal(c.Data, c.ID, key); err != nil {
			return nil, err
		}
	}
	return change, nil
}

// readKey reads a key from a file of one line. Its errors do not contain the key.
func readKey(p *process, name string) (string, error) {
	file := p.stdin
	if name != "-" {
		opened, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer opened.Close() //nolint:errcheck // it was only read
		file = opened
	}
	content, err := io.ReadAll(io.LimitReader(file, maxUpstreamKey+2))
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(content))
	if key == "" || len(key) > maxUpstreamKey {
		return "", fmt.Errorf("it must hold the key alone, of at most %d characters", maxUpstreamKey)
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return "", errors.New("the key must be one line of printable ASCII")
		}
	}
	return key, nil
}

// seal encrypts an account's key, for the embedded database in the directory data if it is not empty.
func seal(data, account, key string) ([]byte, error) {
	settings, err := config.LoadSecrets(os.Environ())
	if err != nil {
		return nil, err
	}
	if settings.SecretsKey == "" && data != "" {
		if err := os.MkdirAll(data, 0o700); err != nil {
			return nil, err
		}
		if settings.SecretsKey, err = standalone.SecretsKey(data); err != nil {
			return nil, err
		}
	}
	box, err := secrets.New(settings.SecretsKey, settings.SecretsKeyOld)
	if err != nil {
		return nil, err
	}
	sealed, err := box.Seal([]byte(key), account)
	if errors.Is(err, secrets.ErrNoKey) {
		return nil, errors.New("SECRETS_KEY is needed to encrypt the upstream's key: create one with: openssl rand -base64 32")
	}
	return sealed, err
}

// platform describes where an account's invites are, and whether the upstream is paused.
func platform(up *revocation.Upstream) string {
	switch {
	case up == nil:
		return "database"
	case up.Hold == "":
		return "upstream " + up.URL
	case up.Held:
		return fmt.Sprintf("upstream %s (paused: %s, next try %s)", up.URL, up.Hold, timeOrDash(up.HeldUntil))
	default:
		return fmt.Sprintf("upstream %s (paused: %s, trying)", up.URL, up.Hold)
	}
}
