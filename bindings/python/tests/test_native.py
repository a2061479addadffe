"""Functions in C, called from Python."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

import dcf

HEADER = Path(__file__).parents[3] / "include" / "dcf.h"
SOURCE = """
#include "dcf.h"
dcf_status twice(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  const struct ArrowArray* column = input->array->children[0];
  const int64_t* values = (const int64_t*)column->buffers[1] + column->offset;
  int64_t sum = 0, scale = user_data ? *(const int64_t*)user_data : 2;
  for (int64_t i = 0; i < input->array->length; i++) sum += scale * values[i];
  dcf_bytes part = {&sum, sizeof sum};
  return output->api->bytes(output, part);
}
dcf_status fold(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  int64_t sum = 0;
  for (size_t i = 0; i < input->part_count; i++) {
    const dcf_part* part = (const dcf_part*)((const char*)input->parts + i * input->part_size);
    sum += *(const int64_t*)part->bytes.data;
  }
  dcf_bytes part = {&sum, sizeof sum};
  (void)user_data;
  return output->api->bytes(output, part);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("native")
    (folder / "twice.c").write_text(SOURCE)
    compiler = shutil.which("cc") or "gcc"
    command = [compiler, "-shared", "-fPIC", f"-I{HEADER.parent}", "twice.c", "-o", "twice.so"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "twice.so"))


def test_a_c_function(worker: dcf.Worker, library: ctypes.CDLL) -> None:
    udf = dcf.udf.from_address("twice", library.twice, library.fold)
    group = worker.put("t", {"x": list(range(10))}, shards=3)
    assert int.from_bytes(worker.call(udf, group), "little") == 90
    assert int.from_bytes(worker.submit("twice", group).result(60), "little") == 90


def test_addresses_and_user_data(worker: dcf.Worker, library: ctypes.CDLL) -> None:
    scale = ctypes.c_int64(100)
    address = ctypes.cast(library.twice, ctypes.c_void_p).value
    udf = dcf.udf.from_address("scaled", address, user_data=ctypes.addressof(scale))
    assert int.from_bytes(worker.call(udf, worker.put("t", {"x": [1, 2]})), "little") == 300
    assert repr(udf) == "<dcf NativeUDF 'scaled'>"
