package main

import (
	"net/netip"
	"net/url"
	"strings"
)

// settings are the values of the environment variables.
type settings struct {
	url *url.URL
	key string
}

// readSettings reads the settings from an environment. It returns all faults, one on each line and without the values,
// because both can contain a secret. White space around a value is ignored. Unless insecure is set, plain http is allowed to
// loopback addresses only.
func readSettings(environ []string, insecure bool) (s settings, faults []string) {
	values := make(map[string]string)
	for _, one := range environ {
		name, value, _ := strings.Cut(one, "=")
		values[name] = strings.TrimSpace(value)
	}
	address, key := values["RESCIND_URL"], values["RESCIND_API_KEY"]
	var err error
	switch s.url, err = url.Parse(address); {
	case address == "":
		faults = append(faults, "RESCIND_URL is not set: the service's address, like https://rescind.example.com")
	case err != nil || s.url.Scheme != "https" && s.url.Scheme != "http" || s.url.Hostname() == "":
		faults = append(faults, "RESCIND_URL must be an address like https://rescind.example.com or http://127.0.0.1:8080")
	case s.url.User != nil || s.url.RawQuery != "" || s.url.ForceQuery || s.url.Fragment != "":
		faults = append(faults, "RESCIND_URL must be an address alone, without user, query and fragment: the key goes into RESCIND_API_KEY")
	case s.url.Scheme == "http" && !isLoopback(s.url.Hostname()) && !insecure:
		faults = append(faults, "RESCIND_URL must begin with https://, so that nobody in between can read the key; --insecure allows http")
	}
	switch s.key = key; {
	case key == "":
		faults = append(faults, "RESCIND_API_KEY is not set: an API key of the service")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		faults = append(faults, "RESCIND_API_KEY must be a key alone, without spaces, line breaks and letters outside ASCII")
	}
	return s, faults
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}
