/* Vertices: put, find, export, set, edges, groups, drop. */
#include "support.h"

static void zero_copy(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex;
  struct ArrowSchema schema;
  struct ArrowArray array;
  numbers(NULL, 1000, &schema, &array);
  const void* mine = array.children[0]->buffers[1];
  OK(dcf_vertex_put(worker, NULL, &schema, &array, &vertex, &error));
  CHECK(!schema.release && !array.release);
  OK(dcf_vertex_export(vertex, 0, &schema, &array, &error));
  CHECK(array.children[0]->buffers[1] == mine);
  SAME(array.length, 1000);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  SAME(column(&array, 0)[999], 999); /* the export pins the value */
  SAME(atomic_load(&batches_alive), 1);
  release_both(&schema, &array);
}

static void info_and_name(dcf_worker worker) {
  dcf_error error;
  char name[16];
  size_t size;
  dcf_vertex vertex = put_numbers(worker, "caf\xc3\xa9", NULL, 3), found, unnamed;
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  OK(dcf_vertex_info_get(vertex, &info, &error));
  SAME(info.struct_size, sizeof info);
  SAME(info.kind, DCF_VERTEX_LOCAL);
  SAME(info.rows, 3);
  CHECK(info.bytes >= 24 && info.version > 0);
  uint64_t node;
  OK(dcf_worker_node_id(worker, &node, &error));
  SAME(info.owner_node, node);
  dcf_vertex_info smaller = {offsetof(dcf_vertex_info, rows), 0, {{0}}, 0, 0, -7, 0, 0};
  OK(dcf_vertex_info_get(vertex, &smaller, &error));
  SAME(smaller.version, info.version);
  SAME(smaller.rows, -7); /* beyond what the caller knows */

  OK(dcf_vertex_name(vertex, name, sizeof name, &size, &error));
  CHECK(size == 5 && memcmp(name, "caf\xc3\xa9", 5) == 0);
  OK(dcf_vertex_name(vertex, name, 2, &size, &error));
  SAME(size, 5);
  OK(dcf_vertex_name(vertex, NULL, 0, &size, &error));
  SAME(size, 5);
  FAILS(dcf_vertex_name(vertex, NULL, 1, &size, &error), DCF_INVALID_ARGUMENT, "buffer is NULL");

  OK(dcf_vertex_open(worker, info.id, &found, &error));
  CHECK(found.handle != vertex.handle);
  OK(dcf_vertex_release(found, &error));
  OK(dcf_vertex_open_name(worker, text("caf\xc3\xa9"), &found, &error));
  OK(dcf_vertex_release(found, &error));
  FAILS(dcf_vertex_open_name(worker, text("cafe"), &found, &error), DCF_NOT_FOUND, "\"cafe\"");
  info.id.bytes[3] ^= 1;
  FAILS(dcf_vertex_open(worker, info.id, &found, &error), DCF_NOT_FOUND, "");

  OK(dcf_vertex_put(worker, NULL, NULL, NULL, &unnamed, &error));
  OK(dcf_vertex_name(unnamed, NULL, 0, &size, &error));
  SAME(size, 0);
  OK(dcf_vertex_info_get(unnamed, &info, &error));
  SAME(info.rows, -1);
  struct ArrowSchema schema;
  struct ArrowArray array;
  FAILS(dcf_vertex_export(unnamed, 0, &schema, &array, &error), DCF_NOT_FOUND, "has no value");
  OK(dcf_vertex_release(unnamed, &error));
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
}

/* What is not taken over stays the caller's. */
static void refused_puts(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex = put_numbers(worker, "taken", NULL, 3), other;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  struct ArrowSchema schema;
  struct ArrowArray array;
  char long_name[257];
  memset(long_name, 'n', 256);
  long_name[256] = 0;

  numbers(NULL, 5, &schema, &array);
  options.name = text("taken");
  FAILS(dcf_vertex_put(worker, &options, &schema, &array, &other, &error), DCF_ALREADY_EXISTS,
        "taken");
  CHECK(schema.release && array.release);
  SAME(column(&array, 0)[4], 4);
  options.name = text(long_name);
  FAILS(dcf_vertex_put(worker, &options, &schema, &array, &other, &error), DCF_INVALID_ARGUMENT,
        "at most 255 bytes");
  CHECK(schema.release && array.release);
  options.name = text("taken");
  options.flags = DCF_PUT_REPLACE;
  OK(dcf_vertex_put(worker, &options, &schema, &array, &other, &error));
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  OK(dcf_vertex_info_get(vertex, &info, &error));
  SAME(info.rows, 5);
  OK(dcf_vertex_release(other, &error));
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
}

