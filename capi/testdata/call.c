/* Calls: results of every kind, batches of calls, errors of single calls, spawns and effects. */
#define _GNU_SOURCE
#include "support.h"

/* What a program that initialises no results has: what stands in them is not read. */
static dcf_call_more spoilt_more(void) {
  dcf_call_more more = DCF_CALL_MORE_INIT;
  const size_t asked = offsetof(dcf_call_more, result_version);
  memset((char*)&more + asked, 0xa5, sizeof more - asked);
  return more;
}

/* Gives its arguments back; as a record batch where they say "array", failing where "fail". */
static dcf_status echo(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  atomic_fetch_add((_Atomic int64_t*)user_data, 1);
  if (input->arguments.size == 5 && memcmp(input->arguments.data, "array", 5) == 0) {
    struct ArrowSchema schema;
    struct ArrowArray array;
    dcf_status status = dcf_input_export(input, &schema, &array);
    return status == DCF_OK ? output->api->array(output, &schema, &array) : status;
  }
  if (input->arguments.size == 4 && memcmp(input->arguments.data, "fail", 4) == 0)
    output->api->fail(output, text("no luck\n  in line 7\n  in line 8"));
  return output->api->bytes(output, input->arguments);
}

static dcf_status number(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)input;
  return output->api->bytes(output, (dcf_bytes){&user_data, sizeof user_data});
}

static dcf_status rows_of_arguments(void* user_data, const dcf_udf_input* input,
                                    dcf_output* output) {
  (void)user_data;
  int64_t rows = input->arguments_array ? input->arguments_array->length : -1;
  return output->api->bytes(output, (dcf_bytes){&rows, sizeof rows});
}

static dcf_call call_of(dcf_udf udf, const dcf_vertex* targets, size_t count, const char* arguments,
                        void* buffer, size_t size, dcf_error* error) {
  dcf_call call = DCF_CALL_INIT;
  call.udf = udf;
  call.targets = targets;
  call.target_count = count;
  call.arguments = text(arguments);
  call.buffer = buffer;
  call.buffer_size = size;
  call.error = error;
  return call;
}

static void results(dcf_worker worker, dcf_vertex vertex) {
  dcf_error error;
  _Atomic int64_t calls = 0;
  char buffer[16] = {0};
  dcf_udf udf = register_udf(worker, "echo", 0, echo, NULL, &calls);
  dcf_call call = call_of(udf, &vertex, 1, "hello", buffer, sizeof buffer, &error);
  call.user_data = &calls;
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(call.result_kind, DCF_RESULT_BYTES);
  SAME(call.result_size, 5);
  SAME(call.effects, DCF_EFFECTS_NONE);
  SAME(call.ticket, 0);
  CHECK(memcmp(buffer, "hello", 6) == 0 && call.user_data == &calls);

  dcf_call_more more = spoilt_more();
  const char* large = "much more than the buffer can hold";
  call = call_of(udf, &vertex, 1, large, buffer, sizeof buffer, &error);
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_INVALID_ARGUMENT);
  SAME(call.result_size, strlen(large));
  CHECK(strstr(error.message, "the result has 34 bytes and the buffer 16"));
  call.more = &more;
  for (int i = 0; i < 3; i++) { /* running again frees what the last run left */
    OK(dcf_call_run(worker, &call, 1, &error));
    SAME(call.status, DCF_OK);
    SAME(call.result_size, strlen(large));
    CHECK(memcmp(more.result_bytes.data, large, more.result_bytes.size) == 0);
  }
  dcf_call_clear(&call);
  CHECK(!more.result_bytes.data && call.result_kind == DCF_RESULT_NONE);
  dcf_call_clear(&call);
  dcf_call_clear(NULL);

  call = call_of(udf, &vertex, 1, "array", NULL, 0, &error);
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_INVALID_ARGUMENT);
  CHECK(strstr(error.message, "record batch"));
  call.more = &more;
  for (int i = 0; i < 2; i++) {
    OK(dcf_call_run(worker, &call, 1, &error));
    SAME(call.status, DCF_OK);
    SAME(call.result_kind, DCF_RESULT_ARRAY);
    SAME(more.result_array.length, 3);
  }
  struct ArrowArray moved = more.result_array; /* what is moved out is not freed */
  more.result_array.release = NULL;
  dcf_call_clear(&call);
  SAME(column(&moved, 0)[2], 2);
  moved.release(&moved);
  CHECK(!more.result_schema.release);

  call = call_of(udf, &vertex, 1, "fail", buffer, sizeof buffer, &error);
  call.more = &more;
  OK(dcf_call_run(worker, &call, 1, NULL));
  SAME(call.status, DCF_UDF_FAILED);
  SAME(error.status, DCF_UDF_FAILED);
  CHECK(strstr(error.message, "no luck") && strstr(error.message, "echo"));
  dcf_vertex_id id = id_of(vertex);
  CHECK(memcmp(&error.vertex, &id, sizeof id) == 0);
  CHECK(memmem(more.error_detail.data, more.error_detail.size, "in line 8", 9));
  dcf_call_clear(&call);

  call = call_of(udf, &vertex, 1, "", NULL, 0, NULL);
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.result_kind, DCF_RESULT_BYTES);
  SAME(call.result_size, 0);
  OK(dcf_udf_drop(udf, 0, &error));
  CHECK(atomic_load(&calls) == 10);
}

