/* The classic testbed of systems that send functions to data: a tree of fourteen numbers on two
 * workers, and three questions that walk it.
 *
 *   tree [one|inproc|tcp] [rounds]
 *
 * At the root of the checkout, after `make build`:
 *
 *   cc examples/tree/c/tree.c examples/tree/c/functions.c -Ibuild/include -Lbuild/lib -ldcf \
 *     -Wl,-rpath,$PWD/build/lib -o tree
 *
 * The tree lies on one worker, on two of this process, or on one of this process and one of
 * another. With rounds, the pair of GraphSums is asked of a fresh tree so many times, and the
 * program fails if an answer is wrong or memory grows. */
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "functions.h"

#define SIZE 14
#define FIRST_OF_SECOND 8 /* vertices from here on belong to the second worker */

extern char** environ;

/* Ends the program where a call failed. */
#define OK(call) check((call), #call)
static dcf_error error;
static void check(dcf_status status, const char* call) {
  if (status == DCF_OK) return;
  fprintf(stderr, "tree: %s: %s: %s\n", call, dcf_status_name(status), error.message);
  exit(1);
}

static dcf_bytes text(const char* s) { return (dcf_bytes){s, strlen(s)}; }

/* ---- Two workers --------------------------------------------------------- */

typedef struct workers {
  dcf_worker first;
  uint64_t node[2];  /* of the first and the second worker; they may be one */
  dcf_worker second; /* handle 0: there is none in this process */
  pid_t child;       /* the process of the second worker, or 0 */
  int to_child;      /* closing it ends the child */
} workers;

static dcf_worker open_worker(uint64_t node, const char* listen, const char* join) {
  dcf_worker worker;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  options.node_id = node;
  options.listen = text(listen);
  options.join = text(join);
  OK(dcf_worker_open(&options, &worker, &error));
  OK(register_functions(worker, &error));
  return worker;
}

/* The addresses at which a worker that is alone listens; its port was chosen by the system. */
static void address_of(dcf_worker worker, char* out, size_t size) {
  struct ArrowArrayStream stream;
  struct ArrowArray nodes;
  OK(dcf_worker_nodes(worker, &stream, &error));
  if (stream.get_next(&stream, &nodes) != 0 || nodes.length != 1) abort();
  const int32_t* offsets = nodes.children[6]->buffers[1];
  snprintf(out, size, "%.*s", (int)(offsets[1] - offsets[0]),
           (const char*)nodes.children[6]->buffers[2] + offsets[0]);
  nodes.release(&nodes);
  stream.release(&stream);
}

/* The second worker in a process of its own: serves until its standard input ends. */
static int serve(const char* join) {
  char byte;
  dcf_worker worker = open_worker(2, "tcp://127.0.0.1:0", join);
  if (write(STDOUT_FILENO, "+", 1) != 1) return 1;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  OK(dcf_worker_close(worker, 0, &error));
  return 0;
}

/* Starts this program again as the second worker and waits until it is there. The library has
 * threads by now, so this is no fork without an exec. */
static void start_child(workers* w, const char* join) {
  int to[2], from[2];
  char byte;
  char* arguments[] = {"tree", "serve", (char*)join, NULL};
  posix_spawn_file_actions_t actions;
  if (pipe(to) || pipe(from)) abort();
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  for (int i = 0; i < 2; i++) {
    posix_spawn_file_actions_addclose(&actions, to[i]);
    posix_spawn_file_actions_addclose(&actions, from[i]);
  }
  if (posix_spawn(&w->child, "/proc/self/exe", &actions, NULL, arguments, environ)) abort();
  posix_spawn_file_actions_destroy(&actions);
  close(to[0]);
  close(from[1]);
  w->to_child = to[1];
  if (read(from[0], &byte, 1) != 1) {
    fprintf(stderr, "tree: the second worker did not start\n");
    exit(1);
  }
  close(from[0]);
}

static workers open_workers(const char* over) {
  workers w = {.node = {1, 2}};
  char address[256];
  if (strcmp(over, "inproc") == 0) {
    w.first = open_worker(1, "inproc://tree-1", "");
    w.second = open_worker(2, "inproc://tree-2", "inproc://tree-1");
  } else if (strcmp(over, "tcp") == 0) {
    w.first = open_worker(1, "tcp://127.0.0.1:0", "");
    address_of(w.first, address, sizeof address);
    start_child(&w, address);
  } else if (strcmp(over, "one") == 0) {
    w.first = open_worker(1, "", "");
    w.node[1] = 1;
  } else {
    fprintf(stderr, "tree: over is one, inproc or tcp, not \"%s\"\n", over);
    exit(2);
  }
  return w;
}