static void sets(dcf_worker worker) {
  static const int64_t seven[] = {7};
  dcf_error error;
  struct ArrowSchema schema;
  struct ArrowArray array;
  uint64_t first, second;
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 3);
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  OK(dcf_vertex_info_get(vertex, &info, &error));
  numbers(seven, 1, &schema, &array);
  OK(dcf_vertex_set(vertex, info.version, &schema, &array, &first, &error));
  CHECK(first > info.version && !schema.release);
  numbers(seven, 1, &schema, &array);
  FAILS(dcf_vertex_set(vertex, info.version, &schema, &array, &second, &error), DCF_ABORTED, "");
  CHECK(schema.release && array.release);
  OK(dcf_vertex_set(vertex, 0, &schema, &array, NULL, &error));
  OK(dcf_vertex_set(vertex, 0, NULL, NULL, &second, &error));
  CHECK(second > first);
  OK(dcf_vertex_info_get(vertex, &info, &error));
  SAME(info.rows, -1);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
}

/* Copies that need no worker, with the sources left to the caller. */
static void joined_arrays(void) {
  static const int64_t ten[] = {10, 11};
  dcf_error error;
  struct ArrowSchema schema, other;
  struct ArrowArray first, second, out;
  numbers(NULL, 3, &schema, &first);
  numbers(ten, 2, &other, &second);
  const struct ArrowArray* arrays[] = {&first, &second};
  OK(dcf_array_concat(&schema, arrays, 2, &out, &error));
  CHECK(schema.release && first.release && second.release);
  release_both(&other, &second);
  SAME(out.length, 5);
  SAME(column(&out, 0)[2], 2);
  SAME(column(&out, 0)[4], 11);
  out.release(&out);
  OK(dcf_array_concat(&schema, arrays, 0, &out, &error));
  SAME(out.length, 0);
  out.release(&out);
  FAILS(dcf_array_concat(&schema, arrays, 2, &out, &error), DCF_INVALID_ARGUMENT,
        "released already");
  release_both(&schema, &first);
}

/* The ids in a table of edges; checks that there are n. */
static void check_edges(dcf_vertex vertex, uint32_t direction, const dcf_vertex_id* want, int n) {
  dcf_error error;
  struct ArrowArrayStream stream;
  struct ArrowArray array;
  OK(dcf_vertex_edges(vertex, direction, &stream, &error));
  SAME(stream.get_next(&stream, &array), 0);
  SAME(array.length, n);
  if (n) CHECK(memcmp(array.children[0]->buffers[1], want, (size_t)n * sizeof *want) == 0);
  array.release(&array);
  stream.release(&stream);
}

static void edges(dcf_worker worker) {
  dcf_error error;
  dcf_vertex v[3];
  dcf_vertex_id id[3];
  for (int i = 0; i < 3; i++) id[i] = id_of(v[i] = put_numbers(worker, NULL, NULL, 1));
  OK(dcf_vertex_link(v[0], id[1], &error));
  OK(dcf_vertex_link(v[0], id[2], &error));
  check_edges(v[0], 1, id + 1, 2);
  check_edges(v[1], 2, id, 1);
  OK(dcf_vertex_unlink(v[0], id[1], &error));
  check_edges(v[0], 1, id + 2, 1);
  FAILS(dcf_vertex_unlink(v[0], id[1], &error), DCF_NOT_FOUND, "");
  struct ArrowArrayStream stream;
  FAILS(dcf_vertex_edges(v[0], 3, &stream, &error), DCF_INVALID_ARGUMENT, "1 is children");
  for (int i = 0; i < 3; i++) {
    OK(dcf_vertex_drop(v[i], &error));
    OK(dcf_vertex_release(v[i], &error));
  }
}

