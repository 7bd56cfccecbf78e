# Everything a developer does here. `make` alone lists it.

GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK = go run golang.org/x/vuln/cmd/govulncheck@v1.8.0

.DEFAULT_GOAL := help
.PHONY: help build test race test-all lint generate fuzz fuzz-parsers vuln demo bench chaos

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build ./waggle
	go build -o waggle .

test: ## Run the tests; PostgreSQL and Redis too where TEST_DATABASE_URL and TEST_REDIS_URL are set
	go test $(ARGS) ./...

race: ## Run the tests with the race detector (needs a C compiler)
	go test -race $(ARGS) ./...

test-all: ## Everything that must hold before a merge, on servers of its own: PostgreSQL, Redis, linter, demo
	.ci/run

lint: ## Run the linter, with the import rule of .golangci.yml
	$(GOLANGCI_LINT) run --allow-parallel-runners $(ARGS) ./...

generate: ## Regenerate what is generated: api/gen from openapi.yaml, README's table from the flags
	go generate ./...

# Counted, not timed: a time that is over can end go test with a failure that is none (go.dev/issue/75804).
FUZZ_EXECS ?= 300000
FUZZ_IN ?= .
fuzz: fuzz-parsers ## Fuzz every operation of the API and every parser, about half a minute each
	FUZZ_SECONDS=30 FUZZ_SEED=$$(date +%s) go test ./api -count=1 -v -run TestFuzzOperations

fuzz-parsers: ## Fuzz the parsers alone: make fuzz-parsers FUZZ_IN=channels FUZZ_EXECS=50000
	set -e; grep -rl --include='*_test.go' '^func Fuzz' $(FUZZ_IN) | sort | while read -r file; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$$file"); do \
	    go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ_EXECS)x; done; done

vuln: ## Look for known vulnerabilities in what is built in (asks vuln.go.dev)
	$(GOVULNCHECK) $(ARGS) ./...

demo: ## Try Waggle: doubles of Telegram, a custom messenger and Creatio
	go run . demo

ONLY ?=
bench: ## Measure everything that README promises, beside pgbench and SQLite alone, and draw it: make bench ONLY=inbound,push
	go run ./proof/bench -only "$(ONLY)"

MINUTES ?= 3
SEED ?= 0
chaos: ## Let everything fail at random around real processes, and count afterwards: make chaos MINUTES=30 SEED=7; 0: any seed
	go run ./proof/chaos -minutes $(MINUTES) -seed $(SEED)
