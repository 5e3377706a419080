# `make build` and `make test` do everything on a fresh machine: Python 3.10+, make and a
# package index are all they need.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
MODEL  ?= x4plus
OUT    ?= dist
IMAGES ?= 12

MERMAID        = 11.17.2
MERMAID_SHA256 = 581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8

.PHONY: build test check audit site install package clean

build: $(VENV)/installed
	$(BIN)/esrdeploy build --model $(MODEL) --precision int8 --calib-count $(IMAGES) --out $(OUT)

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Needs the network: asks PyPI's advisory database about every package that is installed.
audit: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet 'pip-audit>=2.7'
	$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/locked.txt
	$(BIN)/pip-audit --requirement $(VENV)/locked.txt --strict --no-deps --disable-pip

# Graphs are drawn by a copy of Mermaid, for the pages load nothing from elsewhere. The tests of one file
# build the site, those of the other run the commands of its pages meanwhile.
site: $(VENV)/installed-site
	mkdir -p dist/mermaid
	command -v npm >/dev/null && cd dist/mermaid && npm pack --silent mermaid@$(MERMAID) >/dev/null \
	  && tar xzf mermaid-$(MERMAID).tgz --strip-components=2 package/dist/mermaid.min.js \
	  && echo "$(MERMAID_SHA256)  mermaid.min.js" | sha256sum --check --quiet \
	  || { rm -f dist/mermaid/mermaid.min.js; echo "no npm, or no registry: graphs are shown as text"; }
	ESRDEPLOY_SITE=dist/site $(BIN)/python -m pytest -n 2 --dist loadfile tests/test_site.py tests/test_commands_on_pages.py
	@echo "dist/site/index.html opens in a browser, without a server"

install: $(VENV)/installed
	@echo "esrdeploy is in $(BIN); '. $(BIN)/activate' puts it on PATH in this terminal"

package: $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet build check-wheel-contents twine
	rm -rf $(OUT)/package
	$(BIN)/python -m build --outdir $(OUT)/package
	$(BIN)/twine check --strict $(OUT)/package/*
	$(BIN)/check-wheel-contents $(OUT)/package/*.whl

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed

$(VENV)/installed-site: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[dev,site]'
	touch $@

clean:
	rm -rf $(VENV) dist
