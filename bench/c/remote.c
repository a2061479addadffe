/* The cases of two processes over TCP: this one calls, the server runs. Each has as its floor the
 * same number of bytes, both ways, over a bare connection to the same process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echo.h"
#include "fixture.h"

#define WAVE 64    /* calls of tcp/64 */
#define CALLERS 64 /* threads of tcp/64-callers */
#define WEIGHINGS 4
#define WEIGHING_CALLS 50 /* whose bytes are counted at once, to make the floor equal frames */
#define WEIGHING_TABLES 1
#define CALLERS_BLOCK_NS 50000000 /* 5 ms would be four calls of each thread */
#define TIMEOUT_NS 30000000000    /* of a poll: far beyond what any call takes */

typedef struct caller {
  int64_t result;
  dcf_call call;
} __attribute__((aligned(128))) caller;

static dcf_worker g_worker;
static dcf_queue g_queue;
static dcf_vertex g_item;
static caller g_callers[CALLERS];
static echo_link g_links[CALLERS];
static int64_t g_results[WAVE];
static dcf_call g_wave[WAVE];
static dcf_call* g_wave_pointers[WAVE];
static const int64_t g_arguments[2] = {5, 0};

/* ---- Operations ---------------------------------------------------------- */

static int64_t run_call(void* context, int thread, size_t ops) {
  dcf_call* call = &((caller*)context)[thread].call;
  for (size_t i = 0; i < ops; i++) {
    dcf_status s = dcf_call_run(g_worker, call, 1, NULL);
    if (s != DCF_OK || call->status != DCF_OK)
      measure_fail("a call failed: %s, %s", dcf_status_name(s), dcf_status_name(call->status));
  }
  return 0;
}

static int64_t run_submit(void* context, int thread, size_t ops) {
  (void)context;
  (void)thread;
  dcf_error error;
  for (size_t i = 0; i < ops; i++) {
    fixture_check(dcf_queue_submit(g_queue, g_wave, WAVE, &error), &error, "dcf_queue_submit");
    for (size_t done = 0, count; done < WAVE; done += count)
      fixture_check(dcf_queue_poll(g_queue, g_wave_pointers, WAVE, TIMEOUT_NS, &count, &error),
                    &error, "dcf_queue_poll");
    for (size_t k = 0; k < WAVE; k++)
      if (g_wave[k].status != DCF_OK)
        measure_fail("call %zu of a wave failed: %s", k, dcf_status_name(g_wave[k].status));
  }
  return 0;
}

static int64_t run_fetch(void* context, int thread, size_t ops) {
  (void)thread;
  for (size_t i = 0; i < ops; i++) {
    struct ArrowSchema schema;
    struct ArrowArray array;
    dcf_error error;
    fixture_check(dcf_vertex_export(*(const dcf_vertex*)context, 0, &schema, &array, &error),
                  &error, "dcf_vertex_export");
    const double* values = array.children[0]->buffers[1];
    const int64_t last = array.length - 1;
    if (values[last] != (double)last) measure_fail("the last row of the table is wrong");
    schema.release(&schema);
    array.release(&array);
  }
  return 0;
}

typedef struct upload {
  const void* values;
  uint64_t node;
} upload;

static int64_t run_put(void* context, int thread, size_t ops) {
  (void)thread;
  const upload* u = context;
  const int64_t rows = FIXTURE_TABLE_BYTES / (int64_t)sizeof(double);
  for (size_t i = 0; i < ops; i++) {
    struct ArrowSchema schema;
    struct ArrowArray array;
    dcf_vertex vertex;
    dcf_error error;
    fixture_batch(&schema, &array, "g", u->values, rows);
    dcf_put_options options = DCF_PUT_OPTIONS_INIT;
    options.name = fixture_bytes("put");
    options.node = u->node;
    options.flags = DCF_PUT_REPLACE;
    fixture_check(dcf_vertex_put(g_worker, &options, &schema, &array, &vertex, &error), &error,
                  "dcf_vertex_put");
    fixture_check(dcf_vertex_release(vertex, &error), &error, "dcf_vertex_release");
  }
  return 0;
}