static void many_targets(dcf_worker worker) {
  dcf_error error;
  dcf_vertex v[3];
  dcf_vertex_id ids[3];
  dcf_bytes each[3] = {text("one"), text("two"), text("array")};
  _Atomic int64_t calls = 0;
  int64_t total;
  for (int i = 0; i < 3; i++) ids[i] = id_of(v[i] = put_numbers(worker, NULL, NULL, 2 + i));
  dcf_udf adds = register_udf(worker, "total", DCF_UDF_COMMUTATIVE, sum, add, NULL);
  dcf_udf echoes = register_udf(worker, "echo", 0, echo, NULL, &calls);
  dcf_call call = call_of(adds, v, 3, "", &total, sizeof total, &error);
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(total, 1 + 3 + 6);

  dcf_call_more more = spoilt_more();
  more.target_ids = ids;
  call = call_of(adds, NULL, 3, "", &total, sizeof total, &error);
  call.more = &more;
  call.flags = DCF_CALL_TIMED;
  total = 0;
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(total, 10);
  CHECK(more.served_ns > 0 && more.served_how == 0 && more.bytes_moved == 0);
  uint64_t node;
  OK(dcf_worker_node_id(worker, &node, &error));
  SAME(more.served_by, node);
  dcf_call_clear(&call);

  /* Without a merge the parts come back one by one. */
  struct ArrowArray parts;
  struct ArrowSchema schema;
  call = call_of(echoes, v, 2, "", NULL, 0, &error);
  call.more = &more;
  more.target_arguments = each;
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(call.result_kind, DCF_RESULT_PARTS);
  SAME(more.result_parts.get_schema(&more.result_parts, &schema), 0);
  CHECK(strcmp(schema.children[0]->name, "part") == 0);
  CHECK(strcmp(schema.children[0]->format, "Z") == 0);
  schema.release(&schema);
  SAME(more.result_parts.get_next(&more.result_parts, &parts), 0);
  SAME(parts.length, 2);
  CHECK(memcmp(parts.children[0]->buffers[2], "onetwo", 6) == 0);
  parts.release(&parts);
  dcf_call_clear(&call);

  call = call_of(echoes, v, 3, "", NULL, 0, &error);
  call.more = &more;
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_INVALID_ARGUMENT);
  CHECK(strstr(error.message, "part 2 of the result is of another type"));
  dcf_call_clear(&call);

  each[0] = each[1] = text("array");
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  for (int64_t i = 0; i < 3; i++) {
    SAME(more.result_parts.get_next(&more.result_parts, &parts), 0);
    SAME(parts.length, 2 + i);
    parts.release(&parts);
  }
  dcf_call_clear(&call);

  struct ArrowArray arguments;
  int64_t rows;
  dcf_udf counts = register_udf(worker, "rows", 0, rows_of_arguments, NULL, NULL);
  numbers(NULL, 6, &schema, &arguments);
  more = spoilt_more();
  more.arguments_schema = &schema;
  more.arguments_array = &arguments;
  call = call_of(counts, v, 1, "", &rows, sizeof rows, &error);
  call.more = &more;
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(rows, 6);
  CHECK(schema.release && arguments.release); /* borrowed */
  release_both(&schema, &arguments);
  OK(dcf_udf_drop(adds, 0, &error));
  OK(dcf_udf_drop(echoes, 0, &error));
  OK(dcf_udf_drop(counts, 0, &error));
  for (int i = 0; i < 3; i++) {
    OK(dcf_vertex_drop(v[i], &error));
    OK(dcf_vertex_release(v[i], &error));
  }
}

/* 64 calls of four functions in one crossing; some of them are wrong and harm no other. */
static void batch(dcf_worker worker, dcf_vertex vertex) {
  static char const* const names[] = {"n0", "n1", "n2", "n3"};
  dcf_error error, errors[64];
  dcf_udf udf[4];
  dcf_call calls[64];
  uintptr_t got[64];
  for (uintptr_t i = 0; i < 4; i++)
    udf[i] = register_udf(worker, names[i], DCF_UDF_SHORT, number, NULL, (void*)(100 + i));
  for (int i = 0; i < 64; i++) {
    calls[i] = call_of(udf[i % 4], &vertex, 1, "", &got[i], sizeof got[i], &errors[i]);
    if (i % 10 == 3) calls[i].udf.handle = 0;
    if (i % 10 == 7) calls[i].target_count = 0, calls[i].targets = NULL, calls[i].flags = 64;
  }
  for (int round = 0; round < 3; round++) {
    memset(got, 0, sizeof got);
    OK(dcf_call_run(worker, calls, 64, &error));
    for (int i = 0; i < 64; i++) {
      SAME(calls[i].status, i % 10 == 3   ? DCF_BAD_HANDLE
                            : i % 10 == 7 ? DCF_INVALID_ARGUMENT
                                          : DCF_OK);
      if (calls[i].status == DCF_OK)
        SAME(got[i], 100 + i % 4);
      else
        SAME(errors[i].status, calls[i].status);
    }
  }
  for (int i = 0; i < 4; i++) OK(dcf_udf_drop(udf[i], 0, &error));
}

