#!/bin/sh
# Generates wire/flatbuf from the schemas beside this file. flatc must be of the version of the
# FlatBuffers runtime in go.mod, so it is built once from that module's own sources, into
# build/flatc-VERSION.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

module=github.com/google/flatbuffers
go mod download "$module"
source=$(go list -m -f '{{.Dir}}' "$module")
version=$(go list -m -f '{{.Version}}' "$module" | sed 's/^v//; s/+.*//')
build="$root/build/flatc-$version"
log="$build.log"

run() {
  "$@" >>"$log" 2>&1 || { cat "$log" >&2; exit 1; }
}

if [ ! -x "$build/flatc" ]; then
  mkdir -p "$root/build"
  : >"$log"
  run cmake -S "$source" -B "$build" -DCMAKE_BUILD_TYPE=Release -DFLATBUFFERS_INSTALL=OFF \
    -DFLATBUFFERS_BUILD_TESTS=OFF -DFLATBUFFERS_BUILD_FLATLIB=OFF -DFLATBUFFERS_BUILD_FLATHASH=OFF
  run cmake --build "$build" --target flatc --parallel 2
fi
case $("$build/flatc" --version) in
  *" $version") ;;
  *) echo "schemas/generate.sh: $build/flatc is not of version $version: remove it" >&2; exit 1 ;;
esac

# All of wire/flatbuf is generated: what no schema makes any more has to disappear.
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$build/flatc" --go --go-namespace flatbuf -I schemas -o "$out" schemas/*.fbs
"$build/flatc" --go --go-namespace arrowfb -I schemas/arrow -o "$out/flatbuf" schemas/arrow/*.fbs
gofmt -w "$out/flatbuf"
rm -rf wire/flatbuf
mkdir -p wire/flatbuf/arrowfb
cp "$out"/flatbuf/*.go wire/flatbuf
cp "$out"/flatbuf/arrowfb/*.go wire/flatbuf/arrowfb
