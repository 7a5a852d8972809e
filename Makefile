# What runs Python sets up .venv first; nothing else on the machine is touched. Note that make itself exits with status 2
# whenever a command fails; what it runs, as `python -m command prove` or `python -m command fuzz`, tells 1 from 2.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
OF_KERNEL = $(if $(KERNEL),--kernel "$(KERNEL)") $(if $(PROMISES),--promises "$(PROMISES)")
OF_RUN = $(OF_KERNEL) $(if $(REAL),--real)
OF_HUNT = $(OF_RUN) $(addprefix --announce=,$(ANNOUNCE))
GIVEN := command environment
$(foreach name,KERNEL BASE BEFORE AFTER PATCHES MBOX TRACE PROMISES,$(if $(filter $(GIVEN),$(firstword $(origin $(name)))), \
  $(if $($(name)),,$(error $(name) is empty: name one, or leave it out))))
$(foreach name,REAL SHRINK QUICK FULL,$(eval override $(name) := $(filter-out 0 no,$($(name)))))
ifneq ($(and $(KERNEL),$(ON)),)
  $(error ON=$(ON) and KERNEL=$(KERNEL): name one of them)
endif
KNOWN := PYTHON KERNEL PROMISES ANNOUNCE ON SEED PROFILE ENGINES TRACE SHRINK BEFORE AFTER PATCHES MBOX BASE PARTS QUICK REAL FULL ARGS CC
$(foreach name,$(filter-out $(KNOWN),$(.VARIABLES)),$(if $(filter command,$(firstword $(origin $(name)))), \
  $(error there is no variable $(name); there are $(KNOWN))))
SCHEMA := .poolproof/schemas/junit-10.xsd

define make-venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "poolproof: Python 3.11 or newer is needed; say which with PYTHON=python3.x" >&2; exit 2; }
@echo "setting up $(VENV): $(1) …" >&2
@$(PYTHON) -m venv $(VENV)
endef

.DEFAULT_GOAL := help
.PHONY: help demo setup schemas kernels real prove crosshair audit test fuzz volume bugs history report replay kunit compare review bench mpt3sas claims clean

help:  ## [start] this list; docs/options.md explains every option
	@for group in start prove hunt report check; do echo "$$group:"; \
	  sed -n "s/^\([a-zA-Z0-9%_-]*\):.*## \[$$group\] \(.*\)/  make \1\t\2/p" Makefile | expand -t 24; done

demo: $(if $(wildcard $(VENV)/installed),,$(VENV)/demo)  ## [start] a proof, a refutation with its drawing, a replay: in a minute
	@$(RUN) -m command demo

$(VENV)/demo: requirements.lock
	$(call make-venv,Z3 is downloaded)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check $$(grep '^z3-solver==' requirements.lock)
	@touch $@

setup: $(VENV)/installed  ## [start] install everything, in locked versions, into .venv

$(VENV)/installed: requirements.lock
	$(call make-venv,more than fifty packages are downloaded; it takes some minutes)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

schemas: $(SCHEMA)  ## [check] fetch the schema of JUnit XML, which a test needs

$(SCHEMA): $(VENV)/installed
	@$(RUN) -m tests.schemas $@ || echo "without it, a test is skipped" >&2

kernels: $(VENV)/installed  ## [start] fetch Linux v5.10, v6.1, v6.12 and the newest from Debian (as root); FULL=1
	@$(RUN) -m command kernels $(if $(FULL),--full) $(ARGS)

real: $(VENV)/installed  ## [start] build User Mode Linux from KERNEL=~/linux, for REAL=1; ARGS="--trial 500"
	@test -n "$(KERNEL)" || { echo "real: say which kernel: make real KERNEL=~/linux" >&2; exit 2; }
	@$(RUN) -m command real --kernel "$(KERNEL)" $(addprefix --seed=,$(SEED)) $(ARGS)

prove: $(VENV)/installed  ## [prove] prove all claims: of impl/, or of your C with KERNEL=~/linux
	@$(RUN) -m command prove $(OF_KERNEL) $(ARGS)

prove-%: $(VENV)/installed  ## [prove] prove one claim, as make prove-no_room_is_wasted
	@$(RUN) -m command prove $* $(OF_KERNEL) $(ARGS)

audit: $(VENV)/installed  ## [prove] drop each premise, plant bugs: each has to refute its proof
	@$(RUN) -m command audit $(OF_KERNEL) $(ARGS)

