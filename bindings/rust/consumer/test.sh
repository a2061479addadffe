#!/bin/sh
# Builds and runs the program beside this file as its users do: outside of the checkout, by path
# with libdcf where DCF_LIB_DIR says, and from the packaged crates with the installed libdcf, which
# pkg-config finds. Without either the one line that says what to do has to come.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
export CARGO_TARGET_DIR="$root/build/cargo"
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT

# Writes a project that has dcf from a folder, and goes there.
project() {
  mkdir -p "$outside/$1/src"
  cp "$here/src/main.rs" "$outside/$1/src"
  cp "$root/bindings/rust/Cargo.lock" "$outside/$1"
  sed "s|@DCF@|$2|" "$here/Cargo.toml.in" >"$outside/$1/Cargo.toml"
  cd "$outside/$1"
}

# Runs it, which has to print this.
runs() {
  said=$(cargo run --quiet)
  [ "$said" = "the sum is 9.5" ] || { echo "consumer, $1: said $said" >&2; exit 1; }
  echo "consumer, $1: ok"
}

project path "$root/bindings/rust/dcf"
DCF_LIB_DIR="$root/build/lib" runs 'by path'

# Nothing is there: no library, no pkg-config, no Go.
if PKG_CONFIG=false cargo build --quiet 2>"$outside/errors"; then
  echo 'consumer: it was built without libdcf' >&2
  exit 1
fi
grep -q 'dcf-sys: no libdcf: set DCF_LIB_DIR' "$outside/errors" || { cat "$outside/errors" >&2; exit 1; }
if PKG_CONFIG=false GO=no-such-go cargo build --quiet --features bundled 2>"$outside/errors"; then
  echo 'consumer: it was built without Go' >&2
  exit 1
fi
grep -q 'install Go, or set DCF_LIB_DIR' "$outside/errors" || { cat "$outside/errors" >&2; exit 1; }
echo 'consumer, without libdcf and without Go: ok'

# As from the registry, with libdcf installed.
(cd "$root/bindings/rust" &&
  cargo package --quiet --locked --allow-dirty --no-verify -p dcf-sys -p dcf 2>&1 | grep -v '^warning: manifest has no\|^  |\|^  = note: see\|^$' >&2 || true)
for crate in dcf-sys dcf; do
  tar -xzf "$CARGO_TARGET_DIR/package/$crate-0.1.0.crate" -C "$outside"
done
make -s -C "$root" install-lib PREFIX="$outside/prefix" >/dev/null
project installed "$outside/dcf-0.1.0"
cat >>Cargo.toml <<PATCH
[patch.crates-io]
dcf-sys = { path = "$outside/dcf-sys-0.1.0" }
PATCH
PKG_CONFIG_PATH="$outside/prefix/lib/pkgconfig" runs 'packaged crates and the installed library'

# The packaged sources build libdcf, and the program needs nothing else.
PKG_CONFIG=false cargo build --quiet --features bundled
"$CARGO_TARGET_DIR/debug/consumer" | grep -qx 'the sum is 9.5'
echo 'consumer, packaged crates and bundled: ok'
