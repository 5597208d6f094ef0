# make run: serve the map with demonstration data.  make test: every check.  make bench: the figures.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
PY := .venv/bin/python
HOST ?= 127.0.0.1
PORT ?= 8501

.PHONY: setup run test test-slow lint bench lock clean

setup: .venv/.ready-dev

.venv/.ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "需要 Python 3.11 或更新版本 / Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/.ready-spark: .venv/.ready requirements-spark.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-spark.txt
	@touch $@

run: .venv/.ready
	$(PY) -m dashboard demo --if-empty
	$(PY) -m dashboard serve --host $(HOST) --port $(PORT)

lint: .venv/.ready-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

test: lint
	$(PY) -m tests.ensure_chromium
	$(PY) -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: .venv/.ready-dev .venv/.ready-spark
	$(PY) -m tests.ensure_chromium
	$(PY) -m pytest -m slow

bench: .venv/.ready-dev .venv/.ready-spark
	$(PY) -m tests.ensure_chromium
	$(PY) -m bench

# Needs uv; rewrites the pins from requirements.in, requirements-dev.in and requirements-spark.in.
lock:
	uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		requirements.in -o requirements.txt
	uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		requirements-dev.in -o requirements-dev.txt
	uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		requirements-spark.in -o requirements-spark.txt

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache bench/out tests/out
