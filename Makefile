# make demo    mutate a trained model, look at the mutant, measure its accuracy; then sweep over noise scales
# make quick   style, types, import contracts, and the quickest tests of each room: under 90 s on two cores
# make test    everything that CI runs: style, types, import contracts, all tests
# make thorough  all tests with all of their cases and examples, of which `make test` takes shares
# make bench   time and memory, as a table in build/bench/
# make fuzz    damaged and hostile inputs, for MINUTES=10 minutes, of SEED=1
# make faults  signals and full disks, at POINTS=200 points of each; disks need root
# make table   docs/architecture-table.md: every structural op on real architectures, in hours; ONLY=digits for one row
# make clean   remove what the others made
#
# All need Python 3.11 or newer and a package index. PYTHON=… names another interpreter, JOBS=… the number of test
# processes. Packages go into .venv, outputs into build/.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
JOBS ?= 2
MINUTES ?= 10
SEED ?= 1
POINTS ?= 200
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Tests start hundreds of processes. Without bytecode each would compile the package again, which takes as long as a
# short call does, and the asserts of all tests would be rewritten each time.
unexport PYTHONDONTWRITEBYTECODE

# Tests of layers inside layers use keras-hub. All of its dependencies would include TensorFlow's other distribution, in
# addition to tensorflow-cpu, for tokenizers that no test needs. So only what its import needs is installed.
HUB := keras-hub==0.32.0 kagglehub==1.0.2 kagglesdk==0.1.28 regex tokenizers

MODEL := conf/model/digits.keras
PLAN := conf/plan/dense_noise.yaml
MUTANT := build/demo/mutant.keras
DEEPER := build/demo/deeper.keras
SWEEP := build/demo/sweep
# A comma inside the arguments of $(call …).
, := ,
STYLE := "ruff check ." "ruff format --check ." "mypy" "lint-imports --no-logo"
# Each process begins with a run of neighbours and, once done, takes half of what another has left: files stay together,
# so that what their tests share is made once, and the processes end together.
PYTEST := pytest -n $(JOBS) --dist worksteal

# Print a command as a user would type it, then run it.
run = @printf '\n$$ %s\n' '$(1)'; $(1)

# Every check runs, even after one failed. The summary is at the end.
check = @failed=0; summary=; \
	for check in $(1); do \
	  printf '\n$$ %s\n' "$$check"; start=$$(date +%s); \
	  if $$check; then result=passed; else result=FAILED; failed=1; fi; \
	  summary="$$summary$$(printf '%-7s %5d s  %s' $$result $$(($$(date +%s) - start)) "$$check")\n"; \
	done; \
	printf "\n$$summary$(2)"; exit $$failed

# What the summary says where the tests of the report's page in a browser are skipped.
NO_BROWSER = $(if $(shell command -v chromium),,skipped          tests in a browser: there is no chromium here\n)

.PHONY: help demo quick test thorough bench fuzz faults table clean
help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: .venv/demo.installed
	@mkdir -p build/demo
	$(call run,cat $(PLAN))
	$(call run,mutspec validate $(PLAN) --model $(MODEL))
	$(call run,mutspec apply $(PLAN) $(MODEL) --dry-run)
	$(call run,mutspec apply $(PLAN) $(MODEL) -o $(MUTANT) --diff --force)
	$(call run,mutspec diff $(MODEL) $(MUTANT)) || { test $$? -eq 1 && echo "(exit code 1: the models differ)"; }
	$(call run,mutspec apply insert_adapter $(MODEL) -o $(DEEPER) --force)
	$(call run,python conf/model/digits.py accuracy $(MODEL) $(MUTANT) $(DEEPER))
	@rm -rf $(SWEEP)
	$(call run,mutspec run -m plan=dense_noise plan.params.std=0.01$(,)0.03$(,)0.1$(,)0.3$(,)1 "plan.seed=range(5)" hydra.sweep.dir=$(SWEEP))

quick: .venv/dev.installed
	$(call check,$(STYLE) "$(PYTEST) -q @tests/quick.txt",)

test: .venv/dev.installed
	$(call check,$(STYLE) "$(PYTEST)",$(NO_BROWSER))

thorough: .venv/dev.installed
	MUTSPEC_TESTS=thorough $(PYTEST)

bench: .venv/dev.installed
	python benchmarks/run.py
	python benchmarks/structure.py
	python benchmarks/live.py
	python benchmarks/sweep.py
	python benchmarks/report.py
	python benchmarks/sensitivity.py
	python benchmarks/lock.py

fuzz: .venv/dev.installed
	python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

faults: .venv/dev.installed
	python -m tests.fuzz.faults --points $(POINTS) --seed $(SEED)

table: .venv/dev.installed
	python -m tests.architecture_table --write $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/%.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mutspec needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Call make with PYTHON=…"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing packages into .venv; with TensorFlow this is a download of about 350 MB."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	$(if $(filter dev,$*),$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(HUB))
	@touch $@
