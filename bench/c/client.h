/* A program in C that calls bench.add on the vertex "item" of another process: what the cases of
 * two processes measure, and what clients in other languages are compared with. */
#ifndef DCF_BENCH_CLIENT_H
#define DCF_BENCH_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "dcf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values of dcf_call_more.served_how. */
#define CLIENT_OVER_SHARED_MEMORY 1u
#define CLIENT_OVER_NETWORK 2u

#define CLIENT_SPINS (-1) /* as long as the library likes */
#define CLIENT_SLEEPS 0   /* never spins */

#define CLIENT_RESULT 6 /* of every call */

/* Each thread has its own, apart from what another writes. */
typedef struct client {
  dcf_worker worker;
  dcf_vertex item;
  int64_t result;
  dcf_call call;
} __attribute__((aligned(128))) client;

/* Opens a worker that joins the server, prepares the call, and checks it. `how` is one of the
 * above: CLIENT_OVER_NETWORK keeps it to sockets. Ends the process where something fails, as all
 * functions here do. */
void client_open(client* c, const char* server, uint32_t how, int64_t spin_ns);

/* Allocates a client that calls over shared memory by a worker that is open and knows bench.add,
 * for programs that do not know what one looks like. Two workers would not do to compare their
 * programs: their connections have the lanes in different places of memory, and where a line of it
 * lies makes a round trip between two processors up to 160 ns longer. */
client* client_new(uint64_t worker);

/* Checks what it did, and frees it. The worker stays open. */
void client_free(client* c);

/* Prepares the same call on the worker of another client, which must be closed after this. */
void client_share(client* c, const client* of);

/* Prepares the call on a vertex of a worker that is open. */
void client_prepare(client* c, dcf_worker worker, dcf_udf udf, dcf_vertex item);

/* Makes the first half of the tree on a worker that joined a server with the second, and prepares
 * a call of bench.tree on its root, which gives FIXTURE_TREE_SUM. */
void client_tree(client* c, dcf_worker worker);

/* Makes `ops` calls one after another. A measure_run_fn whose context is an array of clients, one
 * a thread. */
int64_t client_run(void* context, int thread, size_t ops);

/* Makes one call, checks its result, and ends the process unless it was served as `want` says: a
 * case that measures something else than it claims is no result. */
void client_check(client* c, uint32_t want);
/* The same for a call of another function, whose result is not checked. */
void client_check_how(client* c, uint32_t want);

/* The same for the worker of a client whose call is another one: of client_tree, say. */
void client_check_worker(dcf_worker worker, uint32_t want);

/* The handle of a named vertex. */
dcf_vertex client_vertex(const client* c, const char* name);

/* The node that owns "item". */
uint64_t client_server_node(const client* c);

void client_close(client* c);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* DCF_BENCH_CLIENT_H */
