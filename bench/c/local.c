/* The cases of one process: calls of C functions on local vertices, put and export of a table. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "floors.h"

#define WAVE 64   /* calls of local/c-64 */
#define MIXED 4   /* functions of local/c-64-mixed */
#define THREADS 2 /* of local/c-2threads-* */

/* What one thread calls. Threads share no cache line of it. */
typedef struct caller {
  dcf_vertex vertices[WAVE];
  int64_t results[WAVE];
  dcf_call calls[WAVE];
} __attribute__((aligned(128))) caller;

static dcf_worker g_worker;
static caller g_callers[THREADS];
static const int64_t g_arguments[2] = {5, 0};
static const int64_t g_values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static volatile uint64_t g_sink; /* what floors gave: their calls cannot be left out */

/* ---- Calls --------------------------------------------------------------- */

static int64_t run_one(void* context, int thread, size_t ops) {
  dcf_call* call = ((caller*)context)[thread].calls;
  for (size_t i = 0; i < ops; i++) {
    dcf_status s = dcf_call_run(g_worker, call, 1, NULL);
    if (s != DCF_OK || call->status != DCF_OK)
      measure_fail("a call failed: %s, %s", dcf_status_name(s), dcf_status_name(call->status));
  }
  return 0;
}

static int64_t run_wave(void* context, int thread, size_t ops) {
  dcf_call* calls = ((caller*)context)[thread].calls;
  for (size_t i = 0; i < ops; i++) {
    dcf_status s = dcf_call_run(g_worker, calls, WAVE, NULL);
    if (s != DCF_OK || calls[WAVE - 1].status != DCF_OK)
      measure_fail("a wave failed: %s", dcf_status_name(s));
  }
  return 0;
}

static uint64_t floor_function(uintptr_t user_data, uint64_t argument) {
  return *(const uint64_t*)user_data + argument;
}

static int64_t run_empty(void* context, int thread, size_t ops) {
  (void)context;
  (void)thread;
  uint64_t total = 0;
  for (size_t i = 0; i < ops; i++) total += bench_floor_empty(i);
  g_sink = total;
  return 0;
}

static int64_t run_callback(void* context, int thread, size_t ops) {
  (void)context;
  (void)thread;
  uint64_t total = 0;
  for (size_t i = 0; i < ops; i++)
    total += bench_floor_callback(floor_function, (uintptr_t)g_values, i);
  g_sink = total;
  return 0;
}

static void check_results(const caller* c, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (c->results[i] != g_values[0] + g_arguments[0])
      measure_fail("call %zu gave %lld instead of %lld", i, (long long)c->results[i],
                   (long long)(g_values[0] + g_arguments[0]));
}

/* Makes `count` calls, of the functions in turn, each on a vertex of its own unless `shared`. */
static void prepare(caller* c, size_t count, const dcf_udf* udfs, size_t udf_count,
                    const dcf_vertex* shared) {
  for (size_t i = 0; i < count; i++) {
    c->vertices[i] = shared ? *shared : fixture_put(g_worker, NULL, 0, "l", g_values, 8);
    c->calls[i] = fixture_call(udfs[i % udf_count], &c->vertices[i], g_arguments, &c->results[i]);
  }
  fixture_run(g_worker, c->calls, count);
  check_results(c, count);
}

static void case_one(const fixture_options* o) {
  dcf_udf udf = fixture_register(g_worker, "bench.add", NULL, NULL);
  prepare(&g_callers[0], 1, &udf, 1, NULL);
  const measure_series series[] = {{"product", run_one, g_callers, 1, 1},
                                   {"floor", run_callback, NULL, 1, 1}};
  measure_case(o->name, series, 2, &(measure_options){.rounds = o->rounds});
  check_results(&g_callers[0], 1);
}

static void case_wave(const fixture_options* o, size_t udf_count) {
  static const char* const names[MIXED] = {"add-a", "add-b", "add-c", "add-d"};
  dcf_udf udfs[MIXED];
  for (size_t i = 0; i < udf_count; i++)
    udfs[i] = fixture_register(g_worker, "bench.add", names[i], NULL);
  prepare(&g_callers[0], WAVE, udfs, udf_count, NULL);
  const measure_series series[] = {{"product", run_wave, g_callers, 1, WAVE},
                                   {"floor", run_callback, NULL, 1, 1}};
  measure_case(o->name, series, 2, &(measure_options){.rounds = o->rounds});
  check_results(&g_callers[0], WAVE);
}

static void case_wave_same(const fixture_options* o) { case_wave(o, 1); }
static void case_wave_mixed(const fixture_options* o) { case_wave(o, MIXED); }

/* The floor of two threads is made of three: what two threads pay for an empty export, and what
 * one thread pays for a call beyond an empty export. */
