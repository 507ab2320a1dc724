# Two commands do everything on a fresh machine with Python 3.11+, git and make: `make demo` and `make test`.
# uv is taken from the PATH, or put into .uv/ here; the system's Python is never touched.

UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --frozen
PYTHON ?= python3
QUESTION ?= Create a segment for users who purchased in the last 7 days but never added to a wishlist

# Where this is set, as in many containers, each of the hundred processes that tests start compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# Property tests that run on two shards as they do on one server.
ON_SHARDS := $(addprefix tests/,\
	$(addprefix language/test_,regressions.py laws.py identity.py moves.py narrowing.py evidence.py) \
	$(addprefix audiences/test_,spread.py live_refresh.py together.py uploads.py membership.py removals.py))

# Modules stay whole, and keep the order that tests/conftest.py puts them into: what is slow first.
AT_ONCE := -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: help demo fmt check quick test search cluster clients deploy package notes sbom audit image contract segops mutants chaos kills bench docs evals examples openapi

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

demo: $(UV) ## Start everything, load the demo shop, ask the copilot one question, stop
	@$(RUN) segment-copilot dev --ask "$(QUESTION)" --once

fmt: $(UV) ## Format the code and fix what can be fixed
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

check: $(UV) ## Formatting, lint, types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) pyright

test: $(UV) ## All tests, on real engines
	$(RUN) pytest $(AT_ONCE) -m "not clients and not deploy and not cluster and not package"

search: $(UV) ## The tests that try very many cases, with all of them
	SEARCH=full $(RUN) pytest $(AT_ONCE) -m search

quick: $(UV) ## The tests that need no engine
	$(RUN) pytest -n 2 --dist load -m "not engines and not slow and not clients and not deploy and not cluster and not package"

cluster: $(UV) ## Use cases, ingestion and the language on two shards of a ClickHouse cluster
	TEST_CLICKHOUSE_SHARDS=2 $(RUN) pytest $(AT_ONCE) tests/cluster $(ON_SHARDS)

clients: $(UV) ## Tools of others on the OpenAPI document: linters, generated clients, made-up requests
	$(RUN) pytest -n 2 --dist loadscope -m clients

deploy: $(UV) ## Files that start the service elsewhere: the chart rendered, everything judged by schemas and linters
	$(UV) run --frozen --group deploy pytest tests/deploy -n 0 -m "not package"

package: docs ## Build dist/, the sdist and the wheel with these docs in them, and start the wheel in a clean environment
	rm -rf dist
	$(UV) build --quiet --out-dir dist
	UV=$(abspath $(UV)) $(RUN) pytest tests/deploy/test_package.py -n 0 -m package

notes: ## Print a release's section of CHANGELOG.md (VERSION=0.1.0)
	@awk -v wanted="$(VERSION)" '/^## /{found = ($$2 == wanted); next} found' CHANGELOG.md | grep . || { echo "CHANGELOG.md has no section $(VERSION)" >&2; false; }

sbom: $(UV) ## Write sbom.json: what an installation consists of, by the lock file (CycloneDX)
	@$(UV) export --frozen --no-dev --all-extras --quiet --preview-features sbom-export --format cyclonedx1.5 --output-file sbom.json
	@echo "Written: sbom.json"

audit: $(UV) ## Ask OSV for advisories of everything in the lock file (AUDIT=required: not being answered is a failure too)
	@$(UV) audit --frozen --preview-features audit-command || { \
		[ $$? = 2 ] && [ "$(AUDIT)" != required ] && echo "audit: NOT RUN, the advisory service does not answer"; }

image: $(UV) ## Run the Dockerfile's steps by hand, and what they make in a read-only root of its own (as root, Linux)
	$(RUN) python -m tests.deploy.image $(UV)

contract: $(UV) ## Make up tens of thousands of requests from the document: all checks, all phases
	CONTRACT_EXAMPLES=100 $(RUN) pytest tests/api/test_conformance.py -n 0 -s

segops: $(UV) ## Call every method of SegOps' SDKs; the table is in docs/segops.md
	@$(RUN) python -m tests.service.segops

docs: $(UV) ## Build the site of docs/ with warnings as errors; a service started here serves it at /docs/
	@NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build
	@echo "Built. segment-copilot dev serves it at /docs/."

mutants: $(UV) ## Plant bugs in a copy of the compiler; the tests must see each
	$(RUN) python tests/mutants/run.py

chaos: $(UV) ## Plant fault after fault in the service under load; the table is in docs/operations/faults.md (FAULT=name …: these alone)
	$(RUN) python -m tests.chaos $(if $(FAULT),--only $(FAULT),--write docs/operations/faults.md)

kills: $(UV) ## Kill workers and stores while changes are delivered; none may be lost (KILLS=200 SEED=1)
	$(RUN) python -m tests.chaos.deliveries --kills $(or $(KILLS),200) --seed $(or $(SEED),1)

bench: $(UV) ## Measure; the tables are in benchmarks/README.md
	$(RUN) python benchmarks/run.py
	$(RUN) python benchmarks/planning.py

evals: $(UV) ## Ask the offline copilot every case; the reports are in evals/reports/latest
	@$(RUN) python -m evals lint
	@$(RUN) python -m evals run

examples: $(UV) ## Record the examples of the OpenAPI document from a service of their own
	@$(RUN) python -m tests.openapi

openapi: $(UV) ## Write openapi/openapi.json and openapi/protocol.json from the code
	$(RUN) segment-copilot openapi > openapi/openapi.json.new && mv openapi/openapi.json.new openapi/openapi.json
	$(RUN) segment-copilot protocol > openapi/protocol.json.new && mv openapi/protocol.json.new openapi/protocol.json

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet "uv>=0.9"
