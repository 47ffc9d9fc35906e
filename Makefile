# Every target does its own set-up, in .venv/ and .cache/ only.

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
PYTHON3 ?= python3
DEMO_SECONDS ?=
BROKER ?= embedded
KAFKA_PORT ?= 9092
SOAK_MINUTES ?= 10
# All faults write tests/chaos/REPORT.md; a few of them (CHAOS=short) .cache/chaos/REPORT.md.
CHAOS ?= all
# Test files run side by side: most of the time of those with servers is waiting.
JOBS ?= 3

.PHONY: image compiled python check-compiled setup demo test browser clients snippet snippet-tools chaos soak check bench kafka kafka-libs servers lock clean

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@echo "setting up $(VENV) ..."
	@$(PYTHON3) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON3=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON3) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## the whole thing on this machine; DEMO_SECONDS=20 ends by itself with one line of JSON
	@$(VENV)/bin/avert demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

test: $(STAMP) servers  ## BROKER=kafka takes Apache Kafka wherever a broker is needed
	@$(PYTHON) -m pytest -n $(JOBS) --dist loadfile -m "not kafka and not browser and not clients and not image" --broker $(BROKER) $(TESTS)

image: $(STAMP)  ## the image's commands, and the compose file's, run without Docker (Linux; downloads its packages): minutes
	@$(PYTHON) -m pytest -m image tests/ops $(TESTS)

browser: $(STAMP) snippet-tools servers  ## the snippet and the demo shop in a real chromium: two minutes or so
	@tests/support/servers.sh chromium
	@$(PYTHON) -m pytest -m browser $(TESTS)

clients: $(STAMP) servers  ## the trackers' SDKs, as their owners publish them, against the running program: minutes
	@tests/support/servers.sh nodejs npm chromium
	@$(PYTHON) -m tests.clients.install
	@$(PYTHON) -m pytest -m clients --broker $(BROKER) tests/clients $(TESTS)

snippet: snippet-tools  ## streams/http/snippet/avert.min.js from the source beside it
	@node streams/http/snippet/build.mjs .cache/snippet

snippet-tools:
	@tests/support/servers.sh nodejs npm
	@mkdir -p .cache/snippet
	@cmp -s streams/http/snippet/package-lock.json .cache/snippet/package-lock.json || { \
	  cp streams/http/snippet/package.json streams/http/snippet/package-lock.json .cache/snippet/ && \
	  npm ci --prefix .cache/snippet --silent --no-audit --no-fund || { rm .cache/snippet/package-lock.json; exit 1; }; }

compiled: $(STAMP)  ## the core compiled by mypyc in this tree (needs a C compiler); `make python` goes back
	@AVERT_COMPILE=1 $(PYTHON) setup.py --quiet build_ext --inplace

python: $(STAMP)  ## the core as it is written
	@find streams -name "*.so" -delete

# The engine and the worker's loop as compiled; what takes a broker's faults and minutes stays with `make test`.
check-compiled: $(STAMP) servers  ## the compiled core passes the same tests; ends as it is written, whatever happens
	@$(MAKE) --no-print-directory compiled
	@$(PYTHON) -m pytest -n $(JOBS) --dist loadfile -m "not kafka" tests/core tests/worker tests/backtest \
	  --deselect tests/worker/test_reload_worker.py::test_a_hundred_reloads_under_load_lose_nothing $(TESTS); \
	  code=$$?; $(MAKE) --no-print-directory python; exit $$code

chaos: $(STAMP) servers  ## every fault on Apache Kafka, half an hour; CHAOS=short: some minutes, for every change
	@$(PYTHON) -m tests.chaos $(if $(filter short,$(CHAOS)),--short) $(TESTS)

soak: $(STAMP) servers  ## SOAK_MINUTES of a steady load, visitors coming and going; is the memory flat?
	@$(PYTHON) -m tests.chaos.soak --minutes $(SOAK_MINUTES)

check: $(STAMP)
	@$(VENV)/bin/ruff check --output-format concise .
	@$(VENV)/bin/mypy
	@$(PYTHON) -m pytest tests/test_house.py tests/core --cov=streams.core --cov-branch --cov-report=term:skip-covered --cov-fail-under=100

bench: $(STAMP) servers  ## the program beside its peers; an hour and a half. BENCH="--only jobs", "--quick": some of it
	@$(PYTHON) -m bench $(BENCH)

kafka: $(STAMP) kafka-libs  ## one Apache Kafka node on 127.0.0.1:$(KAFKA_PORT), in the foreground
	@$(PYTHON) -m streams.embedded.kafka --port $(KAFKA_PORT)

kafka-libs: $(STAMP)  ## Apache Kafka's jars from Maven Central into .cache/kafka/libs
	@$(PYTHON) -m streams.embedded.kafka --fetch

servers: $(STAMP)  ## what the tests need besides the wheels: Java with Apache Kafka's jars, Prometheus
	@tests/support/servers.sh
	@$(PYTHON) -m streams.embedded.kafka --fetch > /dev/null

lock: pyproject.toml  ## exact versions with hashes of everything that pyproject.toml asks for
	@$(PYTHON3) -m venv .cache/lock
	@.cache/lock/bin/pip install --quiet --disable-pip-version-check uv
	@.cache/lock/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock
	@# of the image: without the extras, at the same versions; and what the program is built with
	@.cache/lock/bin/uv pip compile pyproject.toml --constraint requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements-run.lock
	@echo 'setuptools>=70.1' | .cache/lock/bin/uv pip compile - --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements-build.lock

clean:
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache
