/* Bad input from C: NULLs, handles of other kinds and workers, malformed Arrow, wrong definitions.
 */
#include "support.h"

static void null_pointers(dcf_worker worker, dcf_vertex vertex, dcf_udf udf) {
  dcf_error error;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex out;
  dcf_udf udf_out;
  numbers(NULL, 2, &schema, &array);
  FAILS(dcf_vertex_put(worker, NULL, &schema, NULL, &out, &error), DCF_INVALID_ARGUMENT,
        "array is NULL");
  FAILS(dcf_vertex_put(worker, NULL, NULL, &array, &out, &error), DCF_INVALID_ARGUMENT,
        "schema is NULL");
  FAILS(dcf_vertex_put(worker, NULL, &schema, &array, NULL, &error), DCF_INVALID_ARGUMENT,
        "out is NULL");
  CHECK(schema.release && array.release);
  release_both(&schema, &array);
  FAILS(dcf_vertex_put(worker, NULL, &schema, &array, &out, &error), DCF_INVALID_ARGUMENT,
        "released or moved before");
  FAILS(dcf_vertex_open_name(worker, (dcf_bytes){NULL, 3}, &out, &error), DCF_INVALID_ARGUMENT,
        "name.data is NULL");
  FAILS(dcf_vertex_open_name(worker, (dcf_bytes){"a\0b", 3}, &out, &error), DCF_INVALID_ARGUMENT,
        "without NUL");
  FAILS(dcf_vertex_open_name(worker, text(""), &out, &error), DCF_INVALID_ARGUMENT, "empty");
  FAILS(dcf_vertex_info_get(vertex, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_vertex_export(vertex, 0, NULL, &array, &error), DCF_INVALID_ARGUMENT, "schema_out");
  FAILS(dcf_vertex_export(vertex, 0, &schema, NULL, &error), DCF_INVALID_ARGUMENT, "array_out");
  FAILS(dcf_vertex_name(vertex, NULL, 0, NULL, &error), DCF_INVALID_ARGUMENT, "size_out");
  FAILS(dcf_vertex_stream(vertex, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_vertex_edges(vertex, 1, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_udf_register(worker, NULL, &udf_out, &error), DCF_INVALID_ARGUMENT,
        "definition is NULL");
  FAILS(dcf_udf_open(worker, text("sum"), NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_queue_open(worker, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_call_run(worker, NULL, 1, &error), DCF_INVALID_ARGUMENT, "calls is NULL");
  OK(dcf_call_run(worker, NULL, 0, &error));
  FAILS(dcf_call_run((dcf_worker){0}, NULL, 0, &error), DCF_BAD_HANDLE, "is zero");
  FAILS(dcf_array_concat(NULL, NULL, 0, &array, &error), DCF_INVALID_ARGUMENT, "schema is NULL");
  FAILS(dcf_array_concat(&schema, NULL, 1, &array, &error), DCF_INVALID_ARGUMENT, "arrays is NULL");
  FAILS(dcf_array_concat(&schema, NULL, 0, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  SAME(dcf_input_export(NULL, &schema, &array), DCF_INVALID_ARGUMENT);
  SAME(dcf_part_export(NULL, 0, &schema, &array), DCF_INVALID_ARGUMENT);
  SAME(dcf_input_set_view(NULL, &error, &error, NULL), DCF_INVALID_ARGUMENT);
  CHECK(dcf_input_view(NULL, &error) == NULL);
  (void)udf;
}

static void definitions(dcf_worker worker) {
  dcf_error error;
  dcf_udf udf;
  char long_name[300];
  memset(long_name, 'f', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = 0;
  dcf_udf_definition d = DCF_UDF_DEFINITION_INIT;
  d.name = text("f");
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT, "has no calculate");
  d.calculate = sum;
  d.kind = DCF_UDF_BUILTIN;
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT, "opened by its name");
  d.kind = DCF_UDF_NATIVE;
  d.flags = 1u << 20;
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT, "unknown bits");
  d.flags = 0;
  d.reserved = 1;
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT, "reserved");
  d.reserved = 0;
  d.name = text(long_name);
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT, "at most 255");
  d.name = text("");
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT, "name");
  d.name = text("f");
  d.auxiliary = (dcf_bytes){NULL, 7};
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT, "auxiliary.data is NULL");
  d.struct_size = 4;
  FAILS(dcf_udf_register(worker, &d, &udf, &error), DCF_INVALID_ARGUMENT,
        "DCF_UDF_DEFINITION_INIT");
}

static dcf_status run(dcf_worker worker, dcf_call* call, dcf_error* error) {
  call->error = error;
  dcf_status status = dcf_call_run(worker, call, 1, error);
  return status == DCF_OK ? call->status : status;
}

static void calls(dcf_worker worker, dcf_vertex vertex, dcf_udf udf) {
  dcf_error error;
  dcf_worker other = open_worker();
  dcf_vertex others = put_numbers(other, NULL, NULL, 2), bad;
  dcf_udf others_udf = register_udf(other, "total", 0, sum, add, NULL);
  dcf_call good = DCF_CALL_INIT, call;
  good.udf = udf;
  good.targets = &vertex;
  good.target_count = 1;

  call = good, call.targets = &others;
  FAILS(run(worker, &call, &error), DCF_BAD_HANDLE, "targets[0]: the vertex handle");
  call = good, call.udf = others_udf;
  FAILS(run(worker, &call, &error), DCF_BAD_HANDLE, "another worker");
  bad.handle = udf.handle;
  call = good, call.targets = &bad;
  FAILS(run(worker, &call, &error), DCF_BAD_HANDLE, "no handle of a vertex");
  call = good, call.targets = NULL;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "call->targets");
  call = good, call.struct_size = 0;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "DCF_CALL_INIT");
  call = good, call.flags = 128;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "unknown bits 0x80");
  call = good, call.flags = DCF_CALL_HERE | DCF_CALL_AT_OWNER | DCF_CALL_TIMED;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "exclude each other");
  call = good, call.arguments.size = 1;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "arguments.data is NULL");
  call = good, call.buffer_size = 1;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "call->buffer is NULL");
  call = good, call.target_count = (size_t)1 << 40;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "MaxTargets");
  dcf_call_more more = DCF_CALL_MORE_INIT;
  call = good, call.more = &more;
  more.struct_size = 12;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "DCF_CALL_MORE_INIT");
  more = (dcf_call_more)DCF_CALL_MORE_INIT;
  more.held = 2;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT,
        "held is 2: start from DCF_CALL_MORE_INIT");
  more.held = 0;
  struct ArrowSchema schema = {0};
  more.arguments_schema = &schema;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "arguments_schema");
  call = good, call.ticket = 987654321;
  FAILS(run(worker, &call, &error), DCF_INVALID_ARGUMENT, "ticket");
  SAME(call.effects, DCF_EFFECTS_NONE);

  OK(dcf_vertex_release(others, &error));
  OK(dcf_udf_release(others_udf, &error));
  OK(dcf_worker_close(other, 0, &error));
}

