# Everything starts here. Only make and Python 3.11 are needed; the rest is set up on first use.
.PHONY: serve test batch-lines fuzz messages outage bench sim check spec spec-diff tables image lock clean

# make serve ARGS="parley.yaml --listen 127.0.0.1:8080"
# The data path is compiled where a C compiler and Python's headers are; PARLEY_COMPILE=0 goes without, 1 insists.
serve:
	@scripts/install
	@exec .cache/product/bin/parley serve $(ARGS)

# make test             all; what starts `parley serve` also on the compiled product
# make test ARGS="tests/test_fold.py -k usage"
test:
	@scripts/install --dev
	@scripts/system-packages test
	@scripts/test $(ARGS)

# make batch-lines      a batch of a million lines is checked and begun in bounded memory (a minute)
# make batch-lines LINES=5000000
batch-lines:
	@scripts/install --dev
	@PARLEY_LINES=$(or $(LINES),1000000) scripts/test tests/real/test_large_batches.py -k many

# make fuzz             many requests made up from the served document, other ones each time (some minutes)
# make fuzz MANY=5000 ARGS="-k createResponse"
fuzz:
	@scripts/install --dev
	@PARLEY_FUZZ=$(or $(MANY),500) scripts/test tests/api/test_schemathesis.py $(ARGS)

# make messages         kill -9 of gateway and broker in the middle of 10,000 messages, at every broker (some minutes)
# make messages MANY=1000
messages:
	@scripts/install --dev
	@scripts/system-packages test
	@PARLEY_MESSAGES=$(or $(MANY),10000) scripts/test tests/real/test_messaging.py -k killed -rP $(ARGS)

# make outage           kill -9 of the database under load, a minute without it: no request fails, nothing is lost
# make outage SECONDS=10
outage:
	@scripts/install --dev
	@scripts/system-packages test
	@PARLEY_OUTAGE=$(or $(SECONDS),60) scripts/test tests/faults/test_outage.py -s $(ARGS)

# make bench            everything, three rounds (some minutes)
# make bench BENCH=short  nginx and Parley only, a few seconds each
# make bench BENCH=pairs  a streamed chat from every dialect to every provider's wire, beside nginx (some minutes)
# make bench BENCH=caila  Caila's envelopes beside the same calls without one (a minute)
# make bench BENCH=messages  messages of NATS JetStream beside the same requests over HTTP (half a minute)
# make bench BENCH=nodes  a call through a second node beside the same call at the node itself (two minutes)
# make bench BENCH=dapr  a conversation over gRPC beside a bare server of the same library
# make bench WRITE=1    also writes docs/benchmarks.md; of the pairs, their section of it
bench:
	@scripts/system-packages bench
	@scripts/install
	@BENCH="$(BENCH)" WRITE="$(WRITE)" scripts/bench

# A thousand nodes in simulated time: docs/nodes-at-scale.md
sim:
	@scripts/install --dev
	@PYTHONPATH=tests .venv/bin/python -m nodes.simulated --write

# Format, lint, types, import rules.
check:
	@scripts/install --dev
	@scripts/check

# What is generated from OpenAI's own package: docs/openapi.md
spec:
	@scripts/install --dev
	@.venv/bin/python -m spec

# What the installed package says otherwise than the committed document does.
spec-diff:
	@scripts/install --dev
	@.venv/bin/python -m spec diff

# What crosses between dialects and providers, measured anew: docs/compatibility.md, docs/losses.md, docs/capabilities.md
tables:
	@scripts/install --dev
	@GRID_WRITE=1 .venv/bin/python -m pytest tests/grid/test_grid.py tests/grid/test_losses.py tests/test_capabilities.py

# The container, with buildah. IMAGE_BASE=... builds on another image.
image:
	@buildah bud --file deploy/Containerfile --tag parley $(if $(IMAGE_BASE),--build-arg BASE=$(IMAGE_BASE)) $(ARGS) .

# Exact versions and hashes of every package: requirements/*.txt
lock:
	@scripts/lock $(ARGS)

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