static void case_threads(const fixture_options* o, int same_vertex) {
  dcf_udf udf = fixture_register(g_worker, "bench.add", NULL, NULL);
  prepare(&g_callers[0], 1, &udf, 1, NULL);
  for (int i = 1; i < THREADS; i++)
    prepare(&g_callers[i], 1, &udf, 1, same_vertex ? &g_callers[0].vertices[0] : NULL);
  const measure_series series[] = {{"product", run_one, g_callers, THREADS, 1},
                                   {"floor", run_empty, NULL, THREADS, 1},
                                   {"floor_add", run_one, g_callers, 1, 1},
                                   {"floor_subtract", run_empty, NULL, 1, 1}};
  measure_case(o->name, series, 4, &(measure_options){.rounds = o->rounds});
  for (int i = 0; i < THREADS; i++) check_results(&g_callers[i], 1);
}

static void case_threads_same(const fixture_options* o) { case_threads(o, 1); }
static void case_threads_different(const fixture_options* o) { case_threads(o, 0); }

/* ---- Tables -------------------------------------------------------------- */

/* 64 MiB, touched, so that no case pays for page faults of its own input. */
static void* new_table(void) {
  void* values = aligned_alloc(64, FIXTURE_TABLE_BYTES);
  if (values == NULL) measure_fail("out of memory for a table of %d bytes", FIXTURE_TABLE_BYTES);
  memset(values, 1, FIXTURE_TABLE_BYTES);
  return values;
}

#define TABLE_ROWS (FIXTURE_TABLE_BYTES / (int64_t)sizeof(double))

/* Drops and releases a vertex: no part of any measurement. */
static void discard(dcf_vertex vertex) {
  dcf_error error;
  fixture_check(dcf_vertex_drop(vertex, &error), &error, "dcf_vertex_drop");
  fixture_check(dcf_vertex_release(vertex, &error), &error, "dcf_vertex_release");
}

static int64_t run_put(void* context, int thread, size_t ops) {
  (void)thread;
  int64_t counted = 0;
  for (size_t i = 0; i < ops; i++) {
    struct ArrowSchema schema;
    struct ArrowArray array;
    fixture_batch(&schema, &array, "g", context, TABLE_ROWS);
    const dcf_put_options options = DCF_PUT_OPTIONS_INIT;
    dcf_vertex vertex;
    dcf_error error;
    const int64_t begin = measure_now_ns();
    dcf_status s = dcf_vertex_put(g_worker, &options, &schema, &array, &vertex, &error);
    counted += measure_now_ns() - begin;
    fixture_check(s, &error, "dcf_vertex_put");
    discard(vertex);
  }
  return counted;
}

/* Exports a vertex, checks that no byte was copied, and gives the time of the export alone. */
static int64_t export_once(dcf_vertex vertex, const void* values) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_error error;
  const int64_t begin = measure_now_ns();
  dcf_status s = dcf_vertex_export(vertex, 0, &schema, &array, &error);
  const int64_t counted = measure_now_ns() - begin;
  fixture_check(s, &error, "dcf_vertex_export");
  if (array.children[0]->buffers[1] != values)
    measure_fail("the exported column lies at %p, the one that was put at %p: it was copied",
                 array.children[0]->buffers[1], values);
  schema.release(&schema);
  array.release(&array);
  return counted;
}

static int64_t run_export_first(void* context, int thread, size_t ops) {
  (void)thread;
  int64_t counted = 0;
  for (size_t i = 0; i < ops; i++) {
    dcf_vertex vertex = fixture_put(g_worker, NULL, 0, "g", context, TABLE_ROWS);
    counted += export_once(vertex, context);
    discard(vertex);
  }
  return counted;
}

static dcf_vertex g_exported;

static int64_t run_export_again(void* context, int thread, size_t ops) {
  (void)thread;
  int64_t counted = 0;
  for (size_t i = 0; i < ops; i++) counted += export_once(g_exported, context);
  return counted;
}

static void case_table(const fixture_options* o, measure_run_fn run) {
  void* values = new_table();
  g_exported = fixture_put(g_worker, NULL, 0, "g", values, TABLE_ROWS);
  const measure_series series[] = {{"product", run, values, 1, 1}};
  measure_case(o->name, series, 1, &(measure_options){.rounds = o->rounds});
  discard(g_exported);
}

static void case_put(const fixture_options* o) { case_table(o, run_put); }
static void case_export(const fixture_options* o) { case_table(o, run_export_first); }
static void case_export_again(const fixture_options* o) { case_table(o, run_export_again); }

/* ---- The driver ---------------------------------------------------------- */

static const struct {
  const char* name;
  void (*run)(const fixture_options*);
} kCases[] = {
    {"local/c", case_one},
    {"local/c-64", case_wave_same},
    {"local/c-64-mixed", case_wave_mixed},
    {"local/c-2threads-same", case_threads_same},
    {"local/c-2threads-different", case_threads_different},
    {"local/put", case_put},
    {"local/export", case_export},
    {"local/export-again", case_export_again},
};

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; i++) {
    if (strcmp(o.name, kCases[i].name) != 0) continue;
    g_worker = fixture_open(NULL, NULL);
    kCases[i].run(&o);
    dcf_error error;
    fixture_check(dcf_worker_close(g_worker, 0, &error), &error, "dcf_worker_close");
    return 0;
  }
  measure_fail("there is no case %s here", o.name);
}
