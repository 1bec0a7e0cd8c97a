# The commands of a developer; see CONTRIBUTING.md. CI runs the same: see .ci/run.

GO       ?= go
LINTER   := $(GO) tool -modfile=.ci/tools/go.mod golangci-lint
FUZZTIME ?= 30s
# The race detector leaves out what is only computation: SQLite and the C library under it, which are C code translated to Go,
# and the decoders of JSON and gzip. They would be many times slower, and it would check only their own code.
# A package that uses generic types of the standard library, such as sync.Map, must not be left out: the linker could use its
# copies of their methods for all packages, and the race detector would report races that are none.
RACE     := -race $(foreach package,modernc.org/sqlite/lib modernc.org/libc modernc.org/memory \
	github.com/go-json-experiment/json/jsontext compress/flate,-gcflags=$(package)=-race=false)
# Without the path of the checkout in what is compiled, the build cache serves every checkout.
test chaos: export GOFLAGS += -trimpath
# A program with the race detector otherwise waits for a second before it ends.
export GORACE ?= atexit_sleep_ms=0

.PHONY: run test chaos deps lint alerts manifests fmt fuzz bench

# Everything in one process, on http://127.0.0.1:8080, with sample data.
run:
	$(GO) run ./cmd/api standalone --demo

# All tests, on real servers that they start and stop themselves. Tests that run in parallel mostly wait, so there are more of
# them, and more packages at once, than the two processors of a small machine.
test: deps
	$(GO) test $(RACE) -count=1 -p=4 -parallel=4 -timeout=20m ./...

# Faults against the real programs, in parallel: at random for CHAOS_MINUTES (1), from a seed that is printed and that
# CHAOS_SEED sets; at every point where they can matter; a worker that is stopped; a disk that is full. With the time until
# all work is finished, this takes less than 5 minutes.
chaos: deps
	CHAOS_MINUTES=$(CHAOS_MINUTES) CHAOS_SEED=$(CHAOS_SEED) $(GO) test -v -count=1 -parallel=4 -timeout=24h -tags=chaos -run='^TestChaos' ./internal/chaos

# Installs the programs that the tests start, if they are missing.
deps:
	@.ci/install

# The first run builds the linter, which takes some minutes on a small machine.
lint:
	$(LINTER) run ./...

# Prometheus's own tool checks its configuration and its rules, and tests that every alert fires when it should. The first
# run builds the tool, which takes some minutes on a small machine.
PROMTOOL := $(GO) run -modfile=tools/go.mod -tags=remove_all_sd,enable_dns_sd github.com/prometheus/prometheus/cmd/promtool
alerts:
	cd deploy/prometheus/tools && $(GO) test -count=1 ./...
	cd deploy/prometheus && $(PROMTOOL) check config prometheus.yml && $(PROMTOOL) test rules alerts_test.yml

# Builds the Kubernetes manifests with kustomize, and decodes them into Kubernetes's own types.
manifests:
	cd deploy/kubernetes/validate && $(GO) test -count=1 ./...

fmt:
	$(LINTER) fmt ./...

# Runs each fuzz test that decodes a body or reads a file, for FUZZTIME.
fuzz:
	@set -e; for package in ./internal/api ./internal/rows; do \
		for target in $$($(GO) test -list='^Fuzz' $$package | grep '^Fuzz'); do \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$package; \
		done; \
	done

# Measures the service and what people would use instead, side by side in one run of some 25 minutes, and writes
# internal/bench/results.md and results.svg. To run parts of it: BENCH=accepted,carried,latency,beside,neighbours,idle,
# polling,bulk,upstream,scale,search. BENCH_LARGE=1 adds a job of ten million, BENCH_QUICK=1 only shows that all of it runs.
bench: deps
	cd internal/bench && $(GO) test -v -count=1 -timeout=60m -run='^TestBench$$' .
