# What a person types. Anything longer than a line lives in scripts/.
.PHONY: run test check bench fuzz fmt

CARGO ?= cargo

run: ## Build the server and start it on embedded defaults
	@echo "building causeway (the first build takes a few minutes) …"
	$(CARGO) build --release --package causeway
	./target/release/causeway serve

test: ## Install what the tests need and run everything
	scripts/install-test-tools
	$(MAKE) check
	$(CARGO) build --package causeway
	tests/e2e/run

check: ## The quick loop: format, lints, documents, unit and integration tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --quiet
	$(CARGO) test --workspace --quiet

bench: ## Compare with coturn on this machine
	@echo "there is no bench yet: see docs/performance.md" && exit 1

fuzz: ## Run each fuzz target for ten minutes
	@echo "there is no fuzz target yet" && exit 1

fmt:
	$(CARGO) fmt --all
