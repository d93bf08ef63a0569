#!/bin/sh
# Says what this machine lacks for building statewise: one line for each thing, naming the Debian package that brings it.
# With --packages it prints only the packages' names. Installs nothing. PYTHON and CXX name other programs to look at.
# With --aarch64 it looks instead for what the kernels' tests for NEON need on a machine with another processor.
set -u
python=${PYTHON:-python3}
cxx=${CXX:-g++}
only_packages=${1:-}
missing=0

lacks() { # what is lacking, Debian package
    missing=1
    if [ "$only_packages" = --packages ]; then echo "$2"; else echo "missing: $1 (Debian package: $2)" >&2; fi
}

case " $* " in *" --aarch64 "*)
    command -v aarch64-linux-gnu-g++ >/dev/null || lacks "aarch64-linux-gnu-g++, so NEON isn't tested" g++-aarch64-linux-gnu
    command -v qemu-aarch64 >/dev/null || lacks "qemu-aarch64, so NEON isn't tested" qemu-user
    exit $missing
    ;;
esac

python_says() { "$python" -c "$1" >/dev/null 2>&1; }

printf 'constexpr int f(auto x) { return x; }\nint main() { return f(0); }\n' |
    "$cxx" -std=c++20 -x c++ -fsyntax-only - >/dev/null 2>&1 || lacks "$cxx that compiles C++20" g++

if ! python_says ''; then
    lacks "$python" python3
    lacks "venv and ensurepip of $python" python3-venv
    lacks "Python.h of $python" python3-dev
elif ! python_says 'import sys; assert sys.version_info >= (3, 10)'; then
    missing=1
    echo "missing: Python 3.10 or newer; $python is $("$python" -V 2>&1). Another one can be named: make PYTHON=python3.11" >&2
else
    python_says 'import ensurepip, venv' || lacks "venv and ensurepip of $python" python3-venv
    python_says 'import os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' ||
        lacks "Python.h of $python" python3-dev
fi
exit $missing
