# What a person types. Anything longer than a line lives in scripts/.
.PHONY: run console test test-fast-path check bench bench-fast-path soak-fast-path soak-server bench-api bench-calls bench-events bench-kvs fuzz fmt

CARGO ?= cargo
# Length of each of the bench's measurements; 0.6 makes two minutes in all.
BENCH_SECONDS ?= 0.6

run: console ## Build the server and start it on embedded defaults
	@echo "building causeway (the first build takes a few minutes) …"
	$(CARGO) build --release --package causeway
	./target/release/causeway serve

console: ## Build the web console that the program carries
	scripts/build-console

test: ## Install what the tests need and run everything
	scripts/install-test-tools
	scripts/build-console
	$(MAKE) check
	$(CARGO) build --package causeway --package causeway-bench
	tests/e2e/run
	E2E_LAYOUT=apart-short E2E_FAST_PATH=xdp tests/e2e/run

test-fast-path: ## As root: every test of the relay with the server on a host of its own, with each path
	$(CARGO) build --package causeway
	@for path in off tc xdp; do echo "fast path: $$path"; E2E_LAYOUT=apart E2E_FAST_PATH=$$path tests/e2e/run || exit 1; done

check: ## The quick loop: format, lints, documents, unit and integration tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --quiet
	$(CARGO) test --workspace --quiet
	scripts/check-console

bench: ## Compare with coturn on this machine and write docs/performance.md
	$(CARGO) build --release --package causeway
	$(CARGO) run --release --package causeway-bench -- --seconds $(BENCH_SECONDS) --write docs/performance.md
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) bench-fast-path; else echo "the fast path is measured as root: sudo make bench-fast-path"; fi

bench-fast-path: ## As root: the same for the kernel fast path, into docs/performance-fast-path.md
	$(CARGO) build --release --package causeway
	$(CARGO) run --release --package causeway-bench -- --fast-path --seconds $(BENCH_SECONDS) --write docs/performance-fast-path.md

SOAK_SECONDS ?= 600
soak-fast-path: ## As root: 20 000 channels that come and go in the kernel for ten minutes, every packet judged
	$(CARGO) run --release --package causeway-bench --bin fast-path-soak -- --seconds $(SOAK_SECONDS)

soak-server: ## As root: the same with a server and TURN clients, whose allocations end in every way
	$(CARGO) build --release --package causeway
	$(CARGO) run --release --package causeway-bench --bin fast-path-soak -- --through server --seconds $(SOAK_SECONDS)

bench-api: ## Measure the API on this machine and write docs/performance-api.md
	$(CARGO) build --release --package causeway
	$(CARGO) run --release --package causeway-bench --bin api-bench -- --write docs/performance-api.md

bench-calls: ## Hold 20 000 registered clients, set up 200 calls a second, write docs/performance-calls.md
	$(CARGO) build --release --package causeway
	$(CARGO) run --release --package causeway-bench --bin calls -- --write docs/performance-calls.md

bench-events: ## Send 50 000 events a second through the bus to Redis
	$(CARGO) run --release --package causeway-bench --bin events

bench-kvs: ## Verify AWS signatures and hold 100 000 idle signalling connections
	$(CARGO) build --release --package causeway
	$(CARGO) run --release --package causeway-bench --bin kvs -- --connections 100000
	$(CARGO) run --release --package causeway-bench --bin kvs -- --connections 100000 --tls --seconds 1

fuzz: ## Run each fuzz target for FUZZ_SECONDS (ten minutes)
	scripts/fuzz

fmt:
	$(CARGO) fmt --all
