# What a developer does here. CI does the same: see .ci/run.

GO       ?= go
LINTER   := $(GO) tool -modfile=.ci/tools/go.mod golangci-lint
FUZZTIME ?= 30s
# SQLite is C code translated to Go, and many times slower when its every access is watched for races. What it
# does within a call is not ours to watch.
RACE     := -race -gcflags=modernc.org/sqlite/lib=-race=false

.PHONY: run test chaos deps lint alerts manifests fmt fuzz bench

# Everything in one process, on http://127.0.0.1:8080, with something to try.
run:
	$(GO) run ./cmd/api standalone --demo

# All tests, on real servers that they start and stop themselves.
test: deps
	$(GO) test $(RACE) -count=1 -timeout=20m ./...

# Faults against the real programs, side by side: at random for CHAOS_MINUTES (1), by a seed that is printed and can be
# given again as CHAOS_SEED; at every point where they can matter; a worker that is stopped; a disk that is full. With the
# time until all is done that is less than 5 minutes in all.
chaos: deps
	CHAOS_MINUTES=$(CHAOS_MINUTES) CHAOS_SEED=$(CHAOS_SEED) $(GO) test -v -count=1 -parallel=4 -timeout=24h -tags=chaos -run='^TestChaos' ./internal/chaos

# The programs that the tests start, where they are missing.
deps:
	@.ci/install

# The first time, this builds the linter: some minutes on a small machine.
lint:
	$(LINTER) run ./...

# What watches the service, read by Prometheus's own tool: its configuration, its rules, and that every alert fires when
# it should. The first time, this builds the tool: some minutes on a small machine.
PROMTOOL := $(GO) run -modfile=tools/go.mod -tags=remove_all_sd,enable_dns_sd github.com/prometheus/prometheus/cmd/promtool
alerts:
	cd deploy/prometheus/tools && $(GO) test -count=1 ./...
	cd deploy/prometheus && $(PROMTOOL) check config prometheus.yml && $(PROMTOOL) test rules alerts_test.yml

# What runs in a cluster, built by kustomize and decoded into Kubernetes's own types.
manifests:
	cd deploy/kubernetes/validate && $(GO) test -count=1 ./...

fmt:
	$(LINTER) fmt ./...

# Each fuzz test of what decodes a body or reads a file, for FUZZTIME.
fuzz:
	@set -e; for package in ./internal/api ./internal/rows; do \
		for target in $$($(GO) test -list='^Fuzz' $$package | grep '^Fuzz'); do \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$package; \
		done; \
	done

# Measures, side by side in one run of some 20 minutes, the service and what people would use instead, and writes
# internal/bench/results.md and results.svg. Parts of it alone: BENCH=accepted,carried,latency,beside,neighbours,idle,
# polling,bulk,upstream,scale. BENCH_LARGE=1 adds a job of ten million, BENCH_QUICK=1 only shows that all of it runs.
bench: deps
	cd internal/bench && $(GO) test -v -count=1 -timeout=60m -run='^TestBench$$' .
