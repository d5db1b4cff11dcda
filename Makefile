# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
CORPUS := $(DEMO)/corpus
MANIFEST := $(CORPUS)/manifest.csv
NETWORKS := $(DEMO)/networks
FULL := $(NETWORKS)/full/seed_0

.PHONY: setup demo test test-all check docs notebooks

setup: .venv/installed

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[plots]"
	touch $@

.venv/installed: .venv/base
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,check,docs]"
	touch $@

# First a prediction by the bundled weights, then networks with and without the modal enhancement, side by side with one
# thread each. What the commands print is kept in files beside the page that all ends with.
demo: .venv/base
	@rm -rf $(DEMO)
	@echo "1. Predict a rendered clip with the bundled weights"
	@$(BIN)/msma synth $(DEMO)/first --clips 6 --seed 7
	@$(BIN)/msma predict $(DEMO)/first/test
	@echo "2. Render a corpus, and train on it with and without the modal enhancement"
	@$(BIN)/msma synth $(CORPUS) --clips 480 --seconds 3 --seed 1
	@$(BIN)/msma prepare chalearn $(CORPUS) --out $(MANIFEST)
	@$(BIN)/msma ablate recipes/demo.yaml --manifest $(MANIFEST) --out $(NETWORKS) --seeds 1 \
	  --only no_modal_enhancement --no-probes --scenario-clips 48 > $(DEMO)/networks.txt
	@echo "3. Evaluate the network with it, fit its prediction intervals, and explain a prediction of it"
	@$(BIN)/msma calibrate --model $(FULL) --manifest $(MANIFEST) --clips 48
	@$(BIN)/msma evaluate --model $(FULL) --manifest $(MANIFEST) > $(DEMO)/evaluation.txt
	@$(BIN)/msma report $(NETWORKS) --manifest $(MANIFEST) --explain "$$(ls $(CORPUS)/test/*.mp4 | head -n 1)" \
	  --out $(DEMO)/index.html
	@sed '/^minus full/,$$d' $(DEMO)/networks.txt
	@echo "Rendered people, not people. Open $(DEMO)/index.html: the corpus, learning curves, six scenarios with and without"
	@echo "the modal enhancement, and a prediction explained."
	@echo "Now with a video of your own:  $(BIN)/msma predict your_video.mp4"

# worksteal: tests of one module stay together and share its fixtures.
test: setup
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

# All tests: those of `make test`, and then the slow ones.
test-all: test
	$(BIN)/pytest -n 2 --dist worksteal -m slow

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The site is in site/index.html. --strict counts dead links; what the docstrings' reader complains about is counted here.
docs: setup
	$(BIN)/typer msma.cli utils docs --name msma --title Commands --output docs/commands.md
	sed -i '/^\*\*Commands\*\*:$$/,/^#/{/^#/!d}' docs/commands.md
	bash -o pipefail -c '$(BIN)/zensical build --clean --strict 2>&1 | tee .venv/docs.log'
	! grep -E '^[a-z_]+: ' .venv/docs.log

# Run the notebooks and store what they show; a test runs them too.
notebooks: setup
	$(BIN)/python tests/test_notebooks.py
