/* The cases in which dcf is compared with other systems, called from C: two servers of this host
 * hold the data. Prints one JSON object: the version, how calls are served, and a map of cases. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define WARM_CALLS 500
#define MAX_SAMPLES 2000000
#define MIN_BULK 3
#define OUTSTANDING 64
#define FAN_ITEMS 8
#define FAN_SUM (FAN_ITEMS * 499500.0)
#define COLUMN_SUM 499999500000.0
#define BLOB_BYTES 1024
#define TIMEOUT_NS 30000000000 /* of a poll: far beyond what any call takes */

static dcf_worker g_worker;
static double g_seconds; /* of each case */
static double* g_samples;
static const int64_t g_arguments[2] = {5, 0};

typedef void (*operation)(void* context);

static void call_once(void* context) {
  dcf_call* call = context;
  dcf_status s = dcf_call_run(g_worker, call, 1, NULL);
  if (s != DCF_OK || call->status != DCF_OK)
    measure_fail("a call failed: %s, %s", dcf_status_name(s), dcf_status_name(call->status));
}

static int by_size(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

/* Runs an operation for g_seconds, at least `least` times; sorted seconds are in g_samples. */
static size_t sample(operation run, void* context, size_t warm, size_t least, double* wall_out) {
  for (size_t i = 0; i < warm; i++) run(context);
  const int64_t begin = measure_now_ns(), end = begin + (int64_t)(g_seconds * 1e9);
  size_t count = 0;
  int64_t last = begin;
  while ((last < end || count < least) && count < MAX_SAMPLES) {
    run(context);
    const int64_t now = measure_now_ns();
    g_samples[count++] = (double)(now - last) / 1e9;
    last = now;
  }
  *wall_out = (double)(last - begin) / 1e9;
  qsort(g_samples, count, sizeof *g_samples, by_size);
  return count;
}

/* What stands before the next case. */
static const char* separator(void) {
  static int printed;
  return printed++ ? "," : "";
}

/* A case of small calls: microseconds. */
static void latency(const char* name, operation run, void* context) {
  double wall;
  const size_t n = sample(run, context, WARM_CALLS, 1, &wall);
  printf("%s\"%s\":{\"p50_us\":%.3f,\"p99_us\":%.3f,\"min_us\":%.3f,", separator(), name,
         g_samples[n / 2] * 1e6, g_samples[n * 99 / 100] * 1e6, g_samples[0] * 1e6);
  printf("\"calls_per_s\":%.0f,\"n\":%zu}", (double)n / wall, n);
}

/* A case of large work: milliseconds, and GB/s where bytes move. */
static void bulk(const char* name, operation run, void* context, double bytes) {
  double wall;
  const size_t n = sample(run, context, 1, MIN_BULK, &wall);
  printf("%s\"%s\":{\"p50_ms\":%.4f,\"min_ms\":%.4f,\"n\":%zu", separator(), name,
         g_samples[n / 2] * 1e3, g_samples[0] * 1e3, n);
  if (bytes > 0) printf(",\"GB_s\":%.2f", bytes / g_samples[n / 2] / 1e9);
  printf("}");
}

static dcf_vertex open_name(const char* name) {
  dcf_vertex vertex;
  dcf_error error;
  fixture_check(dcf_vertex_open_name(g_worker, fixture_bytes(name), &vertex, &error), &error, name);
  return vertex;
}

/* ---- Cases --------------------------------------------------------------- */

static void small_calls(dcf_udf add, dcf_udf blob, const dcf_vertex* item) {
  int64_t result = 0;
  dcf_call call = fixture_call(add, item, g_arguments, &result);
  latency("call_small", call_once, &call);
  if (result != 6) measure_fail("add gave %lld instead of 6", (long long)result);
  static char bytes[BLOB_BYTES];
  const dcf_vertex vertex = open_name("blob");
  call = fixture_call(blob, &vertex, g_arguments, NULL);
  call.buffer = bytes;
  call.buffer_size = sizeof bytes;
  latency("call_small_blob1k", call_once, &call);
  if (call.result_size != BLOB_BYTES)
    measure_fail("blob gave %zu bytes instead of %d", call.result_size, BLOB_BYTES);
}

/* Sends OUTSTANDING calls at once, and again when all came back. */
static void pipelined(dcf_udf add, const dcf_vertex* item) {
  static int64_t results[OUTSTANDING];
  static dcf_call calls[OUTSTANDING];
  dcf_queue queue;
  dcf_error error;
  fixture_check(dcf_queue_open(g_worker, &queue, &error), &error, "dcf_queue_open");
  for (int i = 0; i < OUTSTANDING; i++)
    calls[i] = fixture_call(add, item, g_arguments, &results[i]);
  const int64_t begin = measure_now_ns(), end = begin + (int64_t)(g_seconds * 1e9);
  size_t finished = 0;
  do {
    dcf_call* done[OUTSTANDING];
    fixture_check(dcf_queue_submit(queue, calls, OUTSTANDING, &error), &error, "dcf_queue_submit");
    for (size_t under_way = OUTSTANDING, count; under_way > 0; under_way -= count) {
      fixture_check(dcf_queue_poll(queue, done, OUTSTANDING, TIMEOUT_NS, &count, &error), &error,
                    "dcf_queue_poll");
      for (size_t i = 0; i < count; i++)
        if (done[i]->status != DCF_OK)
          measure_fail("a call failed: %s", dcf_status_name(done[i]->status));
    }
    finished += OUTSTANDING;
  } while (measure_now_ns() < end);
  const double wall = (double)(measure_now_ns() - begin) / 1e9;
  printf("%s\"call_pipelined\":{\"calls_per_s\":%.0f,\"outstanding\":%d}", separator(),
         (double)finished / wall, OUTSTANDING);
  fixture_check(dcf_queue_close(queue, &error), &error, "dcf_queue_close");
}

static void sums(dcf_udf sum) {
  double total = 0;
  dcf_vertex targets[FAN_ITEMS] = {open_name("column")};
  dcf_call call = fixture_call(sum, targets, g_arguments, (int64_t*)&total);
  bulk("sum_1M", call_once, &call, 0);
  if (fabs(total - COLUMN_SUM) > 1) measure_fail("the sum of the column is %f", total);
  for (int i = 0; i < FAN_ITEMS; i++) {
    char name[16];
    snprintf(name, sizeof name, "fan-%d", i);
    targets[i] = open_name(name);
  }
  call.target_count = FAN_ITEMS;
  latency("fanout_agg", call_once, &call);
  if (total != FAN_SUM) measure_fail("the sum over both servers is %f", total);
}

static void fetch(void* context) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_error error;
  fixture_check(dcf_vertex_export(*(const dcf_vertex*)context, 0, &schema, &array, &error), &error,
                "dcf_vertex_export");
  schema.release(&schema);
  array.release(&array);
}