/* A stream that gives three batches of 10 numbers, and can fail instead of the third. */
typedef struct source {
  int given, fails, released;
} source;
static int source_schema(struct ArrowArrayStream* stream, struct ArrowSchema* out) {
  (void)stream;
  struct ArrowArray unused;
  numbers(NULL, 0, out, &unused);
  unused.release(&unused);
  return 0;
}
static int source_next(struct ArrowArrayStream* stream, struct ArrowArray* out) {
  source* s = stream->private_data;
  struct ArrowSchema unused;
  if (s->given == 2 && s->fails) return 5;
  out->release = NULL;
  if (s->given++ == 3) return 0;
  numbers(NULL, 10, &unused, out);
  unused.release(&unused);
  return 0;
}
static const char* source_error(struct ArrowArrayStream* stream) {
  (void)stream;
  return "the disk is on fire";
}
static void source_release(struct ArrowArrayStream* stream) {
  ((source*)stream->private_data)->released++;
  stream->release = NULL;
}
static struct ArrowArrayStream stream_of(source* s) {
  return (struct ArrowArrayStream){source_schema, source_next, source_error, source_release, s};
}

static void streams(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  source good = {0, 0, 0}, bad = {0, 1, 0}, unread = {0, 0, 0};
  struct ArrowArrayStream stream = stream_of(&good);
  options.name = text("table");
  options.shard_count = 4;
  OK(dcf_vertex_put_stream(worker, &options, &stream, &vertex, &error));
  CHECK(!stream.release);
  SAME(good.released, 1);
  struct ArrowArray array;
  int64_t rows = 0, batches = 0, total = 0;
  OK(dcf_vertex_stream(vertex, &stream, &error));
  for (;;) {
    SAME(stream.get_next(&stream, &array), 0);
    if (!array.release) break;
    for (int64_t i = 0; i < array.length; i++) total += column(&array, 0)[i];
    rows += array.length;
    batches++;
    array.release(&array);
  }
  stream.release(&stream);
  SAME(rows, 30);
  SAME(batches, 4);
  SAME(total, 135);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));

  stream = stream_of(&bad);
  FAILS(dcf_vertex_put_stream(worker, &options, &stream, &vertex, &error), DCF_INVALID_ARGUMENT,
        "the disk is on fire");
  SAME(bad.released, 1);
  options.flags = 1u << 31;
  stream = stream_of(&unread);
  FAILS(dcf_vertex_put_stream(worker, &options, &stream, &vertex, &error), DCF_INVALID_ARGUMENT,
        "unknown bits");
  SAME(unread.released, 1); /* consumed even where nothing was read */
  FAILS(dcf_vertex_put_stream(worker, NULL, &stream, &vertex, &error), DCF_INVALID_ARGUMENT,
        "released or moved before");
  FAILS(dcf_vertex_put_stream(worker, NULL, NULL, &vertex, &error), DCF_INVALID_ARGUMENT,
        "stream is NULL");
}

static void handles(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex = put_numbers(worker, "later", NULL, 3), later;
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  OK(dcf_vertex_drop(vertex, &error));
  FAILS(dcf_vertex_drop(vertex, &error), DCF_NOT_FOUND, "dropped");
  later = put_numbers(worker, "later", NULL, 4);
  FAILS(dcf_vertex_info_get(vertex, &info, &error), DCF_NOT_FOUND, "dropped");
  OK(dcf_vertex_release(vertex, &error));
  FAILS(dcf_vertex_release(vertex, &error), DCF_BAD_HANDLE, "was given back");
  FAILS(dcf_vertex_info_get(vertex, &info, &error), DCF_BAD_HANDLE, "was given back");
  FAILS(dcf_vertex_info_get((dcf_vertex){worker.handle}, &info, &error), DCF_BAD_HANDLE,
        "no handle of a vertex");
  OK(dcf_vertex_drop(later, &error));
  OK(dcf_vertex_release(later, &error));
}

static void memory_limit(void) {
  dcf_error error;
  dcf_worker worker;
  dcf_vertex kept, refused;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  options.memory_limit = 1 << 20;
  OK(dcf_worker_open(&options, &worker, &error));
  kept = put_numbers(worker, NULL, NULL, 100000);
  struct ArrowSchema schema;
  struct ArrowArray array;
  numbers(NULL, 100000, &schema, &array);
  FAILS(dcf_vertex_put(worker, NULL, &schema, &array, &refused, &error), DCF_EXHAUSTED, "memory");
  release_both(&schema, &array);
  OK(dcf_vertex_drop(kept, &error));
  OK(dcf_vertex_release(kept, &error));
  end(worker);
}

int main(void) {
  dcf_worker worker = open_worker();
  zero_copy(worker);
  info_and_name(worker);
  refused_puts(worker);
  sets(worker);
  joined_arrays();
  edges(worker);
  streams(worker);
  handles(worker);
  end(worker);
  memory_limit();
  return 0;
}
