#include "client.h"

#include <stdlib.h>

#include "fixture.h"

static const int64_t kArguments[2] = {5, 0};

static const char* in_words(uint32_t how) {
  switch (how) {
    case 0:
      return "in the process";
    case CLIENT_OVER_SHARED_MEMORY:
      return "over shared memory";
    case CLIENT_OVER_NETWORK:
      return "over the network";
    default:
      return "nobody knows how";
  }
}

void client_prepare(client* c, dcf_worker worker, dcf_udf udf, dcf_vertex item) {
  *c = (client){.worker = worker, .item = item};
  c->call = fixture_call(udf, &c->item, kArguments, &c->result);
  c->call.flags = DCF_CALL_AT_OWNER;
}

void client_open(client* c, const char* server, uint32_t how, int64_t spin_ns) {
  const char* config = how == CLIENT_OVER_NETWORK ? FIXTURE_SOCKETS : NULL;
  c->worker = fixture_open_with(NULL, server, spin_ns, config);
  const dcf_udf udf = fixture_register(c->worker, "bench.add", NULL, FIXTURE_VERSION);
  client_prepare(c, c->worker, udf, client_vertex(c, "item"));
  client_check(c, how);
}

client* client_new(uint64_t worker) {
  client* c = aligned_alloc(_Alignof(client), sizeof *c);
  if (c == NULL) measure_fail("out of memory for a client");
  dcf_udf udf;
  dcf_error error;
  c->worker.handle = worker;
  fixture_check(dcf_udf_open(c->worker, fixture_bytes("bench.add"), &udf, &error), &error,
                "dcf_udf_open");
  client_prepare(c, c->worker, udf, client_vertex(c, "item"));
  client_check(c, CLIENT_OVER_SHARED_MEMORY);
  return c;
}

void client_free(client* c) {
  dcf_error error;
  client_check(c, CLIENT_OVER_SHARED_MEMORY);
  fixture_check(dcf_udf_release(c->call.udf, &error), &error, "dcf_udf_release");
  fixture_check(dcf_vertex_release(c->item, &error), &error, "dcf_vertex_release");
  free(c);
}

void client_share(client* c, const client* of) {
  client_prepare(c, of->worker, of->call.udf, of->item);
}

void client_tree(client* c, dcf_worker worker) {
  fixture_tree(worker, 0, FIXTURE_TREE_FIRST);
  c->worker = worker;
  const dcf_udf udf = fixture_register(worker, "bench.tree", NULL, FIXTURE_VERSION);
  client_prepare(c, worker, udf, client_vertex(c, "0"));
  c->call.flags = 0;
  client_run(c, 0, 1);
  fixture_check_result(c->result, FIXTURE_TREE_SUM);
}

int64_t client_run(void* context, int thread, size_t ops) {
  client* c = &((client*)context)[thread];
  for (size_t i = 0; i < ops; i++) {
    dcf_status s = dcf_call_run(c->worker, &c->call, 1, NULL);
    if (s != DCF_OK || c->call.status != DCF_OK)
      measure_fail("a call failed: %s, %s", dcf_status_name(s), dcf_status_name(c->call.status));
  }
  return 0;
}

void client_check_how(client* c, uint32_t want) {
  dcf_call call = c->call;
  dcf_call_more more = DCF_CALL_MORE_INIT;
  call.more = &more;
  fixture_run(c->worker, &call, 1);
  dcf_call_clear(&call);
  if (more.served_how != want)
    measure_fail("calls are served %s, this case is about those %s", in_words(more.served_how),
                 in_words(want));
}

void client_check(client* c, uint32_t want) {
  client_check_how(c, want);
  fixture_check_result(c->result, CLIENT_RESULT);
}

void client_check_worker(dcf_worker worker, uint32_t want) {
  client c = {.worker = worker};
  const dcf_udf udf = fixture_register(worker, "bench.add", NULL, FIXTURE_VERSION);
  client_prepare(&c, worker, udf, client_vertex(&c, "item"));
  client_check(&c, want);
}

dcf_vertex client_vertex(const client* c, const char* name) {
  dcf_vertex vertex;
  dcf_error error;
  fixture_check(dcf_vertex_open_name(c->worker, fixture_bytes(name), &vertex, &error), &error,
                name);
  return vertex;
}

uint64_t client_server_node(const client* c) {
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  dcf_error error;
  fixture_check(dcf_vertex_info_get(c->item, &info, &error), &error, "dcf_vertex_info_get");
  return info.owner_node;
}

void client_close(client* c) {
  dcf_error error;
  fixture_check(dcf_worker_close(c->worker, 0, &error), &error, "dcf_worker_close");
}
