#!/bin/bash
# Prints the comparison with other systems for dcf, called from C and from Python: one line of JSON.
#   PEER_CASE_SECONDS  seconds a case (2)
#   BENCH_PYTHON       a Python that has dcf and numpy (build/venv/bin/python, where it is there)
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
make -s bench-build >&2
python=${BENCH_PYTHON-build/venv/bin/python}
[ -x "$python" ] || python=
exec timeout -k 5 110 build/bench/dcfpeer -python "$python" -seconds "${PEER_CASE_SECONDS:-2}"