typedef struct upload {
  const void* values;
  uint64_t node;
} upload;

static void put(void* context) {
  const upload* u = context;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex vertex;
  dcf_error error;
  fixture_batch(&schema, &array, "g", u->values, FIXTURE_TABLE_BYTES / (int64_t)sizeof(double));
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.name = fixture_bytes("put-by-c");
  options.node = u->node;
  options.flags = DCF_PUT_REPLACE;
  fixture_check(dcf_vertex_put(g_worker, &options, &schema, &array, &vertex, &error), &error,
                "dcf_vertex_put");
  fixture_check(dcf_vertex_release(vertex, &error), &error, "dcf_vertex_release");
}

static void tables(const dcf_vertex* item) {
  dcf_vertex table = open_name("table");
  bulk("fetch_64MiB", fetch, &table, FIXTURE_TABLE_BYTES);
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  dcf_error error;
  fixture_check(dcf_vertex_info_get(*item, &info, &error), &error, "dcf_vertex_info_get");
  upload u = {aligned_alloc(64, FIXTURE_TABLE_BYTES), info.owner_node};
  if (u.values == NULL) measure_fail("out of memory for a table");
  memset((void*)u.values, 1, FIXTURE_TABLE_BYTES);
  bulk("put_64MiB", put, &u, FIXTURE_TABLE_BYTES);
}

static void in_process(dcf_udf add) {
  static const int64_t values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  int64_t result = 0;
  const dcf_vertex vertex = fixture_put(g_worker, NULL, 0, "l", values, 8);
  dcf_call call = fixture_call(add, &vertex, g_arguments, &result);
  latency("inproc_call", call_once, &call);
  if (result != 6) measure_fail("add gave %lld instead of 6", (long long)result);
}

/* In the words of Python's Answer.served_how. */
static const char* served_how(dcf_udf add, const dcf_vertex* item) {
  static const char* const words[] = {"in process", "shared memory", "network"};
  int64_t result;
  dcf_call call = fixture_call(add, item, g_arguments, &result);
  dcf_call_more more = DCF_CALL_MORE_INIT;
  call.more = &more;
  call_once(&call);
  dcf_call_clear(&call);
  return more.served_how < sizeof words / sizeof *words ? words[more.served_how] : "unknown";
}

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  if (o.server == NULL) measure_fail("--server is needed: the address of the first server");
  g_seconds = o.seconds;
  g_samples = malloc(MAX_SAMPLES * sizeof *g_samples);
  if (g_samples == NULL) measure_fail("out of memory for %d samples", MAX_SAMPLES);
  g_worker = fixture_open(NULL, o.server);
  const dcf_udf add = fixture_register(g_worker, "bench.add", NULL, FIXTURE_VERSION);
  const dcf_udf blob = fixture_register(g_worker, "bench.blob", NULL, FIXTURE_VERSION);
  const dcf_udf sum = fixture_register(g_worker, "bench.sum", NULL, FIXTURE_VERSION);
  const dcf_vertex item = open_name("item");
  printf("{\"version\":\"%s\",\"served_how\":\"%s\",\"cases\":{", dcf_version(),
         served_how(add, &item));
  small_calls(add, blob, &item);
  pipelined(add, &item);
  sums(sum);
  tables(&item);
  in_process(add);
  printf("}}\n");
  dcf_error error;
  fixture_check(dcf_worker_close(g_worker, 0, &error), &error, "dcf_worker_close");
  return 0;
}
