/* Opening and closing workers; the tables of a worker. */
#include "support.h"

static void library(void) {
  SAME(dcf_abi_version(), DCF_ABI_VERSION);
  CHECK(strlen(dcf_version()) >= 5);
  CHECK(strcmp(dcf_status_name(DCF_TIMEOUT), "DCF_TIMEOUT") == 0);
  CHECK(strcmp(dcf_status_name(-1), "DCF_STATUS_UNKNOWN") == 0);
  CHECK(strcmp(dcf_status_name(16), "DCF_STATUS_UNKNOWN") == 0);
}

static void open_and_close(void) {
  dcf_error error;
  dcf_worker first = open_worker(), second;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  options.node_id = 77;
  OK(dcf_worker_open(&options, &second, &error));
  CHECK(first.handle != second.handle);
  uint64_t node;
  OK(dcf_worker_node_id(second, &node, &error));
  SAME(node, 77);
  OK(dcf_worker_close(second, 0, &error));
  FAILS(dcf_worker_close(second, 0, &error), DCF_BAD_HANDLE, "was given back, or never opened");
  FAILS(dcf_worker_node_id(second, &node, &error), DCF_BAD_HANDLE, "worker handle");
  FAILS(dcf_worker_node_id((dcf_worker){0}, &node, &error), DCF_BAD_HANDLE, "is zero");
  FAILS(dcf_worker_node_id((dcf_worker){~0ull}, &node, &error), DCF_BAD_HANDLE, "no handle of a");
  SAME(dcf_worker_close(second, 0, NULL), DCF_BAD_HANDLE);
  end(first);
}

/* A header of another version: smaller structs leave defaults, larger ones must be zero beyond. */
static void struct_sizes(void) {
  dcf_error error;
  dcf_worker worker;
  struct {
    dcf_worker_options options;
    uint64_t later;
  } longer = {DCF_WORKER_OPTIONS_INIT, 0};
  longer.options.struct_size = sizeof longer;
  OK(dcf_worker_open(&longer.options, &worker, &error));
  OK(dcf_worker_close(worker, 0, &error));
  longer.later = 1;
  FAILS(dcf_worker_open(&longer.options, &worker, &error), DCF_INVALID_ARGUMENT,
        "the caller was built for a later libdcf");
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  options.struct_size = offsetof(dcf_worker_options, join);
  options.join = (dcf_bytes){NULL, 99}; /* beyond what the caller's header knows */
  OK(dcf_worker_open(&options, &worker, &error));
  OK(dcf_worker_close(worker, 0, &error));
  options.struct_size = 0;
  FAILS(dcf_worker_open(&options, &worker, &error), DCF_INVALID_ARGUMENT,
        "DCF_WORKER_OPTIONS_INIT");
}

static dcf_status configured(const char* toml, dcf_error* error) {
  dcf_worker worker;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  options.config = text(toml);
  dcf_status status = dcf_worker_open(&options, &worker, error);
  if (status == DCF_OK) dcf_worker_close(worker, 0, NULL);
  return status;
}