static int64_t run_echo(void* context, int thread, size_t ops) {
  const echo_link* link = &((const echo_link*)context)[thread];
  for (size_t i = 0; i < ops; i++) echo_round_trip(link);
  return 0;
}

/* ---- Floors -------------------------------------------------------------- */

/* The bytes that an operation sends and receives. Something else, heartbeats say, may travel while
 * they are counted: the least of some countings has none of it. */
static void weigh(measure_run_fn run, void* context, size_t ops, size_t* request_out,
                  size_t* reply_out) {
  *request_out = *reply_out = SIZE_MAX;
  for (int i = 0; i < WEIGHINGS; i++) {
    const int64_t sent = fixture_counter(g_worker, "bytes.sent");
    const int64_t received = fixture_counter(g_worker, "bytes.received");
    run(context, 0, ops);
    const size_t request = (size_t)(fixture_counter(g_worker, "bytes.sent") - sent) / ops;
    const size_t reply = (size_t)(fixture_counter(g_worker, "bytes.received") - received) / ops;
    if (request < *request_out) *request_out = request;
    if (reply < *reply_out) *reply_out = reply;
  }
}

/* Connects `count` links whose round trips have as many bytes as operations have. */
static void open_links(const fixture_options* o, measure_run_fn run, void* context, size_t ops,
                       size_t count) {
  size_t request, reply;
  run(context, 0, 1); /* makes connections: no part of an operation */
  weigh(run, context, ops, &request, &reply);
  if (request == 0 || reply == 0)
    measure_fail("an operation of %s sends %zu bytes and receives %zu: it never left this process",
                 o->name, request, reply);
  fprintf(stderr, "%s: %zu bytes there, %zu back\n", o->name, request, reply);
  for (size_t i = 0; i < count; i++) g_links[i] = echo_connect(o->floor_port, request, reply);
}

static void compare(const fixture_options* o, measure_run_fn run, void* context, int threads,
                    size_t calls, int64_t block_ns) {
  const measure_series series[] = {{"product", run, context, threads, calls},
                                   {"floor", run_echo, g_links, threads, calls}};
  measure_case(o->name, series, 2, &(measure_options){o->rounds, block_ns});
  for (int i = 0; i < threads; i++) echo_close(&g_links[i]);
}

/* ---- Cases --------------------------------------------------------------- */

static dcf_vertex open_name(const char* name) {
  dcf_vertex vertex;
  dcf_error error;
  fixture_check(dcf_vertex_open_name(g_worker, fixture_bytes(name), &vertex, &error), &error, name);
  return vertex;
}

static void join(const fixture_options* o) {
  g_worker = fixture_open(NULL, o->server);
  g_item = open_name("item");
}

static dcf_call new_call(int64_t* result) {
  static dcf_udf udf;
  if (udf.handle == 0) udf = fixture_register(g_worker, "bench.add", NULL, FIXTURE_VERSION);
  dcf_call call = fixture_call(udf, &g_item, g_arguments, result);
  call.flags = DCF_CALL_AT_OWNER;
  return call;
}

static void check_result(int64_t result, int64_t want) {
  if (result != want)
    measure_fail("a call gave %lld instead of %lld", (long long)result, (long long)want);
}

static void case_callers(const fixture_options* o, int threads, int64_t block_ns) {
  join(o);
  for (int i = 0; i < threads; i++) g_callers[i].call = new_call(&g_callers[i].result);
  fixture_run(g_worker, &g_callers[0].call, 1);
  check_result(g_callers[0].result, 6);
  open_links(o, run_call, g_callers, WEIGHING_CALLS, (size_t)threads);
  compare(o, run_call, g_callers, threads, 1, block_ns);
  for (int i = 0; i < threads; i++) check_result(g_callers[i].result, 6);
}

