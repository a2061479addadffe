/* What C serves by itself and what it must leave to Go: the answers are the same. */
#define _GNU_SOURCE
#include <time.h>

#include "support.h"

static dcf_worker worker, other;

static dcf_call call_of(dcf_udf udf, const dcf_vertex* target, int64_t* got, dcf_error* error) {
  dcf_call call = DCF_CALL_INIT;
  call.udf = udf;
  call.targets = target;
  call.target_count = 1;
  call.buffer = got;
  call.buffer_size = sizeof *got;
  call.error = error;
  return call;
}

/* Runs a call that must fail with that status and text. */
static void fails(dcf_udf udf, dcf_vertex target, dcf_status want, const char* text) {
  dcf_error error, of_run;
  int64_t got;
  dcf_call call = call_of(udf, &target, &got, &error);
  memset(&error, 0, sizeof error);
  dcf_status status = dcf_call_run(worker, &call, 1, &of_run);
  SAME(status, DCF_OK);
  check_failure(__FILE__, __LINE__, "a call", call.status, want, &error, text);
}

static int64_t runs(dcf_udf udf, dcf_vertex target) {
  dcf_error error, of_run;
  int64_t got = -1;
  dcf_call call = call_of(udf, &target, &got, &of_run);
  OK(dcf_call_run(worker, &call, 1, &error));
  if (call.status != DCF_OK) error = of_run;
  OK(call.status);
  SAME(call.result_kind, DCF_RESULT_BYTES);
  SAME(call.result_size, 8);
  SAME(call.effects, DCF_EFFECTS_NONE);
  return got;
}

/* Handles that are not good for this worker, or no longer. */
static void handles(dcf_udf total) {
  dcf_error error;
  dcf_vertex mine = put_numbers(worker, NULL, NULL, 4), foreign = put_numbers(other, NULL, NULL, 4);
  dcf_udf theirs = register_udf(other, "total", 0, sum, add, NULL), again;
  SAME(runs(total, mine), 6);
  fails(total, foreign, DCF_BAD_HANDLE, "belongs to another worker");
  fails(theirs, mine, DCF_BAD_HANDLE, "belongs to another worker");
  fails((dcf_udf){mine.handle}, mine, DCF_BAD_HANDLE, "no handle of a UDF");
  fails(total, (dcf_vertex){total.handle}, DCF_BAD_HANDLE, "no handle of a vertex");

  OK(dcf_udf_open(worker, text("total"), &again, &error));
  SAME(runs(again, mine), 6);
  OK(dcf_udf_release(again, &error));
  fails(again, mine, DCF_BAD_HANDLE, "given back");

  OK(dcf_vertex_drop(foreign, &error));
  OK(dcf_vertex_release(foreign, &error));
  dcf_vertex second;
  OK(dcf_vertex_open(worker, id_of(mine), &second, &error));
  OK(dcf_vertex_release(second, &error));
  fails(total, second, DCF_BAD_HANDLE, "given back");
  OK(dcf_vertex_drop(mine, &error));
  fails(total, mine, DCF_NOT_FOUND, "was dropped");
  OK(dcf_vertex_release(mine, &error));
  fails(total, mine, DCF_BAD_HANDLE, "given back");
  OK(dcf_udf_drop(theirs, 0, &error));
}

/* A function that was dropped is gone by every handle on it. */
static void dropped(dcf_vertex vertex) {
  dcf_error error;
  dcf_udf first = register_udf(worker, "short-lived", 0, sum, add, NULL), second;
  OK(dcf_udf_open(worker, text("short-lived"), &second, &error));
  SAME(runs(second, vertex), 6);
  OK(dcf_udf_drop(first, 0, &error));
  fails(second, vertex, DCF_NOT_FOUND, "was dropped");
  OK(dcf_udf_release(second, &error));
}

/* A group's value lies in its shards. */
static void group(dcf_udf total) {
  dcf_error error;
  dcf_vertex shards;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.shard_count = 3;
  numbers(NULL, 10, &schema, &array);
  OK(dcf_vertex_put(worker, &options, &schema, &array, &shards, &error));
  SAME(runs(total, shards), 45);
  OK(dcf_vertex_drop(shards, &error));
  OK(dcf_vertex_release(shards, &error));
}

/* What is told of a call beside its result, and a version that is read anew each time. */
static void facts(dcf_udf total, dcf_vertex vertex) {
  dcf_error error;
  int64_t got = -1;
  uint64_t node, version;
  struct ArrowSchema schema;
  struct ArrowArray array;
  const int64_t seven = 7;
  dcf_call call = call_of(total, &vertex, &got, NULL);
  dcf_call_more more = DCF_CALL_MORE_INIT;
  call.more = &more;
  more.served_by = more.bytes_moved = more.bytes_fetched = more.served_how = 99;
  OK(dcf_worker_node_id(worker, &node, &error));
  numbers(&seven, 1, &schema, &array);
  OK(dcf_vertex_set(vertex, 0, &schema, &array, &version, &error));
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(got, 7);
  SAME(more.result_version, version);
  SAME(more.served_by, node);
  SAME(more.served_how + more.served_ns + more.bytes_moved + more.bytes_fetched, 0);
  OK(dcf_vertex_set(vertex, version, NULL, NULL, &version, &error));
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(got, 0); /* no value, no sum */
  SAME(more.result_version, version);
}

