# What runs Python sets up .venv first; nothing else on the machine is touched. Note that make itself exits with status 2
# whenever a command fails; what it runs, as `python -m command prove` or `python -m command fuzz`, tells 1 from 2.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
REVISION := $(or $(ON),series)
OF_KERNEL = $(if $(KERNEL),--kernel "$(KERNEL)") $(if $(PROMISES),--promises "$(PROMISES)")
ifeq ($(origin KERNEL) $(KERNEL),command line )
  $(error KERNEL is empty: name a kernel tree, or a mm/dmapool.c)
endif
ifneq ($(and $(KERNEL),$(ON)),)
  $(error ON=$(ON) and KERNEL=$(KERNEL): name one of them)
endif
SCHEMA := .poolproof/schemas/junit-10.xsd

.DEFAULT_GOAL := help
.PHONY: help setup schemas kernels prove crosshair audit test fuzz volume bugs mutants report replay compare bench mpt3sas claims clean

help:  ## this list
	@sed -n 's/^\([a-zA-Z0-9%_-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

setup: $(VENV)/installed  ## install the locked dependencies into .venv

$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "poolproof: Python 3.11 or newer is needed; say which with PYTHON=python3.x" >&2; exit 2; }
	@echo "setting up $(VENV) …" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

schemas: $(SCHEMA)  ## fetch the schema of JUnit XML, which a test needs and pytest's sources have (`make test` does, too)

$(SCHEMA): $(VENV)/installed
	@$(RUN) -m tests.schemas $@ || echo "without it, a test is skipped" >&2

kernels: $(VENV)/installed  ## fetch the kernels v6.1 and v6.12 into .poolproof/kernels, for the tests that run them (Debian, as root)
	@$(RUN) -m kernel.fetch $(ARGS)

prove: $(VENV)/installed  ## prove the whole catalogue, or a kernel's own code (KERNEL=~/linux, ARGS="--json FILE" and other options)
	@$(RUN) -m command prove $(OF_KERNEL) $(ARGS)

prove-%: $(VENV)/installed  ## prove one claim, as in `make prove-no_room_is_wasted`
	@$(RUN) -m command prove $* $(OF_KERNEL) $(ARGS)

audit: $(VENV)/installed  ## drop every premise of every proof, and plant its bugs: each has to refute its proof (some minutes)
	@$(RUN) -m command audit $(ARGS)

crosshair: $(VENV)/installed  ## check the contracts with CrossHair (ARGS="--json FILE" and other options of `python -m command crosshair`)
	@$(RUN) -m command crosshair $(ARGS)

test: $(VENV)/installed $(SCHEMA)  ## style, types, and every test
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@$(RUN) -m pytest -n auto $(ARGS)

fuzz: $(VENV)/installed  ## hunt with the state machine on new inputs (ON=series, KERNEL=~/linux, SEED=N, PROFILE=nightly, OBSERVE=1)
	@$(RUN) -m command fuzz $(ON) $(OF_KERNEL) $(addprefix --seed=,$(SEED)) $(addprefix --profile=,$(PROFILE)) $(if $(OBSERVE),--observe) $(ARGS)

volume: $(VENV)/installed  ## a million operations on each of six pools of KERNEL=~/linux, natively (SEED=N)
	@test -n "$(KERNEL)" || { echo "volume: say which kernel: make volume KERNEL=~/linux" >&2; exit 2; }
	@$(RUN) -m bench.volume $(OF_KERNEL) $(addprefix --seed=,$(SEED)) $(ARGS)

bugs: $(VENV)/installed  ## plant every seeded bug, and print who notices it (ARGS="name … --only prover"; all take some minutes)
	@$(RUN) -m command bugs $(ARGS)

mutants: bugs

report: $(VENV)/installed  ## write reports/index.html: what the prover and a short hunt say (ENGINES="prove fuzz crosshair", PROFILE=ci, KERNEL=~/linux)
	@$(RUN) -m command report $(ENGINES) $(OF_KERNEL) $(addprefix --profile=,$(PROFILE)) $(ARGS)

replay: $(VENV)/installed  ## run a trace: TRACE=file ON=series, v6.1, v6.12, v4 or model, or KERNEL=~/linux; SHRINK=1 writes a smaller one
	@test -n "$(TRACE)" || { echo "replay: say which trace: make replay TRACE=tests/traces/… ON=v6.1" >&2; exit 2; }
	@$(RUN) -m command replay "$(TRACE)" --on "$(REVISION)" $(OF_KERNEL) $(if $(SHRINK),--shrink "reports/traces/$(notdir $(TRACE:.json=)).smaller.json")

compare: $(VENV)/installed  ## what a driver sees change from BEFORE=~/linux to AFTER=~/linux-b, or with PATCHES=series.mbox (SEED=N)
	@test -n "$(BEFORE)" || { echo "compare: say what with what: make compare BEFORE=~/linux AFTER=~/linux-b, or PATCHES=series.mbox" >&2; exit 2; }
	@$(RUN) -m command compare "$(BEFORE)" $(if $(AFTER),"$(AFTER)") $(if $(PATCHES),--patches "$(PATCHES)") $(addprefix --seed=,$(SEED)) $(ARGS)

bench: $(VENV)/installed  ## measure into reports/bench/ (half an hour; QUICK=1, PARTS="headline growth", KERNEL=~/linux)
	@$(RUN) -m bench $(PARTS) $(if $(QUICK),--quick) $(if $(KERNEL),--kernel "$(KERNEL)") $(ARGS)

mpt3sas: $(VENV)/installed  ## the cover letter's six pools, on v6.1 and on the series (about a minute)
	@$(RUN) -m bench.mpt3sas

claims: $(VENV)/installed  ## write the table of claims into README.md
	@$(RUN) -m command claims

clean:  ## remove .venv and every cache
	rm -rf $(VENV) .poolproof mutants reports .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
