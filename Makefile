# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
CORPUS := $(DEMO)/corpus
MANIFEST := $(CORPUS)/manifest.csv
DEMO_CLIPS := 720
NETWORKS := $(DEMO)/networks
FULL := $(NETWORKS)/full/seed_0

.PHONY: setup demo test test-all check docs notebooks

setup: .venv/installed

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed: .venv/base
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,check,docs]"
	touch $@

demo: .venv/base
	rm -rf $(DEMO)
	$(BIN)/msma synth $(CORPUS) --clips $(DEMO_CLIPS) --seed 1
	$(BIN)/msma prepare chalearn $(CORPUS) --out $(MANIFEST)
	# Two networks side by side, one thread each: with the modal enhancement strategy, and without it.
	$(BIN)/msma ablate recipes/demo.yaml --manifest $(MANIFEST) --out $(NETWORKS) --seeds 1 \
	  --only no_modal_enhancement > $(DEMO)/networks.txt
	$(BIN)/msma calibrate --model $(FULL) --manifest $(MANIFEST) --clips 80
	$(BIN)/msma evaluate --model $(FULL) --manifest $(MANIFEST)
	$(BIN)/msma predict "$$(ls $(CORPUS)/test/*.mp4 | head -n 1)" --model $(FULL)
	@cat $(DEMO)/networks.txt
	@echo
	@echo "The corpus is in $(CORPUS), the networks are in $(NETWORKS), each with its learning curve in metrics.jsonl and"
	@echo "its answers in six/. They come from rendered people. \"full\" is the recipe with the whole strategy."
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
