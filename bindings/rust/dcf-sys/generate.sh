#!/bin/sh
# Writes src/bindings.rs anew from dcf.h: generate.sh PYTHON, which has the package libclang.
set -eu

python=$1
here=$(cd "$(dirname "$0")" && pwd)
library=$("$python" -c 'import clang, os; print(os.path.join(os.path.dirname(clang.__file__), "native"))')

# That libclang comes without the headers of a compiler; gcc's declare size_t as well. Nothing is
# linked, so there need be no libdcf.
cd "$here/.."
LIBCLANG_PATH="$library" DCF_CLANG_ARGS="-I$(gcc -print-file-name=include)" DOCS_RS=1 \
  DCF_BINDINGS="$here/src/bindings.rs" \
  cargo build --quiet --locked -p dcf-sys --features bindgen
rustfmt --edition 2024 --config-path "$here/../rustfmt.toml" "$here/src/bindings.rs"