static void case_one(const fixture_options* o) { case_callers(o, 1, 0); }
static void case_many(const fixture_options* o) { case_callers(o, CALLERS, CALLERS_BLOCK_NS); }

static void case_wave(const fixture_options* o) {
  dcf_error error;
  join(o);
  fixture_check(dcf_queue_open(g_worker, &g_queue, &error), &error, "dcf_queue_open");
  for (size_t i = 0; i < WAVE; i++) g_wave[i] = new_call(&g_results[i]);
  open_links(o, run_submit, NULL, WEIGHING_CALLS, 1);
  compare(o, run_submit, NULL, 1, WAVE, 0);
  for (size_t i = 0; i < WAVE; i++) check_result(g_results[i], 6);
  fixture_check(dcf_queue_close(g_queue, &error), &error, "dcf_queue_close");
}

static void case_fetch(const fixture_options* o) {
  join(o);
  dcf_vertex table = open_name("table");
  open_links(o, run_fetch, &table, WEIGHING_TABLES, 1);
  if (g_links[0].reply < FIXTURE_TABLE_BYTES)
    measure_fail("a fetch moves %zu bytes: it was answered from a cache", g_links[0].reply);
  compare(o, run_fetch, &table, 1, 1, 0);
}

static void case_put(const fixture_options* o) {
  join(o);
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  dcf_error error;
  fixture_check(dcf_vertex_info_get(g_item, &info, &error), &error, "dcf_vertex_info_get");
  void* values = aligned_alloc(64, FIXTURE_TABLE_BYTES);
  if (values == NULL) measure_fail("out of memory for a table of %d bytes", FIXTURE_TABLE_BYTES);
  memset(values, 1, FIXTURE_TABLE_BYTES);
  upload u = {values, info.owner_node};
  open_links(o, run_put, &u, WEIGHING_TABLES, 1);
  compare(o, run_put, &u, 1, 1, 0);
}

static void case_tree(const fixture_options* o) {
  char address[64];
  snprintf(address, sizeof address, "tcp://127.0.0.1:%d", echo_free_port());
  g_worker = fixture_open(address, o->server);
  fixture_tree(g_worker, 0, FIXTURE_TREE_FIRST);
  g_item = open_name("0");
  dcf_udf udf = fixture_register(g_worker, "bench.tree", NULL, FIXTURE_VERSION);
  g_callers[0].call = fixture_call(udf, &g_item, g_arguments, &g_callers[0].result);
  fixture_run(g_worker, &g_callers[0].call, 1);
  check_result(g_callers[0].result, FIXTURE_TREE_SUM);
  open_links(o, run_call, g_callers, WEIGHING_CALLS, 1);
  compare(o, run_call, g_callers, 1, 1, 0);
  check_result(g_callers[0].result, FIXTURE_TREE_SUM);
}

/* ---- The driver ---------------------------------------------------------- */

static const struct {
  const char* name;
  void (*run)(const fixture_options*);
} kCases[] = {
    {"tcp/1-one-cpu", case_one},   {"tcp/1-two-cpus", case_one},    {"tcp/64", case_wave},
    {"tcp/64-callers", case_many}, {"tcp/fetch-64MiB", case_fetch}, {"tcp/put-64MiB", case_put},
    {"tree/graphsum", case_tree},
};

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  if (o.server == NULL || o.floor_port == 0)
    measure_fail("--server and --floor are needed: they are what the server printed");
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; i++) {
    if (strcmp(o.name, kCases[i].name) != 0) continue;
    kCases[i].run(&o);
    dcf_error error;
    fixture_check(dcf_worker_close(g_worker, 0, &error), &error, "dcf_worker_close");
    return 0;
  }
  measure_fail("there is no case %s here", o.name);
}
