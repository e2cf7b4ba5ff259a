# The handful of verbs. `make help` lists them.
# BSD's make takes the next line for an error to say, GNU make for a rule that nobody asks for.
.error : this Makefile needs GNU make, which is often named gmake
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
export PIP_DISABLE_PIP_VERSION_CHECK = 1

PYTEST := $(BIN)/python -m pytest
# The tests wait as much as they work, so more of them run at once than there are cores.
WORKERS ?= 3
UNIT := $(PYTEST) -q -n 2 --dist loadfile -m "unit and not exhaustive"
# Which lines of the deciding core its own tests run; pyproject.toml names it, and the least share. To count costs half of
# the time again.
CORE := weighin/outcome.py weighin/stats tests/test_outcome.py tests/stats tests/contract/test_stricter.py \
	tests/monitor/test_next_action.py tests/record
MEASURED := -p pytest_cov.plugin --cov --cov-report=term
# It forks processes that are killed and stopped, which wants a parent without the threads of other tests.
FORKING := tests/registry/test_server.py
TOGETHER := $(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore=$(FORKING)

.DEFAULT_GOAL := help
.PHONY: help validate release check test programs proofs test-all mutants lint docs lock data clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

validate: $(STAMP) ## train the example, run the suites, print the verdict
	@$(BIN)/weighin validate --train "scripts/train.py --with-champion"

release: $(STAMP) ## move the alias `champion` to what was validated, if it passed
	@$(BIN)/weighin promote reports

check: lint ## what to run while you work: lint and the unit tests, within two minutes
	$(if $(COVERAGE),$(UNIT) $(MEASURED) $(CORE))
	$(UNIT) $(if $(COVERAGE),$(addprefix --ignore=,$(CORE)))

# REST=1 leaves out what `make check` runs, for who has just run that; PROGRAMS=1 adds those of `make programs`.
OTHERS := not docker and not workflow
test: $(DEV_STAMP) ## the tests that need nothing but Python
	$(TOGETHER) -m "$(if $(PROGRAMS),$(OTHERS),not system) and not exhaustive$(if $(REST), and not unit)"

programs: $(DEV_STAMP) ## the tests with Java, Chromium, kubectl, Prometheus, Airflow, Feast and Node
	$(TOGETHER) -m "system and $(OTHERS)"

# With 5 pytest says that it found no test.
NOT_IN_SLICE = [ -n "$(SLICE)" -a $$? -eq 5 ]
# SLICE=2/8: every eighth file of them, from the second on.
proofs: $(DEV_STAMP) ## what takes longer: kills at every call, attacks without the wall, every contract, every registry
	WEIGHIN_PROOFS=$(SLICE) $(TOGETHER) -m "exhaustive and not system" || $(NOT_IN_SLICE)
	WEIGHIN_PROOFS=$(SLICE) $(PYTEST) -m exhaustive $(FORKING) || $(NOT_IN_SLICE)

test-all: test proofs ## also those that need Java, Chromium, kubectl, Prometheus, Docker and act
	.ci/run programs containers workflows

# Which mutants, as a pattern: `make mutants MUTANTS='weighin.monitor.next_action*'`. `MUTANTS=` goes on where a run was stopped.
MUTANTS ?= *
mutants: $(DEV_STAMP) ## change the deciding core line by line, and count what the unit tests notice (hours)
	$(BIN)/mutmut run --max-children $(WORKERS) $(if $(MUTANTS),'$(MUTANTS)')
	$(BIN)/python scripts/mutation_score.py

lint: $(DEV_STAMP) ## formatter, linter, types, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python scripts/banned_words.py
	$(BIN)/proselint check --config .proselintrc.json README.md CONTRIBUTING.md SECURITY.md \
		$(shell find docs -name '*.md' -not -path 'docs/decisions/*')

docs: $(DEV_STAMP) ## build the documentation in site/; every warning is an error
	$(BIN)/python scripts/build_site.py

lock: $(DEV_STAMP) ## compile requirements.txt and requirements-dev.txt from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --extra text pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --extra text --extra dev pyproject.toml -c requirements.txt -o requirements-dev.txt
	printf '%s\n' shap==0.51.0 numba==0.68.1 llvmlite==0.50.0 slicer==0.0.8 | $(BIN)/uv pip compile -q --universal --no-deps \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" - -o requirements-shap.txt
	printf '%s\n' moto==5.2.5 boto3==1.44.8 botocore==1.44.8 s3transfer==0.19.3 jmespath==1.1.0 responses==0.26.3 xmltodict==1.0.4 \
		py-partiql-parser==0.6.3 | $(BIN)/uv pip compile -q --universal --no-deps \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" - -o requirements-moto.txt
	printf '%s\n' mlflow-skinny==2.22.4 alembic flask graphene gunicorn numpy 'pandas<3' 'sqlalchemy<2.1' | $(BIN)/uv pip compile -q \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" - -o requirements-mlflow2.txt
	printf '%s\n' apache-airflow-core==3.3.2 apache-airflow-providers-standard | $(BIN)/uv pip compile -q --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" - -o requirements-airflow.txt
	printf '%s\n' feast==0.67.0 | $(BIN)/uv pip compile -q --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" - -o requirements-feast.txt

data: $(DEV_STAMP) ## rebuild the example's Parquet files from their source package
	$(BIN)/python scripts/build_example_data.py

clean: ## remove the virtual environment, the embedded registry, all reports and the built documentation
	rm -rf $(VENV) .weighin reports site

$(BIN)/python:
	@$(PYTHON) scripts/install.py $(VENV)

# $(1): the requirements files
define install
	@echo "installing $(1) (what it prints: $(VENV)/install.log)"
	@$(PYTHON) scripts/install.py $(VENV) $(1)
endef

$(STAMP): requirements.txt pyproject.toml | $(BIN)/python
	$(call install,requirements.txt)
	@touch $@

$(DEV_STAMP): requirements-dev.txt requirements-shap.txt requirements-moto.txt pyproject.toml | $(BIN)/python
	$(call install,requirements-shap.txt requirements-moto.txt requirements-dev.txt)
	@touch $@ $(STAMP)
