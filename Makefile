# Everything sets up .venv by itself; only Python 3.11 (or newer) and make must be there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUNBOOK = .venv/bin/runbook
DB ?=
PLAN ?=
ARGS ?=

# The tests start Python hundreds of times: with this set, each compiles the runbook anew.
unexport PYTHONDONTWRITEBYTECODE

# A run waits for the disk a hundred times. Tests of what a disk does make their own; all others
# write to memory, where there are some gigabytes of it. TEMPORARY= for the disk.
TEMPORARY ?= $(shell awk '/^MemAvailable/ && $$2 > 8000000 { enough = 1 } END { exit !enough }' \
  /proc/meminfo 2>/dev/null && [ "$$(df -Pk /dev/shm | awk 'END { print $$4 }')" -gt 6000000 ] && \
  [ -w /dev/shm ] && echo /dev/shm)
test test-d1 test-pythons test-sqlite faults: export PYTEST_DEBUG_TEMPROOT = $(TEMPORARY)

# The Pythons that pyproject.toml admits, tested as far as the machine has them beside .venv's own.
PYTHONS ?= 3.11 3.12 3.13

# The short form of the tests: all units, and whole runs there and back.
SHORT = -q -n auto --dist loadgroup -m "not slow and not d1_long and not long" tests/unit \
  tests/integration/test_rollback_stage.py tests/integration/test_gate.py \
  tests/integration/test_archive_of_a_run.py tests/integration/test_ctrl_c.py \
  tests/integration/test_rollback_strict.py

.PHONY: run test test-d1 test-pythons test-sqlite check lab faults proof bench notebooks pins browser d1 clean

# The main job: on a fresh sample database, or on yours with DB=app.db PLAN=plan.toml.
run: .venv/ready
ifeq ($(DB),)
	@rm -f sample/run.db
	$(RUNBOOK) sample sample/run.db
	$(RUNBOOK) run --database sample/run.db --yes $(ARGS)
else
	$(RUNBOOK) run --database "$(DB)" $(if $(PLAN),--plan "$(PLAN)") $(ARGS)
endif

# Tests start processes, and wait for them: three for two processors are fastest.
WORKERS ?= $(shell echo $$(( ($$(nproc) * 3 + 1) / 2 )))

# All tests but the long ones; browser and D1's engine included where they can be had.
test: .venv/ready browser d1
	.venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup --durations 10 -m "not d1_long and not long" $(ARGS)

# All tests of D1, on the real engine, for many minutes; RUNBOOK_FAULTS=full for every kill. Once with
# the pinned wrangler, and once with the newest.
test-d1: .venv/ready d1
	.venv/bin/python -m pytest -n 2 --dist loadgroup tests/d1 $(ARGS)
	@.venv/bin/python -m runbook.targets.d1.install --newest
	RUNBOOK_WRANGLER=$(CURDIR)/.tools/d1-newest/node_modules/wrangler \
	  .venv/bin/python -m pytest -n 2 --dist loadgroup tests/d1 $(ARGS)

# The short form on each other Python; pyenv's are found too. Environments are kept in build/.
test-pythons:
	@for version in $(PYTHONS); do \
	  python=$$(command -v python$$version); "$$python" -c "" 2>/dev/null || \
	    python=$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python 2>/dev/null | tail -1); \
	  if [ -z "$$python" ]; then echo "Python $$version is not on this machine: not tested."; continue; fi; \
	  if [ -e .venv/bin/python$$version ]; then continue; fi; \
	  folder=build/python-$$version; \
	  if [ ! $$folder/ready -nt requirements.txt ]; then \
	    echo "Setting up Python $$version"; \
	    "$$python" -m venv $$folder && \
	    $$folder/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
	      -r requirements.txt && touch $$folder/ready || \
	      { echo "What Python $$version needs cannot be installed: not tested."; exit 1; }; \
	  fi; \
	  echo "Python $$version"; \
	  PYTHONPATH=$(CURDIR) $$folder/bin/python -m pytest $(SHORT) $(ARGS) || exit 1; \
	done

# The short form with a newest SQLite in the place of the standard library's.
test-sqlite: .venv/ready
	@if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade \
	  --target build/sqlite pysqlite3-binary && [ ! -d build/sqlite/pysqlite3 ]; then \
	  echo "A newest SQLite (pysqlite3-binary) cannot be had: not tested."; exit 0; \
	fi; \
	export PYTHONPATH=$(CURDIR)/tests/support/newest_sqlite:$(CURDIR)/build/sqlite:$(CURDIR) && \
	.venv/bin/python -c "import sqlite3; print('SQLite', sqlite3.sqlite_version)" && \
	.venv/bin/python -m pytest $(SHORT) $(ARGS)

check: .venv/ready
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# JupyterLab on the notebooks, with a sample database where their parameters look for one.
lab: .venv/ready sample/sample.db sample/tenants
	.venv/bin/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_preflight.ipynb $(ARGS)

# What `make test` leaves out: the faults of tests/faults and tests/fleet in full, with hundreds of
# kills; the long tests of all else; and what Hypothesis finds with fresh seeds.
FULL = RUNBOOK_FAULTS=full .venv/bin/python -m pytest -n auto --dist loadgroup
faults: .venv/ready browser
	$(FULL) tests/faults tests/fleet tests/integration/test_ten_times.py tests/integration/test_begin.py $(ARGS)
	.venv/bin/python -m pytest -n auto --dist loadgroup -m long tests/unit tests/integration tests/browser $(ARGS)
	RUNBOOK_EXPLORE=1 .venv/bin/python -m pytest -n auto --dist loadgroup -m "not slow and not long" tests/unit \
	  tests/integration/test_*property.py tests/integration/test_shortcuts.py \
	  tests/integration/test_queries.py $(ARGS)

# The mutation matrix of docs/proof.md anew: thousands of mutants, for about twenty minutes.
# RUNBOOK_MUTANTS=DIR keeps what was done, so that a run that was stopped can be gone on with.
proof: .venv/ready
	.venv/bin/python -m tests.support.proof $(ARGS)

bench: .venv/ready
	.venv/bin/python -m tests.benchmarks $(ARGS)

# Executes the notebooks on a fresh sample and keeps their outputs; the pictures in docs/images too.
notebooks: .venv/ready
	.venv/bin/python -m tests.support.notebooks
	.venv/bin/python -m tests.support.pictures

# Headless Chromium for the tests in tests/browser; without it they are skipped and say so.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 || \
	  echo "Chromium is missing and cannot be installed from here: its tests will be skipped."

# Node and wrangler for the tests of D1; without them they are skipped and say so.
d1: .venv/ready
	@.venv/bin/python -m runbook.targets.d1.install || \
	  echo "The tests of D1 will be skipped."

# requirements.txt anew, from what .venv holds.
pins:
	@{ sed -n '1,/^$$/{/^#/p}' requirements.txt; \
	   .venv/bin/pip freeze --all --exclude pip --exclude-editable; echo "-e ."; } > requirements.new
	@mv requirements.new requirements.txt

sample/sample.db: | .venv/ready
	$(RUNBOOK) sample $@

sample/tenants: | .venv/ready
	for n in 1 2 3 4; do $(RUNBOOK) sample $@/t$$n.db --users 20 --projects 50 --seed $$n; done

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

clean:
	rm -rf .venv .tools build runs sample
