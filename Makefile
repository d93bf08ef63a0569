# Everything happens in .venv, with the versions pinned in constraints.txt. Nothing is installed outside this folder.
# A stamp file in .venv stands for each finished step, so a second run does only what a change calls for.
PYTHON ?= python3
# The index that has PyTorch's CPU builds, where the default one offers CUDA builds only. May stay empty.
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
# A process for each processor, and a share of neighbouring tests for each process, so that they have their set-up once.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 16 --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -qq --constraint constraints.txt
SOURCES := pyproject.toml CMakeLists.txt constraints.txt \
  $(shell find src -type f -not -name '*.py[cod]' -not -name '.*')
CPP_FILES = $(shell find src tests -name '*.[ch]pp')
# What the C++ tests are compiled from, and by which compiler, as a number.
CPP_SOURCES := CMakeLists.txt $(CPP_FILES) $(shell find src tests -name '*.def' -o -name CMakeLists.txt)
CPP_CONTENT := $(shell { $${CXX:-c++} --version; sha256sum $(sort $(CPP_SOURCES)); } 2>&1 | sha256sum | cut -c 1-16)
# Stands for tests under sanitizers that passed with this content, whatever the files' times say: a fresh clone has none.
SANITIZED := build/cpp-test-sanitize/passed-$(CPP_CONTENT)
ON_AARCH64 := build/cpp-test-aarch64/passed-$(CPP_CONTENT)

export PATH := $(CURDIR)/$(BIN):$(PATH)
export CMAKE_GENERATOR := Ninja
.DELETE_ON_ERROR:
# One step at a time: they install into the same folder. Each of them has all processors.
.NOTPARALLEL:
.PHONY: help demo docs wheel test check lint cpp-test cpp-test-plain cpp-test-aarch64 fuzz bench bench-peers programs panel archive format clean

help: ## show this list
	@echo "make <target>, one of:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14
	@echo "Variables: PYTHON=python3.12 (which Python), TORCH_INDEX=URL (where pip finds PyTorch's CPU builds),"
	@echo "MUTANTS=500 (how many damaged files of a kind), PROGRAMS='flair darts', PANEL='beer taxi' (only these)"

demo: $(STAMPS)/jobs ## install into .venv and forecast the example series
	$(BIN)/statewise forecast
	@echo "the picture: $$(ls -td runs/forecast-*/ | head -n 1)forecast.png"

test: $(STAMPS)/test lint cpp-test ## everything: linters, types, C++ tests (also under sanitizers), Python tests
	$(PYTEST)

check: $(STAMPS)/test lint ## the everyday run: linters, types, the Python tests that are not slow
	$(PYTEST) -m "not slow"

lint: $(STAMPS)/test ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(CPP_FILES),$(BIN)/clang-format --dry-run -Werror $(CPP_FILES))
	$(BIN)/mypy

cpp-test: cpp-test-plain $(SANITIZED) $(ON_AARCH64) ## the kernels' own tests; under ASan, UBSan and for ARM too where C++ has changed

cpp-test-plain: $(STAMPS)/test # whose build folder has the kernels compiled already
	$(call run_cpp_tests,build/package,Release,OFF)

$(SANITIZED): | $(STAMPS)/build-tools
	$(call run_cpp_tests,build/cpp-test-sanitize,RelWithDebInfo,ON)
	@rm -f build/cpp-test-sanitize/passed-*
	@touch $@

$(ON_AARCH64): | $(STAMPS)/build-tools
	@if tools/prerequisites.sh --aarch64; then $(MAKE) cpp-test-aarch64 && touch $@; fi

cpp-test-aarch64: | $(STAMPS)/build-tools # a part of them, by qemu
	$(call run_cpp_tests,build/cpp-test-aarch64,Release,OFF,-DCMAKE_TOOLCHAIN_FILE=tests/kernels/cpp/aarch64.cmake)
	@rm -f build/cpp-test-aarch64/passed-*

MUTANTS ?= 20000

fuzz: $(STAMPS)/test ## feed damaged files to all that reads files, MUTANTS=20000 of every kind (an hour and more)
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz.py --mutants $(MUTANTS)

