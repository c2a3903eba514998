# Needs Python (with venv and pip) and make; everything else is installed into .venv.
#
#   make demo     set up, and run the demonstration pipeline
#   make test     set up, and run the tests; ARGS="-k fetch" passes options to pytest
#   make interop  set up, with DataJoint 0.14 beside it, and run the tests that share databases
#   make soak     set up, and run the tests with random definitions long; EXAMPLES=1000
#   make soak-queries  set up, and compare random queries with a model; EXAMPLES=20000
#   make soak-stores  set up, and let processes insert, delete, fetch and collect; SECONDS=60
#   make soak-populate  set up, and let processes populate one SQLite file; SECONDS=300
#   make benchmark  set up, and time restrictions by many keys and large results
#   make benchmark-blobs  set up, and time packing and unpacking beside DataJoint 0.14
#   make fuzz     set up, and unpack hostile blobs; EXAMPLES=1000000
#   make benchmark-stores  set up, with DataJoint 0.14 beside it, and time objects in stores
#   make benchmark-populate  set up, with DataJoint 0.14 and 2.3 beside it, and time populate
#   make faults   set up, and let workers, servers, network and disk fail while tables are populated
#   make lint     set up, and check style and types
#   make docs     set up, and build the documentation into site/
#   make clean    remove all that was made

PYTHON   ?= python3
VENV     ?= .venv
ARGS     ?=
EXAMPLES ?= 1000
# Each process starts database servers of its own.
PARALLEL ?= --numprocesses=auto --maxprocesses=4 --dist=loadfile

# Many processes are started, each of which would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test interop soak soak-queries soak-stores soak-populate fuzz
.PHONY: benchmark benchmark-blobs benchmark-stores benchmark-populate faults lint docs clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo
	$(BIN)/datajoint demo

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

interop: $(VENV)/.test $(VENV)/.incumbent
	$(BIN)/python -m pytest tests/interop $(ARGS)

soak: $(VENV)/.test
	DJ_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m random $(ARGS)

# Other queries each time, each database in a process of its own.
soak-queries: EXAMPLES = 20000
soak-queries: $(VENV)/.test
	DJ_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/behaviour/test_algebra_model.py \
		--hypothesis-profile=search --numprocesses=3 --dist=load -rP $(ARGS)

soak-stores: SECONDS = 60
soak-stores: $(VENV)/.test
	DJ_TEST_SECONDS=$(SECONDS) $(BIN)/python -m pytest tests/behaviour/test_stores_garbage.py \
		-k processes $(ARGS)

soak-populate: SECONDS = 300
soak-populate: $(VENV)/.test
	DJ_TEST_SECONDS=$(SECONDS) $(BIN)/python -m pytest tests/behaviour/test_populate_soak.py \
		-k sqlite $(ARGS)

benchmark: $(VENV)/.test
	$(BIN)/python benchmarks/queries.py

benchmark-blobs: $(VENV)/.test $(VENV)/.incumbent
	$(BIN)/python benchmarks/blobs.py

# Other blobs each time; SEED=, which it prints, repeats them.
fuzz: EXAMPLES = 1000000
fuzz: $(VENV)/.test
	$(BIN)/python tests/fuzz/fuzz_blob.py --cases $(EXAMPLES) $(if $(SEED),--seed $(SEED))

benchmark-stores: $(VENV)/.test $(VENV)/.incumbent
	$(BIN)/python benchmarks/stores.py

benchmark-populate: $(VENV)/.test $(VENV)/.incumbent $(VENV)/.incumbent2
	$(BIN)/python benchmarks/populate.py

# The table of faults and databases.
faults: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m faults.table $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy --strict src

docs: $(VENV)/.dev
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site fuzz-failures .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f datajoint_demo.db datajoint_demo.db-shm datajoint_demo.db-wal demo.png
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is noted by an empty file each, so that nothing is installed twice.

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=/path/to/python …")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: EXTRAS = demo
$(VENV)/.test: EXTRAS = test,demo
$(VENV)/.dev: EXTRAS = dev,test,demo

$(VENV)/.demo $(VENV)/.test $(VENV)/.dev: pyproject.toml | $(VENV)/.created
	@echo "Installing datajoint[$(EXTRAS)] into $(VENV) …"
	@$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@

# Other programs that work on the same databases, in environments of their own.
$(VENV)/.incumbent: OTHER = 0.14.10
$(VENV)/.incumbent2: OTHER = 2.3.5

$(VENV)/.incumbent $(VENV)/.incumbent2: $(VENV)/.%: | $(VENV)/.created
	@echo "Installing DataJoint $(OTHER) into $(VENV)/$* …"
	@$(PYTHON) -m venv $(VENV)/$*
	@$(VENV)/$*/bin/python -m pip install --quiet --disable-pip-version-check datajoint==$(OTHER)
	@touch $@
