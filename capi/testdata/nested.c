/* Callbacks that call the library, and the lifetime of what functions hold. */
#include "support.h"

typedef struct nest {
  dcf_worker worker;
  dcf_vertex vertex;
  dcf_udf inner, self;
  dcf_status call, close, drop, set;
  int64_t freed;
} nest;

static dcf_status nested(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  nest* n = user_data;
  (void)input;
  int64_t total = -1;
  dcf_call call = DCF_CALL_INIT;
  call.udf = n->inner;
  call.targets = &n->vertex;
  call.target_count = 1;
  call.buffer = &total;
  call.buffer_size = sizeof total;
  n->call = dcf_call_run(n->worker, &call, 1, NULL);
  n->close = dcf_worker_close(n->worker, 0, NULL);
  n->drop = dcf_udf_drop(n->self, 0, NULL);
  n->set = dcf_vertex_set(n->vertex, 0, NULL, NULL, NULL, NULL);
  return output->api->bytes(output, (dcf_bytes){&total, sizeof total});
}

static void free_nest(void* user_data) { ((nest*)user_data)->freed++; }

static int64_t run(nest* n) {
  dcf_error error, of_call;
  int64_t total = 0;
  dcf_call call = DCF_CALL_INIT;
  call.udf = n->self;
  call.targets = &n->vertex;
  call.target_count = 1;
  call.buffer = &total;
  call.buffer_size = sizeof total;
  call.error = &of_call;
  OK(dcf_call_run(n->worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  return total;
}

static dcf_udf registered(nest* n, const char* name, uint32_t flags, dcf_status want) {
  dcf_error error;
  dcf_udf udf = {0};
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  definition.name = text(name);
  definition.flags = flags;
  definition.calculate = nested;
  definition.user_data = n;
  definition.user_data_free = free_nest;
  if (want == DCF_OK)
    OK(dcf_udf_register(n->worker, &definition, &udf, &error));
  else
    FAILS(dcf_udf_register(n->worker, &definition, &udf, &error), want, name);
  return udf;
}

int main(void) {
  dcf_error error;
  nest n = {.worker = open_worker()};
  n.vertex = put_numbers(n.worker, NULL, NULL, 4);
  n.inner = register_udf(n.worker, "total", 0, sum, add, NULL);

  n.self = registered(&n, "nested", 0, DCF_OK);
  SAME(run(&n), 6);
  SAME(n.call, DCF_OK);
  SAME(n.close, DCF_UNSUPPORTED); /* it would wait for the callback itself */
  SAME(n.drop, DCF_UNSUPPORTED);
  SAME(n.set, DCF_OK);
  registered(&n, "nested", 0, DCF_ALREADY_EXISTS);
  SAME(n.freed, 0); /* a registration that failed frees nothing */
  OK(dcf_udf_drop(n.self, 0, &error));
  SAME(n.freed, 1);
  FAILS(dcf_udf_drop(n.self, 0, &error), DCF_BAD_HANDLE, "UDF handle");

  n.self = registered(&n, "nested", DCF_UDF_UPDATES, DCF_OK);
  SAME(run(&n), -1);
  SAME(n.call, DCF_UNSUPPORTED); /* it holds its vertex and must not wait */
  SAME(n.close, DCF_UNSUPPORTED);
  SAME(n.set, DCF_UNSUPPORTED);

  dcf_udf again; /* two handles on one function; dropping through one */
  OK(dcf_udf_open(n.worker, text("nested"), &again, &error));
  OK(dcf_udf_release(n.self, &error));
  SAME(n.freed, 1);
  OK(dcf_udf_drop(again, 0, &error));
  SAME(n.freed, 2);
  FAILS(dcf_udf_open(n.worker, text("nested"), &again, &error), DCF_NOT_FOUND, "\"nested\"");
  OK(dcf_udf_open(n.worker, text("sum"), &again, &error)); /* a builtin */
  OK(dcf_udf_release(again, &error));

  n.self = registered(&n, "until the end", 0, DCF_OK);
  OK(dcf_udf_release(n.self, &error));
  OK(dcf_udf_release(n.inner, &error));
  OK(dcf_vertex_release(n.vertex, &error));
  end(n.worker);
  SAME(n.freed, 3); /* closing the worker frees what is still registered */
  return 0;
}