crosshair: $(VENV)/installed  ## [prove] check the claims as contracts, with CrossHair
	@$(RUN) -m command crosshair $(ARGS)

test: $(VENV)/installed $(SCHEMA)  ## [check] style, types, and every test; SEED=N draws and orders them by N
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@$(if $(SEED),HYPOTHESIS_SEED=$(SEED)) $(RUN) -m pytest -n auto $(if $(SEED),--shuffle=$(SEED)) $(ARGS)

fuzz: $(VENV)/installed  ## [hunt] random operations: KERNEL=~/linux REAL=1 ON=series SEED=N PROFILE=nightly
	@$(RUN) -m command fuzz $(ON) $(OF_HUNT) $(addprefix --seed=,$(SEED)) $(addprefix --profile=,$(PROFILE)) $(ARGS)

volume: $(VENV)/installed  ## [report] a million operations on six pools of KERNEL=~/linux, and one filled
	@test -n "$(KERNEL)" || { echo "volume: say which kernel: make volume KERNEL=~/linux" >&2; exit 2; }
	@$(RUN) -m command volume $(OF_RUN) $(addprefix --seed=,$(SEED)) $(ARGS)

bugs: $(VENV)/installed  ## [check] plant every seeded bug, and print who notices: ARGS="name …"
	@$(RUN) -m command bugs $(ARGS)

history: $(VENV)/installed  ## [check] plant the bugs that this file has had, and print who notices, and how soon
	@$(RUN) -m command history $(ARGS)

report: $(VENV)/installed  ## [report] write reports/index.html: ENGINES="prove fuzz" KERNEL=~/linux
	@$(RUN) -m command report $(ENGINES) $(OF_HUNT) $(addprefix --profile=,$(PROFILE)) $(ARGS)

replay: $(VENV)/installed  ## [hunt] run a trace: TRACE=file ON=v6.1, or KERNEL=~/linux; SHRINK=1
	@test -n "$(TRACE)" || { echo "replay: say which trace: make replay TRACE=tests/traces/… ON=v6.1" >&2; exit 2; }
	@$(RUN) -m command replay "$(TRACE)" $(if $(ON),--on "$(ON)") $(OF_RUN) $(if $(SHRINK),--shrink "reports/traces/$(notdir $(TRACE:.json=)).smaller.json") $(ARGS)

kunit: $(VENV)/installed  ## [hunt] write the promises as KUnit tests; TRACE=file: a trace; KERNEL=~/linux
	@$(RUN) -m command kunit $(if $(TRACE),"$(TRACE)") $(if $(KERNEL),--kernel "$(KERNEL)") $(ARGS)

compare: $(VENV)/installed  ## [hunt] what a driver sees change: BEFORE=… AFTER=…, or PATCHES=file
	@test -n "$(BEFORE)" || { echo "compare: say what with what: make compare BEFORE=~/linux AFTER=~/linux-b, or PATCHES=series.mbox" >&2; exit 2; }
	@$(RUN) -m command compare "$(BEFORE)" $(if $(AFTER),"$(AFTER)") $(if $(PATCHES),--patches "$(PATCHES)") $(if $(REAL),--real) $(addprefix --seed=,$(SEED)) $(ARGS)

review: $(VENV)/installed  ## [hunt] what each patch changes and breaks: MBOX=thread.mbox BASE=~/linux
	@test -n "$(MBOX)" || { echo "review: say which patches: make review MBOX=thread.mbox BASE=~/linux" >&2; exit 2; }
	@$(RUN) -m command review "$(MBOX)" $(if $(BASE),--base "$(BASE)") $(if $(PROMISES),--promises "$(PROMISES)") $(addprefix --announce=,$(ANNOUNCE)) $(addprefix --seed=,$(SEED)) $(addprefix --profile=,$(PROFILE)) $(ARGS)

bench: $(VENV)/installed  ## [report] measure into reports/bench: QUICK=1 PARTS="headline growth"
	@$(RUN) -m command bench $(PARTS) $(if $(QUICK),--quick) $(if $(KERNEL),--kernel "$(KERNEL)") $(ARGS)

mpt3sas: $(VENV)/installed  ## [report] the six pools of the cover letter, on v6.1 and on the series
	@$(RUN) -m command bench mpt3sas $(ARGS)

claims: $(VENV)/installed  ## [check] write the tables of claims into README.md and docs/claims.md
	@$(RUN) -m command claims $(ARGS)

clean:  ## [start] remove .venv, caches and reports
	rm -rf $(VENV) .poolproof reports .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
