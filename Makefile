# Two commands do everything on a fresh machine: `make tables` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INPUTS := pyproject.toml constraints.txt

.PHONY: tables test check format bench peers conformance wheel clean

tables: $(VENV)/.run ## the paper's Tables 1-4 from the published measurements, also as files in out/tables
	$(BIN)/fedjoule tables --check --out out/tables

test: $(VENV)/.dev ## every test
	$(BIN)/python -m pytest -n auto

check: $(VENV)/.dev wheel ## lint, format, types, import contracts, and the wheel in an empty environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## benchmarks, as ratios against a peer in the same run
	$(BIN)/python benchmarks/recost.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/energy_estimator.py
	$(BIN)/python benchmarks/native.py
	$(BIN)/python benchmarks/sampler.py
	$(BIN)/python benchmarks/hexagon.py
	$(BIN)/python benchmarks/wire.py
	$(BIN)/python benchmarks/eager.py
	$(BIN)/python benchmarks/int8_torch.py
	$(BIN)/python benchmarks/simulator.py
	$(BIN)/python benchmarks/flash_traces.py
	$(BIN)/python benchmarks/fleet_lookup.py
	$(BIN)/python benchmarks/fleet_synthetic.py
	$(BIN)/python benchmarks/fleet.py

peers: $(VENV)/.dev ## our training engine beside pfl, Flower and FedJAX, each in an environment of its own (3 GB)
	$(BIN)/python benchmarks/peers/run.py

conformance: $(VENV)/.dev ## our links against Debian's adb, Android's adbd and adbkit; installs what it needs if it may
	BIN=$(abspath $(BIN)) bash tests/conformance/run.sh

wheel: $(VENV)/.dev ## build the wheel, install it in a new environment, run it outside the checkout
	BIN=$(abspath $(BIN)) PYTHON=$(PYTHON) bash tests/wheel_install.sh

clean: ## remove what the other targets made
	rm -rf $(VENV) out dist build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python $(INPUTS)
	$(PIP) install --constraint constraints.txt --editable '.[profile,simulate]'
	touch $@

$(VENV)/.dev: $(VENV)/bin/python $(INPUTS)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.run
