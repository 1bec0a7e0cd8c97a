package config

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// faults lists what is wrong with the settings, at most one fault for each variable. It contains no part of a value,
// because a value can contain a password.
type faults []fault

type fault struct{ variable, text string }

// add adds a fault of a variable that has none yet. A value that could not be parsed is not checked for its range too.
func (f *faults) add(variable, wrong, right string) {
	if f.has(variable) {
		return
	}
	*f = append(*f, fault{variable, wrong + "; write it like " + right})
}

func (f *faults) has(variable string) bool {
	return slices.ContainsFunc(*f, func(known fault) bool { return known.variable == variable })
}

func (f *faults) err() error {
	if len(*f) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("wrong or missing settings:")
	for _, fault := range *f {
		text.WriteString("\n  " + fault.variable + ": " + fault.text)
	}
	return errors.New(text.String())
}

// parse fills settings, a pointer to a struct, from environ. A field whose value cannot be parsed keeps its zero value.
func parse(settings any, environ []string) *faults {
	var f faults
	values := env.ToMap(environ)
	for name, value := range values {
		values[name] = strings.TrimSpace(value) // a value that was read from a file often ends with a line break
	}
	err := env.ParseWithOptions(settings, env.Options{
		Environment: values,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[int]():           parseInt,
			reflect.TypeFor[float64]():       parseFloat,
			reflect.TypeFor[time.Duration](): parseDuration,
			reflect.TypeFor[HostNames]():     parseHosts,
			reflect.TypeFor[Networks]():      parseNetworks,
		},
	})
	var all env.AggregateError
	if err != nil && !errors.As(err, &all) {
		panic(err) // ParseWithOptions documents that it returns nothing else
	}
	for _, err := range all.Errors {
		var failed env.ParseError
		var wrong malformed
		if !errors.As(err, &failed) || !errors.As(failed.Err, &wrong) {
			panic(err) // a tag of the struct is wrong
		}
		field, _ := reflect.TypeOf(settings).Elem().FieldByName(failed.Name) // the library found it there
		f.add(field.Tag.Get("env"), wrong.wrong, wrong.right)
	}
	return &f
}

// malformed is the error of a value that cannot be parsed: what is wrong, and an example of a right value.
type malformed struct{ wrong, right string }

func (m malformed) Error() string { return m.wrong }

const (
	formDuration = "200ms, 2s or 10m"
	formInt      = "50"
	formRate     = "0.5 or 20"
	formNetworks = "10.0.0.0/8,2001:db8::/32"
	formHosts    = "rescind.example.com,rescind.internal"
)

func parseInt(value string) (any, error) {
	n, err := strconv.Atoi(value)
	if err != nil {
		return nil, malformed{"not a whole number", formInt}
	}
	return n, nil
}

// The lowest and the highest rate that can be enforced, in messages per second. The lowest is about one a day.
const (
	minRate = 0.00001
	maxRate = 1000000
)

func parseFloat(value string) (any, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(n) || n < minRate || n > maxRate {
		return nil, malformed{"not a number from 0.00001 to 1000000", formRate}
	}
	return n, nil
}

// Networks is a list of prefixes in CIDR notation, separated by commas in the setting.
type Networks []netip.Prefix

func parseNetworks(value string) (any, error) {
	var networks Networks
	for one := range strings.SplitSeq(value, ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(one))
		if err != nil {
			return nil, malformed{"not networks", formNetworks}
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// HostNames is a list of host names, separated by commas in the setting.
type HostNames []string

func parseHosts(value string) (any, error) {
	var hosts HostNames
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if name == "" || strings.ContainsFunc(name, func(c rune) bool {
			return c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
		}) {
			return nil, malformed{"not names of hosts, without a scheme, a port or a *", formHosts}
		}
		hosts = append(hosts, name)
	}
	return hosts, nil
}

func parseDuration(value string) (any, error) {
	d, err := time.ParseDuration(value)
	if err != nil {
		return nil, malformed{"not a duration", formDuration}
	}
	return d, nil
}