/* Says what it was given besides its vertex. */
static dcf_status asked(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  int64_t* seen = user_data;
  seen[0] = input->deadline_ns;
  seen[1] = *input->cancelled;
  seen[2] = (int64_t)input->child_count;
  seen[3] = (int64_t)input->parent_count;
  seen[4] = input->vertex_kind;
  CHECK(input->struct_size == sizeof *input && !input->arguments_schema && !input->arguments_array);
  CHECK(input->auxiliary.size == 0);
  return output->api->bytes(output, input->arguments);
}

static void inputs(void) {
  dcf_error error;
  int64_t seen[5], got = 0, argument = 77;
  dcf_vertex parent = put_numbers(worker, NULL, NULL, 1),
             child = put_numbers(worker, NULL, NULL, 1);
  dcf_udf udf = register_udf(worker, "asked", 0, asked, NULL, seen);
  OK(dcf_vertex_link(parent, id_of(child), &error));
  dcf_call call = call_of(udf, &parent, &got, NULL);
  call.arguments = (dcf_bytes){&argument, sizeof argument};
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(got, 77);
  SAME(seen[0] + seen[1] + seen[3] + seen[4], 0);
  SAME(seen[2], 1);
  call.targets = &child;
  call.timeout_ns = 5000000000;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(seen[2], 0);
  SAME(seen[3], 1);
  CHECK(seen[0] >= (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + call.timeout_ns);
  call.timeout_ns = INT64_MAX;
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(seen[0], INT64_MAX);
  call.arguments = (dcf_bytes){NULL, 0};
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.result_kind, DCF_RESULT_BYTES); /* an empty part is a part */
  SAME(call.result_size, 0);
  OK(dcf_udf_drop(udf, 0, &error));
  OK(dcf_vertex_drop(parent, &error));
  OK(dcf_vertex_drop(child, &error));
  OK(dcf_vertex_release(parent, &error));
  OK(dcf_vertex_release(child, &error));
}

/* More than C can give by itself: Go takes the answer. */
static dcf_status talkative(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  output->api->log(output, 0, text("so far so good"));
  return sum(user_data, input, output);
}

/* Each call is counted once, whoever gave its answer. */
static void counts(dcf_udf total, dcf_vertex vertex) {
  dcf_error error;
  dcf_udf logs = register_udf(worker, "talkative", 0, talkative, NULL, NULL);
  const int64_t before = counter(worker, "calls.local");
  for (int i = 0; i < 100; i++) SAME(runs(i % 2 ? total : logs, vertex), 6);
  SAME(counter(worker, "calls.local"), before + 100);
  OK(dcf_udf_drop(logs, 0, &error));
}

/* Says nothing, or spawns itself on its argument's vertex. */
static dcf_status quiet(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  if (input->arguments.size != sizeof(dcf_vertex_id)) return DCF_OK;
  dcf_spawn spawn = DCF_SPAWN_INIT;
  memcpy(&spawn.target, input->arguments.data, sizeof spawn.target);
  spawn.udf = text("total");
  return output->api->spawn(output, &spawn);
}

/* One run of calls that C serves, with some between that it cannot. */
static void mixed(dcf_udf total, dcf_vertex vertex) {
  enum { CALLS = 40 };
  dcf_error error;
  dcf_call calls[CALLS];
  int64_t got[CALLS];
  dcf_vertex many[2] = {vertex, vertex}, stale = {vertex.handle + (1ull << 32)};
  dcf_udf silent = register_udf(worker, "quiet", 0, quiet, NULL, NULL);
  dcf_vertex_id id = id_of(vertex);
  const int64_t before = counter(worker, "calls.local");
  for (int i = 0; i < CALLS; i++) {
    got[i] = -1;
    calls[i] = call_of(total, &vertex, &got[i], NULL);
    if (i % 8 == 3) calls[i].udf = silent;
    if (i % 8 == 5) calls[i].targets = &stale;
    if (i % 8 == 6) calls[i].targets = many, calls[i].target_count = 2;
    if (i % 8 == 7) calls[i].udf = silent, calls[i].arguments = (dcf_bytes){&id, sizeof id};
  }
  for (int from = 0; from < CALLS; from++) { /* each kind comes first once */
    OK(dcf_call_run(worker, calls + from, (size_t)(CALLS - from), &error));
    for (int i = from; i < CALLS; i++) {
      SAME(calls[i].status, i % 8 == 5 ? DCF_BAD_HANDLE : DCF_OK);
      SAME(calls[i].result_kind, i % 8 == 5 || i % 8 == 3 ? DCF_RESULT_NONE : DCF_RESULT_BYTES);
      if (i % 8 != 5 && i % 8 != 3) SAME(got[i], i % 8 == 6 ? 12 : 6);
    }
  }
  CHECK(counter(worker, "calls.local") > before);
  OK(dcf_udf_drop(silent, 0, &error));
}

int main(void) {
  dcf_error error;
  worker = open_worker();
  other = open_worker();
  dcf_udf total = register_udf(worker, "total", DCF_UDF_COMMUTATIVE, sum, add, NULL);
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 4);
  handles(total);
  dropped(vertex);
  group(total);
  inputs();
  mixed(total, vertex);
  counts(total, vertex);
  facts(total, vertex);
  OK(dcf_worker_close(other, 0, &error));
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  OK(dcf_udf_drop(total, 0, &error));
  end(worker);
  return 0;
}
