# Two commands matter: `make demo` serves sample mail, `make test` runs the whole suite. Both set everything up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SUITE := tests
FUZZ_SECONDS ?= 3600
STRESS_SECONDS ?= 600

.PHONY: demo test lint fuzz stress crash bench clean

demo: $(READY)
	$(BIN)/culverhouse demo $(if $(DIR),--dir $(DIR))

test: lint
	$(BIN)/python -m pytest -q -p no:cacheprovider -n auto --dist loadfile $(SUITE)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy src

# Long campaigns; each has a short form inside `make test`.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

stress: $(READY)
	$(BIN)/python -m tests.stress --seconds $(STRESS_SECONDS)

crash: $(READY)
	CULVERHOUSE_LONG=1 $(BIN)/python -m pytest -q -p no:cacheprovider tests/crash

bench: $(READY)
	$(BIN)/python -m benchmarks.run

$(READY): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else 1)' || \
	  { echo "Culverhouse needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .hypothesis