/* Each change makes a batch malformed; the batch stays the caller's. */
static void malformed(dcf_worker worker) {
  static const struct {
    const char *what, *message;
  } cases[] = {{"length", ""},     {"negative", ""}, {"format", ""},   {"no children", ""},
               {"buffers", ""},    {"null", ""},     {"offset", ""},   {"deep", ""},
               {"not struct", ""}, {"nulls", ""},    {"no format", ""}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    dcf_error error;
    dcf_vertex out;
    struct ArrowSchema schema, *field;
    struct ArrowArray array, *values;
    numbers(NULL, 4, &schema, &array);
    field = schema.children[0];
    values = array.children[0];
    switch (i) {
      case 0:
        array.length = 5;
        break;
      case 1:
        values->length = -1;
        break;
      case 2:
        field->format = "?!";
        break;
      case 3:
        array.n_children = 0;
        break;
      case 4:
        values->n_buffers = 1;
        break;
      case 5:
        values->buffers[1] = NULL;
        break;
      case 6:
        values->offset = -8;
        break;
      case 7:
        schema.n_children = 1 << 20;
        break;
      case 8:
        schema.format = "l";
        break;
      case 9:
        array.null_count = 2;
        break;
      case 10:
        field->format = NULL;
        break;
    }
    memset(&error, 0, sizeof error);
    dcf_status status = dcf_vertex_put(worker, NULL, &schema, &array, &out, &error);
    printf("%s: %s: %s\n", cases[i].what, dcf_status_name(status), error.message);
    CHECK(status == DCF_INVALID_ARGUMENT || status == DCF_UNSUPPORTED);
    CHECK(schema.release && array.release && error.message[0]);
    schema.n_children = 1;
    release_both(&schema, &array);
  }
}

int main(void) {
  dcf_error error;
  dcf_worker worker = open_worker();
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 3);
  dcf_udf udf = register_udf(worker, "total", 0, sum, add, NULL);
  null_pointers(worker, vertex, udf);
  definitions(worker);
  calls(worker, vertex, udf);
  malformed(worker);
  OK(dcf_udf_drop(udf, 0, &error));
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  end(worker);
  return 0;
}
