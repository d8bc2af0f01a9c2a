# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
NATIVE := $(wildcard src/deepcuts/kernels/*.c src/deepcuts/kernels/*.h)
WORKERS ?= 2

.PHONY: help demo serve fuzz test lowest lint format bench bench-quick million clean
help:
	@echo "make demo   set up and run the whole journey on a planted world (3 to 5 minutes, no download but packages)"
	@echo "make serve  open the demonstration's model in a browser (page, REST, music players)"
	@echo "make test   set up and run all tests        make fuzz   thousands of damaged inputs"
	@echo "make lowest   tests with the lowest versions of packages that are allowed"
	@echo "make lint   style and types        make format   put the style right"
	@echo "make bench  side by side with the libraries people use today        make bench-quick   in 5 minutes"
	@echo "make million   a million users, 385k songs, 48M plays, from a text file to scores (12 GB of disk)"

$(VENV)/.run: pyproject.toml constraints.txt $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "deepcuts needs Python 3.11 or newer, this is "+sys.version.split()[0]+": make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing deepcuts into $(VENV) (a minute or two the first time)"
	@$(PIP) -e '.[torch]'
	@touch $@

$(VENV)/.serve: $(VENV)/.run
	@$(PIP) -e '.[torch,serve]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(PIP) -e '.[dev,peers]'
	@touch $@

demo: $(VENV)/.serve
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash runs/demo.sh demo

serve: $(VENV)/.serve
	@test -d demo/model || { echo "no model yet: run make demo first"; exit 1; }
	$(BIN)/deepcuts serve demo/model

fuzz: $(VENV)/.dev
	DEEPCUTS_FUZZ=1 DEEPCUTS_FUZZ_COUNTS=docs/results/fuzz.json $(BIN)/python -m pytest tests/fuzz tests/serve/test_serve_kills.py -n $(WORKERS)
	$(BIN)/deepcuts experiment pages

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# The lowest versions that pyproject.toml allows, without torch; the packages' tests that need no peer.
lowest:
	rm -rf .lowest && $(PYTHON) -m venv .lowest && .lowest/bin/python -m pip install --quiet uv
	.lowest/bin/uv pip install --quiet --python .lowest/bin/python --resolution lowest-direct --only-binary :all: \
	  --no-binary deepcuts -e '.[serve,tune]' 'pytest>=8' 'hypothesis>=6.100' httpx2 'jsonschema>=4.20' 'pyyaml>=6'
	.lowest/bin/python -m pytest -W default --ignore tests/recommend/test_recommend_index.py tests/data tests/recommend tests/explore \
	  tests/test_store.py tests/test_artifacts.py tests/audio/test_audio_cases.py tests/audio/test_audio_extract.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python bench/run.py

bench-quick: $(VENV)/.dev
	$(BIN)/python bench/run.py --quick -o work/bench

million: $(VENV)/.run
	$(BIN)/python bench/million.py
	$(BIN)/python bench/page.py

clean:
	rm -rf demo build work .lowest src/*.egg-info