static void close_workers(workers* w) {
  int status = 0;
  if (w->second.handle) OK(dcf_worker_close(w->second, 0, &error));
  if (w->child) {
    close(w->to_child);
    waitpid(w->child, &status, 0);
  }
  OK(dcf_worker_close(w->first, 0, &error));
  if (status) exit(1);
}

/* ---- The tree ------------------------------------------------------------ */

typedef struct tree {
  workers* workers;
  dcf_vertex vertex[SIZE];
  dcf_vertex_id id[SIZE];
  dcf_udf graph_sum, around, extremes;
} tree;

/* 1 to 8, then 100 to 600. */
static int64_t start_value(int i) { return i < FIRST_OF_SECOND ? i + 1 : (i - 7) * 100; }

static dcf_vertex put(tree* t, int i) {
  char name[8];
  dcf_vertex vertex;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  snprintf(name, sizeof name, "%d", i);
  options.name = text(name);
  options.node = t->workers->node[i >= FIRST_OF_SECOND];
  make_value(start_value(i), &schema, &array);
  OK(dcf_vertex_put(t->workers->first, &options, &schema, &array, &vertex, &error));
  return vertex;
}

static void build(tree* t, workers* w) {
  static const int edges[][2] = {{0, 1}, {0, 2}, {1, 3},  {1, 4},  {2, 5},  {2, 6}, {4, 7},
                                 {4, 8}, {4, 9}, {8, 10}, {8, 11}, {9, 12}, {9, 13}};
  t->workers = w;
  for (int i = 0; i < SIZE; i++) {
    dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
    t->vertex[i] = put(t, i);
    OK(dcf_vertex_info_get(t->vertex[i], &info, &error));
    t->id[i] = info.id;
  }
  for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
    OK(dcf_vertex_link(t->vertex[edges[i][0]], t->id[edges[i][1]], &error));
  OK(dcf_udf_open(w->first, text("graph_sum"), &t->graph_sum, &error));
  OK(dcf_udf_open(w->first, text("around"), &t->around, &error));
  OK(dcf_udf_open(w->first, text("extremes"), &t->extremes, &error));
}

/* Drops everything below a vertex, the children that graph_sum added, too. */
static void drop_below(dcf_worker worker, dcf_vertex vertex) {
  struct ArrowArrayStream stream;
  struct ArrowArray edges;
  OK(dcf_vertex_edges(vertex, 1, &stream, &error));
  if (stream.get_next(&stream, &edges) != 0) abort();
  const dcf_vertex_id* ids = edges.children[0]->buffers[1];
  for (int64_t i = 0; i < edges.length; i++) {
    dcf_vertex child;
    OK(dcf_vertex_open(worker, ids[i], &child, &error));
    drop_below(worker, child);
    OK(dcf_vertex_drop(child, &error));
    OK(dcf_vertex_release(child, &error));
  }
  edges.release(&edges);
  stream.release(&stream);
}

static void drop(tree* t) {
  drop_below(t->workers->first, t->vertex[0]);
  OK(dcf_vertex_drop(t->vertex[0], &error));
  for (int i = 0; i < SIZE; i++) OK(dcf_vertex_release(t->vertex[i], &error));
  OK(dcf_udf_release(t->graph_sum, &error));
  OK(dcf_udf_release(t->around, &error));
  OK(dcf_udf_release(t->extremes, &error));
}

/* ---- The questions ------------------------------------------------------- */

static dcf_call call_on(dcf_udf udf, const dcf_vertex* target, void* result, size_t size) {
  dcf_call call = DCF_CALL_INIT;
  call.udf = udf;
  call.targets = target;
  call.target_count = 1;
  call.buffer = result;
  call.buffer_size = size;
  call.error = &error;
  return call;
}

static void run(tree* t, dcf_call* calls, size_t count) {
  OK(dcf_call_run(t->workers->first, calls, count, &error));
  for (size_t i = 0; i < count; i++) check(calls[i].status, "the call");
}

/* The sum of the tree; each of its leaves gets a child. */
static int64_t graph_sum(tree* t) {
  int64_t sum;
  dcf_call call = call_on(t->graph_sum, &t->vertex[0], &sum, sizeof sum);
  run(t, &call, 1);
  return sum;
}

/* The largest sum of all distinct vertices within so many edges of a start. All starts are asked in
 * one go. */
