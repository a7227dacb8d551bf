# Every target sets up what it needs. Another interpreter: make test PYTHON=python3.12
PYTHON ?= python3
EXTRAS ?= dev
TESTS ?= tests
VENV := .venv

.PHONY: demo test check slow clean
demo: ## See agents act: oracle, random and null on every environment, scored and stored
	@scripts/setup demo $(PYTHON) $(VENV) gui
	$(VENV)/bin/turnwise demo

test: ## Run the tests; EXTRAS=dev,train adds the trainer's
	@scripts/setup test $(PYTHON) $(VENV) $(EXTRAS)
	$(VENV)/bin/python -m pytest -m "not slow" $(TESTS)

check: ## Lint, types, layers
	@scripts/setup check $(PYTHON) $(VENV) $(EXTRAS)
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

slow: ## Run the long tests: leaks, chaos, coverage, training
	@scripts/setup test $(PYTHON) $(VENV) $(EXTRAS)
	$(VENV)/bin/python -m pytest -m slow $(TESTS)

clean:
	rm -rf $(VENV) build dist src/*.egg-info
