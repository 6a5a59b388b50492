# `just` lists the recipes. Recipes do what .ci/run does, in parts and on demand.

set shell := ["bash", "-euc"]

golangci_lint := "go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0"

# List the recipes.
default:
    @just --list

# Everything before a commit: format, vet, lint, module files, builds for other systems; fails if git is dirty then.
check:
    {{ golangci_lint }} fmt
    go vet ./...
    {{ golangci_lint }} run ./...
    {{ replace(golangci_lint, 'go run', "go run -exec 'env GOOS=wasip1 GOARCH=wasm'") }} run --tests=false ./sdk/... ./examples/...
    go mod tidy
    go build ./...
    GOOS=linux GOARCH=arm64 go build ./...
    GOOS=darwin go build ./sdk/... ./host/...
    GOOS=windows go build ./sdk/... ./host/...
    test -z "$(git status --porcelain)" || { git status --short; exit 1; }

# All tests.
test:
    go test ./...

# The tests again under the race detector, where memory or goroutines are shared.
race:
    go test -race ./mpm/... ./host/... ./cmd/...

# Every fuzz target for a time: `just fuzz 10m`, `just fuzz 1m ./host/...`.
fuzz time='1m' packages='./...':
    .ci/fuzz {{ time }} {{ packages }}

# The simulator of the master's loop on fresh seeds: `just sim 200 5000` runs that many seeds of that many steps each.
sim seeds='500' steps='20000':
    go test -count=1 -v ./mpm/prefork -run TestSimulator -sim.seeds {{ seeds }} -sim.steps {{ steps }} -sim.fresh

# The tests on real processes, not cached.
e2e:
    go test -count=1 ./cmd/...

# The tests on real processes with their trials at full size, for some minutes; -v tells the numbers.
soak *ARGS:
    go test -count=1 -v -p 1 -timeout 60m ./mpm/prefork ./cmd/apphost {{ ARGS }} -soak

# Rebuild the committed guests that are not written in Go, by the command in their README (needs clang and wasm-ld).
guests:
    awk '/^clang/ { on = 1 } on { print } on && !/\\$/ { on = 0 }' {examples/{echo,hello},bench}/README.md | bash -eux

# Build, serve and talk to every example.
examples:
    go test -count=1 ./examples/...

# All of CI, as it runs on a fresh machine.
ci:
    .ci/run

# Compare with other servers, on a machine with nothing else to do: `just bench`, `just bench -quick`, `just bench -help`.
bench *ARGS:
    go run ./bench/compare {{ ARGS }}