/* Spawns itself on the children; adds a child to a leaf. */
static dcf_status grow(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  static const int64_t ten_thousand = 10000;
  for (size_t i = 0; i < input->child_count; i++) {
    dcf_spawn spawn = DCF_SPAWN_INIT;
    spawn.target = input->children[i];
    spawn.arguments = input->arguments;
    dcf_status status = output->api->spawn(output, &spawn);
    if (status != DCF_OK) return status;
  }
  if (input->child_count == 0 && input->arguments.size == 0) {
    struct ArrowSchema schema;
    struct ArrowArray array;
    dcf_vertex_id id;
    numbers(&ten_thousand, 1, &schema, &array);
    dcf_status status = output->api->add_child(output, text(""), &schema, &array, &id);
    if (status != DCF_OK) return status;
  }
  return sum(NULL, input, output);
}

static void spawns_and_effects(dcf_worker worker) {
  static const int64_t values[] = {1, 2, 3};
  dcf_error error;
  dcf_vertex v[3];
  int64_t total;
  for (int i = 0; i < 3; i++) v[i] = put_numbers(worker, NULL, values + i, 1);
  OK(dcf_vertex_link(v[0], id_of(v[1]), &error));
  OK(dcf_vertex_link(v[0], id_of(v[2]), &error));
  dcf_udf udf =
      register_udf(worker, "grow", DCF_UDF_UPDATES | DCF_UDF_COMMUTATIVE, grow, add, NULL);
  dcf_call call = call_of(udf, v, 1, "", &total, sizeof total, &error);
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(total, 6);
  SAME(call.effects, DCF_EFFECTS_COMPLETE);
  call.arguments = text("only look");
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(total, 20006);
  SAME(call.effects, DCF_EFFECTS_NONE);
  OK(dcf_udf_drop(udf, 0, &error));
  for (int i = 0; i < 3; i++) OK(dcf_vertex_release(v[i], &error));
}

/* Counts its calculates, and spawns itself on the children. */
static dcf_status count_down(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  atomic_fetch_add((_Atomic int64_t*)user_data, 1);
  for (size_t i = 0; i < input->child_count; i++) {
    dcf_spawn spawn = DCF_SPAWN_INIT;
    spawn.target = input->children[i];
    dcf_status status = output->api->spawn(output, &spawn);
    if (status != DCF_OK) return status;
  }
  return sum(NULL, input, output);
}

/* Several calls in one crossing, each of which spawns: each runs once. */
static void batch_that_spawns(dcf_worker worker) {
  static const int64_t values[] = {1, 2, 3};
  dcf_error error;
  dcf_vertex v[3];
  dcf_call calls[5];
  int64_t totals[5];
  _Atomic int64_t calculates = 0;
  for (int i = 0; i < 3; i++) v[i] = put_numbers(worker, NULL, values + i, 1);
  OK(dcf_vertex_link(v[0], id_of(v[1]), &error));
  OK(dcf_vertex_link(v[0], id_of(v[2]), &error));
  dcf_udf udf =
      register_udf(worker, "count down", DCF_UDF_COMMUTATIVE, count_down, add, &calculates);
  for (int i = 0; i < 5; i++) calls[i] = call_of(udf, v, 1, "", &totals[i], sizeof totals[i], NULL);
  OK(dcf_call_run(worker, calls, 5, &error));
  for (int i = 0; i < 5; i++) {
    SAME(calls[i].status, DCF_OK);
    SAME(totals[i], 6);
  }
  SAME(atomic_load(&calculates), 15);
  OK(dcf_udf_drop(udf, 0, &error));
  for (int i = 0; i < 3; i++) OK(dcf_vertex_release(v[i], &error));
}

/* Not registered with DCF_UDF_UPDATES: its effects are refused. */
static void undeclared_effects(dcf_worker worker) {
  dcf_error error;
  int64_t total;
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 1);
  dcf_udf udf = register_udf(worker, "sneaky", 0, grow, add, NULL);
  dcf_call call = call_of(udf, &vertex, 1, "", &total, sizeof total, &error);
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_UDF_FAILED);
  CHECK(strstr(error.message, "flag for updates"));
  struct ArrowArrayStream stream;
  struct ArrowArray array;
  OK(dcf_vertex_edges(vertex, 1, &stream, &error));
  SAME(stream.get_next(&stream, &array), 0);
  SAME(array.length, 0);
  array.release(&array);
  stream.release(&stream);
  OK(dcf_udf_drop(udf, 0, &error));
  OK(dcf_vertex_release(vertex, &error));
}

int main(void) {
  dcf_error error;
  dcf_worker worker = open_worker();
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 3);
  results(worker, vertex);
  many_targets(worker);
  batch(worker, vertex);
  spawns_and_effects(worker);
  batch_that_spawns(worker);
  undeclared_effects(worker);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  end(worker);
  return 0;
}
