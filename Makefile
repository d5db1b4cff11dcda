# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
CORPUS := $(DEMO)/corpus
MANIFEST := $(CORPUS)/manifest.csv
DEMO_CLIPS := 720
TRAIN = OMP_NUM_THREADS=1 $(BIN)/msma train recipes/demo.yaml --manifest $(MANIFEST)

.PHONY: setup demo test check

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,check]"
	touch $@

demo: setup
	rm -rf $(DEMO)
	$(BIN)/msma synth $(CORPUS) --clips $(DEMO_CLIPS) --seed 1
	$(BIN)/msma prepare chalearn $(CORPUS) --out $(MANIFEST)
	# Three runs of one recipe, one thread each: audiovisual on one core, the single modalities on the other.
	@mkdir -p $(DEMO)/logs
	( $(TRAIN) --out $(DEMO)/audio --set model.fusion=audio && \
	  $(TRAIN) --out $(DEMO)/visual --set model.fusion=visual ) > $(DEMO)/logs/single.log 2>&1 & single=$$!; \
	$(TRAIN) --out $(DEMO)/audiovisual && wait $$single || { cat $(DEMO)/logs/single.log; exit 1; }
	$(BIN)/msma evaluate --model $(DEMO)/audiovisual --manifest $(MANIFEST)
	$(BIN)/msma evaluate --model $(DEMO)/audio --manifest $(MANIFEST) --format json > /dev/null
	$(BIN)/msma evaluate --model $(DEMO)/visual --manifest $(MANIFEST) --format json > /dev/null
	$(BIN)/msma predict "$$(ls $(CORPUS)/test/*.mp4 | head -n 1)" --model $(DEMO)/audiovisual
	$(BIN)/msma compare $(DEMO)/audiovisual/test $(DEMO)/audio/test $(DEMO)/visual/test
	@echo
	@echo "The corpus is in $(CORPUS), the trained models in $(DEMO)/audiovisual, $(DEMO)/audio and $(DEMO)/visual;"
	@echo "each has its learning curve in metrics.jsonl and its scores in test/. They come from rendered people."
	@echo "Now with a video of your own:  $(BIN)/msma predict your_video.mp4"

test: setup
	$(BIN)/pytest -n 2

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
