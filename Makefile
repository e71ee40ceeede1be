# make demo   the box's packages in .venv, a phantom analysed, the report's path as the last line
# make test   all extras in the same .venv, then lint, types, contracts, tests
# make bench-peers [INTO=docs/speed.md]   every bar of speed, and Scanside beside PyTorch, lungmask and others, as Markdown
# make figures DATA=DIR [OUT=DIR]   measures docs/figures.md anew, a file a command; cut short, it goes on where it was
# make fuzz   damages files at random and reads them, for 20 minutes
# make languages   the catalogues of the page, from the texts in the code
# make release  everything that a box without internet needs, as one tar in dist/
# make release-permissive DATA=DIR   a second bundle from permissively licensed scans alone, trained, as one file in dist/
# make docs   docs/cli.md, docs/reason-codes.md and docs/settings.md, written from the code itself
PYTHON ?= python3
BIN := .venv/bin
# Modules are compiled when they are first imported, which most of them never are: a third of an installation's time.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
MAKEFLAGS += --no-print-directory
# A shell that forbids it would have each process compile all that it imports anew, and each figure measure that.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := demo
.PHONY: demo test test-box test-export lint bench bench-peers figures fuzz release release-permissive docs clean languages

demo: .venv/box.stamp
	@$(BIN)/scanside demo --output demo-out

# The exporter's tests run apart: what they load (torch, NNCF: gigabytes) is never in a process that tests the box.
# NumPy has one thread: its pool of threads in each would make drawing phantoms five times slower. One that has
# nothing left takes tests of another; what is expensive is made once for all of them (tests/kit/made_once.py).
# The box's tests wait for their children for a third of the time and more: the exporter's, in one process, and lint use it,
# and there are half as many processes again as cores.
# A process that dies ends the run: replaced, it would leave its tests waiting for ever.
PYTEST = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q --dist worksteal --max-worker-restart 0

test: .venv/all.stamp
	@$(MAKE) --jobs 3 lint test-box test-export

test-box: .venv/all.stamp
	@$(PYTEST) --numprocesses $$(( $$(nproc) * 3 / 2 )) --ignore tests/export

test-export: .venv/all.stamp
	@$(PYTEST) --numprocesses 1 tests/export

lint: .venv/all.stamp
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# What others take for the same, beside Scanside in one run: Markdown for docs/speed.md. lungmask (Apache-2.0) and SimpleITK are
# peers only, no dependency: they lie in .peers, and torch is taken from the extra `export`.
bench-peers: .venv/all.stamp .peers
	@$(BIN)/python benchmarks/peers.py $(if $(INTO),--into $(INTO))

.peers:
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile --no-deps --target .peers \
		lungmask SimpleITK fill-voids fastremap scikit-image more-itertools imageio lazy-loader tifffile networkx

bench: .venv/all.stamp
	@$(BIN)/python -m pytest -q benchmarks --benchmark-only -o python_files="bench_*.py" -o timeout=0

figures: .venv/all.stamp
	@test -d "$(DATA)/ct" || { echo "say where the scans are: make figures DATA=DIR, a folder with ct" >&2; exit 2; }
	@$(BIN)/python benchmarks/figures.py "$(DATA)" "$(or $(OUT),figures-out)"

fuzz: .venv/all.stamp
	@PYTHONPATH=runtime:tests $(BIN)/python -m tests.sweeps.fuzz_reader

release: .venv/all.stamp
	@$(BIN)/python systemd/make_release.py dist $(if $(KEY),--key $(KEY))

# Two trainings of half an hour to some hours on a core; cut short, it goes on where it stopped. KEY signs the file.
EXPORT := OPENBLAS_NUM_THREADS=1 $(BIN)/scanside-export
PERMISSIVE := dist/permissive
PERMISSIVE_VERSION ?= 0.1.0
PERMISSIVE_BUNDLE := $(PERMISSIVE)/scanside-chest-permissive
TRAIN := --cases $(PERMISSIVE)/cases --runs $(PERMISSIVE)/runs $(if $(SAMPLES),--samples $(SAMPLES))

release-permissive: .venv/all.stamp
	@test -d "$(DATA)/ct" || { echo "say where the scans are: make release-permissive DATA=DIR, a folder with ct" >&2; exit 2; }
	@test -e $(PERMISSIVE)/cases/digest.json || $(EXPORT) prepare --permissive --data "$(DATA)" --cases $(PERMISSIVE)/cases
	@$(EXPORT) train lungs $(TRAIN) --recipe export/scanside_export/recipes/lungs_pretraining.toml
	@$(EXPORT) train infection $(TRAIN) --recipe export/scanside_export/recipes/infection_pretraining.toml
	@$(EXPORT) export --runs $(PERMISSIVE)/runs --work $(PERMISSIVE)/work
	@$(EXPORT) quantize --runs $(PERMISSIVE)/runs --work $(PERMISSIVE)/work --cases $(PERMISSIVE)/cases
	@$(EXPORT) bundle --runs $(PERMISSIVE)/runs --work $(PERMISSIVE)/work --out $(PERMISSIVE_BUNDLE) \
		--name scanside-chest-permissive --version $(PERMISSIVE_VERSION)
ifdef KEY
	@$(EXPORT) sign $(PERMISSIVE_BUNDLE) --key $(KEY) --out dist/scanside-chest-permissive-$(PERMISSIVE_VERSION).zip
else
	@tar -C $(PERMISSIVE) -cf dist/scanside-chest-permissive-$(PERMISSIVE_VERSION).tar scanside-chest-permissive
	@echo dist/scanside-chest-permissive-$(PERMISSIVE_VERSION).tar
endif

docs: .venv/all.stamp
	@$(BIN)/python docs/generate.py

languages: .venv/all.stamp
	@$(BIN)/python docs/catalogues.py

clean:
	rm -rf .venv .peers demo-out dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache

# A pip as old as the Python it came with takes two and a half times as long to find out which packages fit each other.
.venv/bin/python:
	@$(PYTHON) -m venv .venv
	@$(INSTALL) --upgrade pip

.venv/box.stamp: pyproject.toml | .venv/bin/python
	@$(INSTALL) --editable .
	@touch $@

# All extras hold the box's packages too, so that a demo after the tests installs nothing.
.venv/all.stamp: pyproject.toml | .venv/bin/python
	@$(INSTALL) --editable ".[export,cohort,dicom-network,serve,dev]"
	@touch $@ .venv/box.stamp
