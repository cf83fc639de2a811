# Each command makes .venv and installs into it what it needs. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

RUFF := ruff==0.17.6
CLANG_FORMAT := clang-format==14.0.6
C_SOURCES = $(shell git ls-files '*.c' '*.h')

.PHONY: demo test lint bench clean

demo: $(VENV)
	$(PIP) '.[build]'
	$(BIN)/ingot demo

# CUDA kernels are tested on this machine's processor, as C++. A process for each core, eight at most for the memory that
# they take; the tests of a file in one of them, since they share what is made once.
test: $(VENV)
	@command -v $(CXX) >/dev/null || { echo 'a C++ compiler is missing: apt install g++' >&2; exit 1; }
	$(PIP) '.[test]'
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

# Speed beside onnxruntime, OpenVINO and ncnn (and LiteRT, where ai-edge-litert and onnx2tf are installed), on the models of
# ../shared/models and networks of random weights, what loading costs, and small networks from C: about an hour. Of pnnx
# the program is enough.
bench: $(VENV)
	$(PIP) '.[bench]'
	$(PIP) --no-deps pnnx
	$(BIN)/python tests/bench/bench_models.py
	$(BIN)/python tests/bench/footprint.py
	$(BIN)/python tests/bench/from_c.py

lint: $(VENV)
	$(PIP) '$(RUFF)' '$(CLANG_FORMAT)' 'cmake>=3.20' ninja
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(C_SOURCES)
	@mkdir -p build
	$(BIN)/cmake -S runtime_c -B build/strict -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DINGOT_WERROR=ON \
		-DINGOT_TESTS=ON > build/strict.log
	$(BIN)/cmake --build build/strict

clean:
	rm -rf build demo-out $(VENV)

# What a fresh machine may lack, one clear line each.
$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo '$(PYTHON) is missing or older than 3.10: apt install python3' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo 'the venv module is missing: apt install python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig as s; os.stat(os.path.join(s.get_path("include"), "Python.h"))' 2>/dev/null || \
		{ echo 'Python.h is missing: apt install python3-dev' >&2; exit 1; }
	@command -v cc >/dev/null || { echo 'a C compiler is missing: apt install gcc' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
