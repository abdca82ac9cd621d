# `make demo` and `make test` are all that a newcomer needs; each does its own set-up, once.
# The other targets: check (seconds, no root), bench, attacks, install (into .venv), clean.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test check bench install set-up lint types unit sanitized native fuzz fuzz-python \
	suite suite-own suite-user suite-subids test-lowest attacks test-vm clean

VENV := .venv
PYTHON ?= $(shell tools/find-python)
PIP := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check
SANITIZED := build/sanitized
LOWEST := build/lowest
PYTEST := $(VENV)/bin/python -m pytest
FUZZ_SECONDS ?= 60
PRINT_DEPENDENCIES := import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

SOURCES := $(shell find src native -name '*.pyc' -prune -o -type f -print 2>/dev/null) \
	$(wildcard meson.build meson.options) pyproject.toml

help:
	@echo "make demo     the story of the README, played for real"
	@echo "make test     all tests, as root also as an ordinary user"
	@echo "make test-vm  the part of them that wants a virtual machine"
	@echo "make attacks  every defence taken out once, to see its test fail"
	@echo "make check    lint, types, contracts and unit tests, in seconds"
	@echo "make bench    chrun beside docker, podman, runc, crun and bwrap"

demo: $(VENV)/installed
	@tools/need setpriv=util-linux musl-gcc=musl-tools
	@tools/unpack-program docker-registry usr/bin/docker-registry $(VENV)/bin
	@$(VENV)/bin/python -m demo

# The longest first, for who plays several at once (.ci/run); what is quick to say no comes before all
test: check test-vm suite native fuzz fuzz-python test-lowest

check: lint types unit

bench: $(VENV)/installed
	$(VENV)/bin/python -m benchmarks $(BENCH)

install: $(VENV)/installed

# All that `make test` installs and makes, for who plays several of its parts at once: package
# managers want to be alone, and so do who write what others read
set-up: $(VENV)/installed $(VENV)/test-packages $(VENV)/vm-packages $(LOWEST)/installed sanitized

lint: $(VENV)/tools
	ruff check .
	ruff format --check .
	codespell
	PYTHONPATH=src lint-imports

types: $(VENV)/tools
	mypy
	pyright

unit: $(VENV)/tools
	PYTHONPATH=src $(PYTEST) -q tests/unit

# chrun-init under its own tests, with the address and undefined-behaviour sanitizers watching
native: sanitized $(VENV)/installed
	CHRUN_TEST_SANITIZED=1 CHRUN_TEST_INIT=$(CURDIR)/$(SANITIZED)/native/chrun-init \
		$(PYTEST) -q tests/kernel

# The plan reader, with plans that nobody would write
fuzz: sanitized
	$(SANITIZED)/native/fuzz_plan $(FUZZ_SECONDS)

# The parsers of what comes from outside (tests/fuzz): FUZZ_SECONDS for each, as many at once as there
# are processors; FUZZ="NAME..." plays those
fuzz-python: $(VENV)/tools
	PYTHONPATH=src $(VENV)/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

sanitized: $(SANITIZED)/build.ninja
	MAKEFLAGS= meson compile -C $(SANITIZED)

$(SANITIZED)/build.ninja: $(VENV)/tools
	@tools/need gcc
	meson setup --reconfigure -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
		$(SANITIZED) >/dev/null

# The whole suite; root plays it twice, the second time as somebody without any privilege, and what
# is about containers a third time. They share nothing but the machine, and can be played at once.
suite: suite-own
ifeq ($(shell id -u),0)
suite: suite-user suite-subids
endif

# All that is about containers but hosts played by wrappers: setuid programs do nothing in those
OF_CONTAINERS := tests/api tests/attacks tests/cli tests/kernel \
	--ignore=tests/cli/test_hosts.py --ignore=tests/cli/test_in_containers.py

suite-own: $(VENV)/installed $(VENV)/test-packages
	$(PYTEST) $(PYTEST_OPTIONS)

suite-user: $(VENV)/installed $(VENV)/test-packages
	@echo "the suite as an ordinary user"
	tools/as-user python -m pytest $(PYTEST_OPTIONS)

suite-subids: $(VENV)/installed $(VENV)/test-packages
	@echo "the suite as one who has subordinate ids"
	tools/as-user --subids python -m pytest $(PYTEST_OPTIONS) $(OF_CONTAINERS)

# What depends on other projects' code, with the lowest versions that pyproject.toml allows; the suite
# has the newest
test-lowest: $(LOWEST)/installed $(VENV)/installed $(VENV)/test-packages
	CHRUN_TEST_LOWEST=1 PYTHONPATH=$(CURDIR)/$(LOWEST) $(PYTEST) -q tests/unit/test_dependencies.py \
		tests/unit/cli tests/unit/registry tests/unit/layers tests/registry

# Whether the tests of attacks would notice: each defence is taken out once (tests/attacks/defences.toml);
# ATTACKS="WORD..." plays those that have a word in their name
attacks: $(VENV)/installed $(VENV)/test-packages
	$(VENV)/bin/python -m tests.attacks.without_defences $(ATTACKS)
	@if [ "$$(id -u)" = 0 ]; then \
		echo "once more, as an ordinary user"; \
		tools/as-user python -m tests.attacks.without_defences $(ATTACKS); \
		echo "and as one who has subordinate ids"; \
		tools/as-user --subids python -m tests.attacks.without_defences $(ATTACKS); \
	fi

# Tests that want an older kernel, all of cgroup v2, or systemd, in an emulated machine of Debian's;
# VM="GUISE TEST..." plays what it says (tests/vm)
test-vm: $(VENV)/installed $(VENV)/vm-packages
	tools/as-root $(CURDIR)/$(VENV)/bin/python -m tests.vm $(VM)

clean:
	rm -rf build $(VENV)

$(VENV)/bin/python:
	@tools/find-python >/dev/null || tools/need /nonexistent=python3-venv /nonexistent=python3
	"$(or $(PYTHON),$$(tools/find-python))" -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"

$(VENV)/tools: pyproject.toml $(VENV)/bin/python
	$(PIP) install --group dev --group build
	$(VENV)/bin/python -c '$(PRINT_DEPENDENCIES)' | $(PIP) install --requirement /dev/stdin
	command -v node >/dev/null || $(PIP) install "pyright[nodejs]"
	touch $@

$(VENV)/installed: $(SOURCES) $(VENV)/tools
	@tools/need gcc /usr/include/stdio.h=libc6-dev /usr/include/linux/seccomp.h=linux-libc-dev \
		musl-gcc=musl-tools
	$(PIP) install --no-deps --no-build-isolation --force-reinstall .
	touch $@

$(LOWEST)/installed: pyproject.toml $(VENV)/tools
	rm -rf $(LOWEST)
	$(VENV)/bin/python -c '$(PRINT_DEPENDENCIES)' | sed 's/>=/==/' | \
		$(PIP) install --target $(LOWEST) --requirement /dev/stdin
	touch $@

$(VENV)/test-packages: $(VENV)/tools
	@tools/need setpriv=util-linux newuidmap=uidmap useradd=passwd skopeo umoci getfattr=attr \
		zstd mkfs.xfs=xfsprogs /usr/share/doc/busybox-static=busybox-static redis-check-rdb=redis-tools \
		bwrap=bubblewrap runc podman catatonit
	@tools/unpack-program docker-registry usr/bin/docker-registry $(VENV)/bin
	touch $@

$(VENV)/vm-packages: $(VENV)/tools
	@tools/need qemu-system-x86_64=qemu-system-x86 mke2fs=e2fsprogs
	touch $@