static void options(void) {
  dcf_error error;
  dcf_worker worker;
  OK(configured("insecure = true\nlog = 'error'\n[[remote]]\nname = 'x'\nnode = 7\n", &error));
  FAILS(configured("colour = 'red'", &error), DCF_INVALID_ARGUMENT, "colour");
  FAILS(configured("log = 'loud'", &error), DCF_INVALID_ARGUMENT, "debug, info, warn, error");
  FAILS(configured("log = ", &error), DCF_INVALID_ARGUMENT, "config: ");
  OK(configured("shared_memory = false\nshared_limit = 65536\nshared_warm = 0", &error));
  FAILS(configured("shared_memory = 'no'", &error), DCF_INVALID_ARGUMENT, "config: ");
  FAILS(configured("insecure = 3", &error), DCF_INVALID_ARGUMENT, "config: ");
  FAILS(configured("[[remote]]\nnode = 7", &error), DCF_INVALID_ARGUMENT, "a name or an id");
  FAILS(configured("[[remote]]\nid = 'xyz'\nnode = 7", &error), DCF_INVALID_ARGUMENT, "32 hex");
  dcf_worker_options o = DCF_WORKER_OPTIONS_INIT;
  o.flags = 4;
  FAILS(dcf_worker_open(&o, &worker, &error), DCF_INVALID_ARGUMENT, "unknown bits 0x4");
  o = (dcf_worker_options)DCF_WORKER_OPTIONS_INIT;
  o.listen = (dcf_bytes){"\xff", 1};
  FAILS(dcf_worker_open(&o, &worker, &error), DCF_INVALID_ARGUMENT, "UTF-8");
  o.listen = (dcf_bytes){NULL, 1};
  FAILS(dcf_worker_open(&o, &worker, &error), DCF_INVALID_ARGUMENT, "options->listen.data is NULL");
  o.listen = text("tcp://0.0.0.0:0");
  FAILS(dcf_worker_open(&o, &worker, &error), DCF_DENIED, "insecure");
  o.listen = text("carrier-pigeon://nest");
  FAILS(dcf_worker_open(&o, &worker, &error), DCF_INVALID_ARGUMENT, "carrier-pigeon");
  o.listen = text("");
  o.timeout_ns = -1;
  FAILS(dcf_worker_open(&o, &worker, &error), DCF_INVALID_ARGUMENT, "timeout_ns");
  o.timeout_ns = 300000000;
  o.join = text("tcp://127.0.0.1:1");
  FAILS(dcf_worker_open(&o, &worker, &error), DCF_UNAVAILABLE, "127.0.0.1:1");
  FAILS(dcf_worker_open(NULL, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
}

/* Reads a stream of one batch. */
static void read_table(struct ArrowArrayStream* stream, struct ArrowSchema* schema,
                       struct ArrowArray* array) {
  struct ArrowArray last;
  SAME(stream->get_schema(stream, schema), 0);
  SAME(stream->get_next(stream, array), 0);
  SAME(stream->get_next(stream, &last), 0);
  CHECK(!last.release);
  stream->release(stream);
}

static void check_columns(const struct ArrowSchema* schema, const char* const* want, int n) {
  SAME(schema->n_children, n);
  for (int i = 0; i < n; i++) {
    CHECK(strcmp(schema->children[i]->name, want[2 * i]) == 0);
    CHECK(strcmp(schema->children[i]->format, want[2 * i + 1]) == 0);
  }
}

static void tables(void) {
  static const char* const node_columns[] = {"node",      "L", "incarnation",   "I", "self",  "b",
                                             "member",    "b", "directory",     "b", "alive", "b",
                                             "addresses", "u", "round_trip_ns", "l"};
  static const char* const vertex_columns[] = {"id",    "w:16", "name",     "u", "kind", "I",
                                               "owner", "L",    "version",  "L", "rows", "l",
                                               "bytes", "l",    "children", "L"};
  dcf_error error;
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_worker worker = open_worker();
  uint64_t node;
  OK(dcf_worker_node_id(worker, &node, &error));
  OK(dcf_worker_nodes(worker, &stream, &error));
  read_table(&stream, &schema, &array);
  check_columns(&schema, node_columns, 8);
  SAME(array.length, 1);
  SAME(column(&array, 0)[0], node);
  CHECK(((const uint8_t*)array.children[2]->buffers[1])[0] & 1);
  release_both(&schema, &array);

  dcf_vertex a = put_numbers(worker, "prices/a", NULL, 3);
  dcf_vertex b = put_numbers(worker, "prices/b", NULL, 4);
  dcf_vertex other = put_numbers(worker, "other", NULL, 5);
  OK(dcf_worker_vertices(worker, text("prices/"), &stream, &error));
  read_table(&stream, &schema, &array);
  check_columns(&schema, vertex_columns, 8);
  SAME(array.length, 2);
  SAME(column(&array, 5)[0], 3);
  SAME(column(&array, 5)[1], 4);
  const char* names = array.children[1]->buffers[2];
  CHECK(memcmp(names, "prices/aprices/b", 16) == 0);
  dcf_vertex_id id = id_of(a);
  CHECK(memcmp(array.children[0]->buffers[1], id.bytes, 16) == 0);
  release_both(&schema, &array);
  SAME(counter(worker, "handles.vertices"), 3);
  OK(dcf_worker_vertices(worker, text("nothing"), &stream, &error));
  read_table(&stream, &schema, &array);
  SAME(array.length, 0);
  release_both(&schema, &array);
  FAILS(dcf_worker_stats(worker, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_worker_nodes(worker, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  OK(dcf_vertex_release(a, &error));
  OK(dcf_vertex_release(b, &error));
  OK(dcf_vertex_release(other, &error));
  end(worker);
}

/* Handles of a closed worker can be given back, and nothing else. */
static void after_close(void) {
  dcf_error error;
  dcf_worker worker = open_worker();
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 3);
  dcf_udf udf = register_udf(worker, "total", 0, sum, add, NULL);
  dcf_queue queue;
  OK(dcf_queue_open(worker, &queue, &error));
  struct ArrowSchema schema;
  struct ArrowArray array;
  OK(dcf_vertex_export(vertex, 0, &schema, &array, &error));
  OK(dcf_worker_close(worker, 0, &error));
  SAME(column(&array, 0)[2], 2); /* exports outlive the worker */
  release_both(&schema, &array);
  FAILS(dcf_vertex_export(vertex, 0, &schema, &array, &error), DCF_BAD_HANDLE, "worker was closed");
  FAILS(dcf_udf_drop(udf, 0, &error), DCF_BAD_HANDLE, "worker was closed");
  OK(dcf_vertex_release(vertex, &error));
  OK(dcf_udf_release(udf, &error));
  OK(dcf_queue_close(queue, &error));
  end(open_worker());
}

int main(void) {
  library();
  open_and_close();
  struct_sizes();
  options();
  tables();
  after_close();
  return 0;
}