bench: $(STAMPS)/jobs ## measure against torch.nn (about 35 minutes); renews README's table and the figures in docs/
	for kind in bench overhead cells memory bfloat16 jobs steps sweep; do $(BIN)/python -m benchmarks $$kind --publish || exit; done

bench-peers: $(STAMPS)/peers ## measure against onnxruntime, OpenVINO, JAX, torch.compile (6 minutes); renews docs/performance.md
	$(BIN)/python -m benchmarks peers --publish

PROGRAMS ?=

programs: $(STAMPS)/jobs ## install nine programs of others, accelerate or carry them over, measure; renews docs/programs.md (8 minutes, 2 GB)
	PYTHONPATH=tools:. $(BIN)/python -m programs $(PROGRAMS)

PANEL ?=

panel: $(STAMPS)/jobs ## fetch 107 public sets and measure forecast and others on them (1 hour); renews docs/panel.md
	PYTHONPATH=tools:. $(BIN)/python -m panel $(PANEL)

ARCHIVE ?=

archive: $(STAMPS)/jobs ## fetch 44 public sets and measure classify on them (40 minutes); renews the table in docs/jobs/classify.md
	PYTHONPATH=tools:. $(BIN)/python -m archive $(ARCHIVE)

wheel: $(STAMPS)/build-tools ## sdist and wheel into dist/, and a forecast from the wheel alone in an environment made for it
	$(INSTALL) build
	rm -rf dist build/wheel && $(BIN)/python -m build
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt "$$(ls dist/*.whl)[jobs]"
	cd build/wheel && PYTHONWARNINGS=error bin/statewise forecast --out run && bin/statewise forecast predict run/model.safetensors

docs: $(STAMPS)/test ## the pages of docs/ as a site, into build/docs
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo "the front page: build/docs/index.html"

format: $(STAMPS)/test ## rewrite Python and C++ in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(CPP_FILES),$(BIN)/clang-format -i $(CPP_FILES))

clean: ## remove .venv, build folders and caches
	rm -rf $(VENV) build dist docs/gallery .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# build folder, CMake build type, sanitizers ON or OFF, what else CMake is told
define run_cpp_tests
	cmake -S . -B $(1) -DSTATEWISE_CPP_TESTS=ON -DCMAKE_BUILD_TYPE=$(2) -DSTATEWISE_SANITIZE=$(3) \
	  -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python --log-level=WARNING --no-warn-unused-cli $(4)
	cmake --build $(1) --target cpp_tests
	ctest --test-dir $(1) --output-on-failure --parallel
endef

# The package is installed as users get it, not in editable mode: what the tests see is what the wheel holds. The C++
# build folder is kept, so a change in Python reinstalls in seconds and a change in C++ compiles what depends on it.
define install_package
	@echo "installing statewise[$(1)] into $(VENV)"
	@SKBUILD_BUILD_DIR=build/package $(INSTALL) --no-build-isolation ".[$(1)]"
	@touch $(STAMPS)/jobs $@
endef

$(STAMPS)/jobs: $(STAMPS)/torch $(STAMPS)/build-tools $(SOURCES)
	$(call install_package,jobs)

$(STAMPS)/test: $(STAMPS)/torch $(STAMPS)/build-tools $(SOURCES)
	$(call install_package,jobs$(,)test)

$(STAMPS)/peers: $(STAMPS)/torch $(STAMPS)/build-tools $(SOURCES)
	$(call install_package,jobs$(,)peers)

$(STAMPS)/build-tools: constraints.txt | $(STAMPS)/venv
	@echo "installing the build tools into $(VENV)"
	@$(INSTALL) scikit-build-core nanobind cmake ninja
	@touch $@

# Torch comes first and alone, so that a build of one's own that is in .venv already, or TORCH_INDEX, decides which.
$(STAMPS)/torch: constraints.txt | $(STAMPS)/venv
	@if $(TORCH) --dry-run 2>/dev/null | grep -q nvidia-; then echo "note: pip finds only a CUDA build of torch here," \
	  "several GB. For a CPU build, stop and give TORCH_INDEX=URL; README.md says which."; fi
	@echo "installing torch into $(VENV)"
	@$(TORCH) -qq
	@touch $@

TORCH = $(PIP) install --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch

$(STAMPS)/venv:
	@PYTHON=$(PYTHON) tools/prerequisites.sh
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

, := ,