static int64_t max_adjacent_sum(tree* t, int64_t distance) {
  dcf_call calls[SIZE];
  int64_t sums[SIZE], best = 0;
  for (int i = 0; i < SIZE; i++) {
    calls[i] = call_on(t->around, &t->vertex[i], &sums[i], sizeof sums[i]);
    calls[i].arguments = (dcf_bytes){&distance, sizeof distance};
  }
  run(t, calls, SIZE);
  for (int i = 0; i < SIZE; i++)
    if (sums[i] > best) best = sums[i];
  return best;
}

static void set(tree* t, const extreme* at, int64_t value) {
  dcf_vertex vertex;
  struct ArrowSchema schema;
  struct ArrowArray array;
  make_value(value, &schema, &array);
  OK(dcf_vertex_open(t->workers->first, at->id, &vertex, &error));
  OK(dcf_vertex_set(vertex, at->version, &schema, &array, NULL, &error));
  OK(dcf_vertex_release(vertex, &error));
}

/* Exchanges the values of the vertices that have the largest and the smallest one. Each set happens
 * only if its vertex still is at the version that was read, but there is nothing that holds for
 * both: if this process dies between the sets, both vertices have the largest value and the
 * smallest is lost; GraphSum then is too large by their difference. */
static void swap_largest_and_smallest(tree* t) {
  extreme_pair pair;
  dcf_call call = call_on(t->extremes, &t->vertex[0], &pair, sizeof pair);
  run(t, &call, 1);
  set(t, &pair.smallest, pair.largest.value);
  set(t, &pair.largest, pair.smallest.value);
  printf("SwapLargestAndSmallest: %" PRId64 " and %" PRId64 "\n", pair.largest.value,
         pair.smallest.value);
}

/* ---- The program --------------------------------------------------------- */

/* The pair of GraphSums of fresh trees, one after another. Ends the program if one is wrong. */
static void ask_trees(workers* w, long count) {
  for (long i = 0; i < count; i++) {
    tree t;
    build(&t, w);
    int64_t first = graph_sum(&t), second = graph_sum(&t);
    drop(&t);
    if (first == 2136 && second == 82136) continue;
    fprintf(stderr, "tree: the sums are %" PRId64 " and %" PRId64 "\n", first, second);
    exit(1);
  }
}

/* The KiB of this process that are in memory, after what is free was given back: the least of some
 * looks with trees between them. Garbage comes and goes; what leaked is there each time. */
static long resident_kib(workers* w) {
  long least = LONG_MAX;
  for (int look = 0; look < 20; look++) {
    char line[256];
    long kib = -1;
    ask_trees(w, 20);
    malloc_trim(0);
    FILE* file = fopen("/proc/self/smaps_rollup", "r");
    if (file == NULL) abort();
    while (kib < 0 && fgets(line, sizeof line, file) != NULL) sscanf(line, "Rss: %ld kB", &kib);
    fclose(file);
    if (kib < least) least = kib;
  }
  return least;
}

/* Asks so many trees. From 2,000 on memory is looked at after the first 1,000, too. Gives 0 if it
 * has grown by no more than 1 MiB since. */
static int repeat(workers* w, long rounds) {
  const long settled = rounds < 2000 ? 0 : 1000;
  long before = 0, grown = 0;
  ask_trees(w, settled);
  if (settled) before = resident_kib(w);
  ask_trees(w, rounds - settled);
  if (settled) grown = resident_kib(w) - before;
  if (settled) fprintf(stderr, "tree: %ld KiB are resident, %+ld at the end\n", before, grown);
  if (grown > 1024) return 1;
  printf("%ld times 2136 and 82136\n", rounds);
  return 0;
}

int main(int argc, char** argv) {
  const char* over = argc > 1 ? argv[1] : "one";
  if (argc == 3 && strcmp(over, "serve") == 0) return serve(argv[2]);
  workers w = open_workers(over);
  if (argc > 2) {
    int failed = repeat(&w, strtol(argv[2], NULL, 10));
    close_workers(&w);
    return failed;
  }
  tree t;
  build(&t, &w);
  for (int64_t distance = 0; distance < 4; distance++)
    printf("MaxAdjacentSum %d: %" PRId64 "\n", (int)distance, max_adjacent_sum(&t, distance));
  swap_largest_and_smallest(&t);
  for (int i = 0; i < 2; i++) printf("GraphSum: %" PRId64 "\n", graph_sum(&t));
  drop(&t);
  close_workers(&w);
  return 0;
}
