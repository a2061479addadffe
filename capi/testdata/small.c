/* Small calls on vertices of another worker of this host, which go over lanes in shared memory,
 * first in Go and then in C: each gives what the same call gives as a frame. And what must not go
 * wrong while handles, functions, workers and processes come and go. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

/* As lane.h has it. */
#define LANES 8
#define MAX_ARGUMENTS 200
#define MAX_PART 240

#define ROOM 1200
#define SECOND INT64_C(1000000000)
/* How long a program may take: longer than that is a hang. */
#define PATIENCE_SECONDS 420

extern char** environ;

static struct {
  dcf_worker server, client;
  uint64_t node;            /* the server's */
  dcf_vertex owned, vertex; /* one vertex: the server's handle and the client's */
  dcf_vertex_id id;
  char address[64];
} world;

/* ---- Functions --------------------------------------------------------------- */

/* What both registrations of a function share. */
typedef struct record {
  _Atomic int64_t runs;
  latch* latch; /* for what waits */
} record;

/* Answers what its argument's first byte asks for. The next four, where they are there, are a
 * number. */
static dcf_status asked(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  record* r = user_data;
  const char* wish = input->arguments.data;
  uint32_t n = 0;
  char part[ROOM];
  if (r) atomic_fetch_add(&r->runs, 1);
  if (input->arguments.size >= 5) memcpy(&n, wish + 1, sizeof n);
  switch (input->arguments.size ? *wish : 'e') {
    case 'w': /* waits, and then is an echo */
      latch_wait(r->latch);
      break;
    case 'n': /* no part */
      return DCF_OK;
    case 'p': /* a part of n bytes */
      for (uint32_t i = 0; i < n; i++) part[i] = (char)(i * 7 + n);
      return output->api->bytes(output, (dcf_bytes){part, n});
    case 'f': /* fails with a message of n bytes */
    case 'd': /* with more than one line */
      memset(part, 'x', n);
      if (*wish == 'd') part[n / 2] = '\n';
      output->api->fail(output, (dcf_bytes){part, n});
      return DCF_OK;
    case 'r': /* returns n */
      return (dcf_status)n;
    case 'a': { /* Arrow */
      struct ArrowSchema schema;
      struct ArrowArray array;
      numbers(NULL, n, &schema, &array);
      return output->api->array(output, &schema, &array);
    }
    case 's': { /* asks for itself once more, with other arguments */
      dcf_spawn spawn = DCF_SPAWN_INIT;
      spawn.target = input->vertex;
      spawn.arguments = text("echo");
      return output->api->spawn(output, &spawn);
    }
    case 'u': /* changes its vertex, which it may not */
      return output->api->remove(output);
    case 'c': { /* how often it ran */
      const int64_t runs = atomic_load(&r->runs);
      return output->api->bytes(output, (dcf_bytes){&runs, sizeof runs});
    }
    case 'v': /* the vertex's only value, and its arguments */
      memcpy(part, column(input->array, 0), 8);
      memcpy(part + 8, wish, input->arguments.size);
      return output->api->bytes(output, (dcf_bytes){part, 8 + input->arguments.size});
  }
  return output->api->bytes(output, input->arguments);
}

static dcf_udf registered(dcf_worker worker, const char* name, record* r) {
  dcf_error error;
  dcf_udf udf;
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  definition.name = text(name);
  definition.version = text("1");
  definition.flags = DCF_UDF_SHORT;
  definition.calculate = asked;
  definition.user_data = r;
  OK(dcf_udf_register(worker, &definition, &udf, &error));
  return udf;
}

/* A function that both workers have. Each has a name of its own, as what is found out about one
 * holds as long as it lives. */
typedef struct both {
  record record;
  dcf_udf here, there;
} both;

static void make(both* f, latch* l) {
  static _Atomic int made;
  char name[32];
  snprintf(name, sizeof name, "function %d", atomic_fetch_add(&made, 1));
  memset(f, 0, sizeof *f);
  f->record.latch = l;
  f->there = registered(world.server, name, &f->record);
  f->here = registered(world.client, name, &f->record);
}

static void unmake(both* f) {
  dcf_error error;
  OK(dcf_udf_drop(f->here, 0, &error));
  OK(dcf_udf_drop(f->there, 0, &error));
}

/* ---- Calls ------------------------------------------------------------------- */

typedef struct answer {
  dcf_call call;
  dcf_call_more more;
  dcf_error error;
  char wish[ROOM];
  char got[ROOM];
} answer;

/* What a call is given besides its function. */
typedef struct terms {
  char wish;
  uint32_t n;
  size_t arguments; /* bytes, 5 at least where n counts */
  size_t buffer;    /* its size; 0: none */
  int more;
  int64_t timeout_ns;
} terms;

static void prepare(answer* a, dcf_udf udf, const dcf_vertex* target, const terms* t) {
  memset(a, 0, sizeof *a);
  a->call = (dcf_call)DCF_CALL_INIT;
  a->more = (dcf_call_more)DCF_CALL_MORE_INIT;
  for (size_t i = 0; i < t->arguments; i++) a->wish[i] = (char)(i * 5 + t->arguments);
  a->wish[0] = t->wish;
  if (t->arguments >= 5) memcpy(a->wish + 1, &t->n, sizeof t->n);
  a->call.udf = udf;
  a->call.targets = target;
  a->call.target_count = 1;
  a->call.arguments = (dcf_bytes){t->arguments ? a->wish : NULL, t->arguments};
  a->call.buffer = t->buffer ? a->got : NULL;
  a->call.buffer_size = t->buffer;
  a->call.timeout_ns = t->timeout_ns;
  a->call.more = t->more ? &a->more : NULL;
  a->call.error = &a->error;
  a->call.user_data = a;
  a->call.status = 77;
  a->call.result_size = 77;
  a->call.result_kind = a->call.effects = 77;
  a->more.result_version = a->more.served_by = a->more.bytes_moved = a->more.bytes_fetched = 99;
  a->more.served_how = 99;
  a->more.served_ns = 99;
}

static void run(answer* a) {
  dcf_error error;
  OK(dcf_call_run(world.client, &a->call, 1, &error));
}

/* Tries a call; whether it was answered. */
static int tries(answer* a) {
  dcf_error error;
  size_t done = 77;
  OK(dcf_call_try(world.client, &a->call, 1, &done, &error));
  CHECK(done <= 1);
  SAME(a->call.status, done ? DCF_OK : 77);
  return done == 1;
}

/* An echo of so many bytes, by any of the functions. */
static void echo(dcf_udf udf, size_t size, answer* a) {
  const terms t = {.wish = 'e', .arguments = size, .buffer = ROOM, .more = 1};
  prepare(a, udf, &world.vertex, &t);
  run(a);
  SAME(a->call.status, DCF_OK);
  SAME(a->call.result_size, size);
  CHECK(memcmp(a->got, a->wish, size) == 0);
}

/* Two answers to one call must be the same, but for how many bytes it took and how long. */
static void compare(const answer* got, const answer* want) {
  SAME(got->call.status, want->call.status);
  SAME(got->call.result_kind, want->call.result_kind);
  SAME(got->call.result_size, want->call.result_size);
  SAME(got->call.effects, want->call.effects);
  SAME(got->call.ticket, want->call.ticket);
  CHECK(got->call.user_data == got);
  CHECK(memcmp(got->got, want->got, sizeof got->got) == 0);
  if (want->call.status != DCF_OK) {
    SAME(got->error.status, want->error.status);
    SAME(got->error.os_error, want->error.os_error);
    SAME(got->error.node, want->error.node);
    CHECK(memcmp(&got->error.vertex, &want->error.vertex, sizeof got->error.vertex) == 0);
    CHECK(strcmp(got->error.message, want->error.message) == 0);
  }
  const dcf_call_more *m = &got->more, *w = &want->more;
  if (!got->call.more) return;
  SAME(m->result_version, w->result_version);
  SAME(m->served_by, w->served_by);
  SAME(m->served_how, w->served_how);
  SAME(m->bytes_fetched, w->bytes_fetched);
  SAME(m->served_ns, 0);
  CHECK(m->bytes_moved > 0 && w->bytes_moved > 0);
  SAME(m->result_bytes.size, w->result_bytes.size);
  CHECK(!m->result_bytes.size ||
        memcmp(m->result_bytes.data, w->result_bytes.data, m->result_bytes.size) == 0);
  SAME(m->error_detail.size, w->error_detail.size);
  CHECK(!m->error_detail.size ||
        memcmp(m->error_detail.data, w->error_detail.data, m->error_detail.size) == 0);
  CHECK(!m->result_array.release == !w->result_array.release);
  if (w->result_array.release) SAME(m->result_array.length, w->result_array.length);
  CHECK(!m->result_parts.release && !w->result_parts.release);
}

/* What a call moves that went over a lane: the fixed parts, and the data. */
static uint64_t lane_bytes(const answer* a, size_t reply) {
  return 48 + 16 + a->call.arguments.size + (a->call.timeout_ns > 0 ? 8 : 0) + reply;
}

/* Whether it went over a lane. */
static int by_lane(const answer* a) {
  size_t reply = a->call.status == DCF_OK ? a->call.result_size : 4 + strlen(a->error.message);
  return a->more.bytes_moved == lane_bytes(a, reply);
}

static void another(const both* f) {
  answer a;
  echo(f->here, 17, &a);
}

enum { EITHER, FRAMES, OVER_LANES };

/* Runs a call as a frame, which DCF_CALL_TIMED makes it, and then in all other ways: the first one
 * goes over a lane in Go, the next in C, and then one is tried before. */
static void same(both* f, const terms* t, int way) {
  static answer want, got;
  prepare(&want, f->here, &world.vertex, t);
  want.call.flags = DCF_CALL_TIMED;
  run(&want);
  for (int i = 0; i < 5; i++) {
    prepare(&got, f->here, &world.vertex, t);
    if (i < 3 || !tries(&got)) {
      if (i == 4) another(f); /* comes between */
      run(&got);
    }
    compare(&got, &want);
    if (t->more && got.call.status == DCF_OK && way == OVER_LANES)
      SAME(got.more.bytes_moved, lane_bytes(&got, got.call.result_size));
    if (t->more && way == FRAMES) CHECK(!by_lane(&got));
    dcf_call_clear(&got.call);
  }
  dcf_call_clear(&want.call);
}

/* ---- What calls give --------------------------------------------------------- */

static void arguments(void) {
  static const size_t sizes[] = {0, 1, 7, 8, 9, 16, 199, 200, 201, 300};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    both f;
    make(&f, NULL);
    for (int how = 0; how < 4; how++) {
      const terms t = {.wish = 'e',
                       .arguments = sizes[i],
                       .buffer = ROOM,
                       .more = how & 1,
                       .timeout_ns = how & 2 ? 20 * SECOND : 0};
      same(&f, &t, sizes[i] <= MAX_ARGUMENTS ? OVER_LANES : FRAMES);
    }
    unmake(&f);
  }
}

static void answers(void) {
  static const uint32_t sizes[] = {0, 1, 8, 239, 240, 241, 1000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const uint32_t n = sizes[i];
    const size_t buffers[] = {0, 1, n ? n - 1 : 0, n, n + 1, ROOM};
    both f;
    make(&f, NULL);
    for (size_t j = 0; j < 2 * sizeof buffers / sizeof *buffers; j++) {
      const terms t = {
          .wish = 'p', .n = n, .arguments = 5, .buffer = buffers[j / 2], .more = j % 2};
      same(&f, &t, n <= MAX_PART ? OVER_LANES : FRAMES);
    }
    unmake(&f);
  }
  both f;
  make(&f, NULL);
  for (int more = 0; more < 2; more++) {
    const terms t = {.wish = 'n', .arguments = 5, .buffer = more ? 0 : 9, .more = more};
    same(&f, &t, OVER_LANES);
  }
  unmake(&f);
}

/* After what takes a frame once small calls still go over lanes, unless results need frames. */
static void still_small(const both* f, int is) {
  answer a;
  echo(f->here, 9, &a);
  SAME(by_lane(&a), is);
}

static void failures(void) {
  static const uint32_t sizes[] = {0,   1,   60,  205, 212, 213, 214, 215, 216, 217, 218,
                                   219, 220, 221, 222, 223, 240, 400, 479, 480, 481, 1000};
  both f;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int more = 0; more < 2; more++) {
      const terms whole = {.wish = 'f', .n = sizes[i], .arguments = 5, .buffer = 8, .more = more},
                  lines = {.wish = 'd', .n = sizes[i] + 1, .arguments = 6, .more = more};
      make(&f, NULL);
      same(&f, &whole, EITHER);
      if (sizes[i] < 1000) same(&f, &lines, EITHER);
      still_small(&f, 1);
      unmake(&f);
    }
  }
  for (uint32_t code = 1; code < 18; code++) {
    const terms t = {.wish = 'r', .n = code, .arguments = 5, .buffer = 8, .more = code % 2};
    make(&f, NULL);
    same(&f, &t, EITHER);
    unmake(&f);
  }
  static const char wishes[] = "asu";
  for (const char* wish = wishes; *wish; wish++) {
    for (int more = 0; more < 2; more++) {
      const terms t = {.wish = *wish, .n = 5, .arguments = 5, .buffer = 8, .more = more};
      make(&f, NULL);
      same(&f, &t, FRAMES);
      still_small(&f, 0);
      unmake(&f);
    }
  }
}

/* ---- Tries ------------------------------------------------------------------- */

/* Makes a call that waits at the latch. C knows the function and the vertex. */
static void waiting(answer* a, const both* f, size_t size, int64_t timeout_ns) {
  const terms t = {
      .wish = 'w', .arguments = size, .buffer = ROOM, .more = 1, .timeout_ns = timeout_ns};
  prepare(a, f->here, &world.vertex, &t);
}

static void echoed(const answer* a) {
  SAME(a->call.status, DCF_OK);
  SAME(a->call.result_size, a->call.arguments.size);
  CHECK(memcmp(a->got, a->call.arguments.data, a->call.arguments.size) == 0);
}

/* A try that is not answered leaves its call as it was. A run of it goes on with what it asked. */
static void goes_on(void) {
  for (int hurried = 0; hurried < 2; hurried++) {
    latch l = LATCH_INIT;
    both f;
    answer a;
    make(&f, &l);
    another(&f);
    waiting(&a, &f, 20, hurried ? 100 * SECOND : 0);
    const answer before = a;
    CHECK(!tries(&a));
    CHECK(memcmp(&before, &a, sizeof before) == 0);
    latch_await(&l, 1);
    latch_open(&l);
    run(&a);
    echoed(&a);
    CHECK(by_lane(&a));
    SAME(atomic_load(&f.record.runs), 2);
    waiting(&a, &f, 20, 0); /* the latch is open */
    if (!tries(&a)) run(&a);
    echoed(&a);
    SAME(atomic_load(&f.record.runs), 3);
    unmake(&f);
  }
}

/* A call in a thread of its own. */
typedef struct caller {
  pthread_t thread;
  answer a;
} caller;

static void* call_once(void* of) {
  run(&((caller*)of)->a);
  return NULL;
}

enum { ARGUMENTS, SIZE, KIND, FUNCTION, VERTEX, BETWEEN, TRIED, LOCAL, CHANGES };
#define OFTEN 30

/* What is another call at the address of the tried one gets its own answer. */
static void does_not_go_on(void) {
  dcf_error error;
  const int64_t nine = 9;
  dcf_vertex nines = put_numbers(world.server, "nine", &nine, 1), other;
  dcf_vertex local = put_numbers(world.client, NULL, NULL, 3);
  OK(dcf_vertex_open_name(world.client, text("nine"), &other, &error));
  for (int i = 0; i < CHANGES + OFTEN; i++) { /* whether a try is answered is chance */
    const int change = i < CHANGES ? i : TRIED;
    latch l = LATCH_INIT, open = LATCH_INIT;
    const terms plain = {.wish = 'e', .arguments = 3, .buffer = ROOM};
    both f, g;
    answer a, between;
    caller first;
    make(&f, &l);
    make(&g, &open);
    latch_open(&open);
    another(&f);
    another(&g);
    waiting(&a, &g, 20, 0);
    a.call.targets = &other;
    run(&a); /* C knows that vertex, too */
    echoed(&a);
    const int64_t before = atomic_load(&f.record.runs), of_g = atomic_load(&g.record.runs);
    int64_t value;
    waiting(&a, &f, 24, 0);
    a.wish[8] = 'v'; /* what would be the call whose deadline is the first 8 bytes */
    CHECK(!tries(&a));
    latch_await(&l, 1);
    switch (change) {
      case ARGUMENTS:
        a.wish[20]++;
        break;
      case SIZE:
        a.call.arguments.size--;
        break;
      case KIND: /* the same bytes on the lane */
        memcpy(&a.call.timeout_ns, a.wish, sizeof a.call.timeout_ns);
        a.call.arguments = (dcf_bytes){a.wish + 8, 16};
        break;
      case FUNCTION:
        a.call.udf = g.here;
        break;
      case VERTEX:
        a.call.targets = &other;
        break;
      case BETWEEN:
        another(&g);
        break;
      case TRIED: /* most probably answered, as the server has just answered a thread */
        waiting(&first.a, &g, 20, 0);
        SAME(pthread_create(&first.thread, NULL, call_once, &first), 0);
        SAME(pthread_join(first.thread, NULL), 0);
        prepare(&between, g.here, &world.vertex, &plain);
        if (!tries(&between)) run(&between);
        echoed(&between);
        break;
      case LOCAL:
        prepare(&between, f.here, &local, &plain);
        run(&between);
        echoed(&between);
    }
    latch_open(&l);
    run(&a);
    if (change == KIND) {
      SAME(a.call.status, DCF_OK);
      SAME(a.call.result_size, 24);
      memcpy(&value, a.got, sizeof value);
      SAME(value, 7);
      CHECK(memcmp(a.got + 8, a.wish + 8, 16) == 0);
    } else {
      echoed(&a);
    }
    SAME(atomic_load(&f.record.runs) - before, change == FUNCTION ? 1 : change == LOCAL ? 3 : 2);
    SAME(atomic_load(&g.record.runs) - of_g, change == FUNCTION || change == BETWEEN ? 1
                                             : change == TRIED                       ? 2
                                                                                     : 0);
    unmake(&f);
    unmake(&g);
  }
  OK(dcf_vertex_drop(nines, &error));
  OK(dcf_vertex_drop(local, &error));
  OK(dcf_vertex_release(nines, &error));
  OK(dcf_vertex_release(local, &error));
  OK(dcf_vertex_release(other, &error));
}

/* A server that polls answers a try. */
static void at_once(void) {
  both f;
  answer a;
  make(&f, NULL);
  another(&f);
  const terms t = {.wish = 'e', .arguments = 30, .buffer = ROOM, .more = 1};
  int64_t rounds = 0, answered;
  do {
    prepare(&a, f.here, &world.vertex, &t);
    if (!(answered = tries(&a))) run(&a);
    echoed(&a);
    CHECK(by_lane(&a));
    SAME(atomic_load(&f.record.runs), ++rounds + 1);
  } while (!answered);
  printf("a try was answered after %" PRId64 " others\n", rounds - 1);
  unmake(&f);
}

/* ---- Answers that do not come ------------------------------------------------- */

static const int64_t shortly = SECOND / 50;

/* A call whose answer does not come ends in time. Its lane is left out until the answer comes: when
 * all are, calls go as frames. */
static void too_late(void) {
  static caller callers[LANES];
  latch l = LATCH_INIT;
  both f;
  answer a;
  make(&f, &l);
  still_small(&f, 1);
  for (int i = 0; i < LANES; i++) {
    waiting(&callers[i].a, &f, 10 + (size_t)i, shortly);
    if (i % 2) { /* a thread that ends */
      SAME(pthread_create(&callers[i].thread, NULL, call_once, &callers[i]), 0);
      SAME(pthread_join(callers[i].thread, NULL), 0);
    } else {
      run(&callers[i].a);
    }
    const answer* got = &callers[i].a;
    SAME(got->call.status, DCF_TIMEOUT);
    SAME(got->call.result_kind, DCF_RESULT_NONE);
    SAME(got->call.effects, DCF_EFFECTS_NONE);
    SAME(got->error.node, world.node);
    CHECK(strstr(got->error.message, "function \"function "));
    latch_await(&l, i + 1);
    if (i < LANES - 1) still_small(&f, 1);
  }
  still_small(&f, 0);
  waiting(&a, &f, 10, shortly);
  a.call.flags = DCF_CALL_TIMED;
  run(&a);
  SAME(a.call.status, DCF_TIMEOUT);
  SAME(a.error.node, world.node);
  latch_open(&l);
  for (;;) { /* the answers come, and nobody takes them */
    echo(f.here, 20, &a);
    if (by_lane(&a)) break;
  }
  unmake(&f);
}

static _Atomic int asks;

static int32_t end_wait(void* user_data) {
  (void)user_data;
  atomic_fetch_add(&asks, 1);
  return 1;
}

/* Asked for the third time, opens the latch, and makes a call of its own. */
static int32_t go_on_waiting(void* of) {
  both* f = of;
  if (atomic_fetch_add(&asks, 1) == 2) {
    still_small(f, 1);
    latch_open(f->record.latch);
  }
  return 0;
}

static void interrupts(void) {
  for (int frame = 0; frame < 2; frame++) {
    latch l = LATCH_INIT;
    both f;
    answer a;
    make(&f, &l);
    another(&f);
    waiting(&a, &f, 10, 0);
    if (frame) a.call.flags = DCF_CALL_TIMED;
    atomic_store(&asks, 0);
    dcf_set_interrupt(end_wait, NULL);
    run(&a);
    dcf_set_interrupt(NULL, NULL);
    SAME(a.call.status, DCF_INTERRUPTED);
    SAME(a.call.effects, DCF_EFFECTS_NONE);
    CHECK(atomic_load(&asks) >= 1);
    latch_await(&l, 1);
    latch_open(&l);
    still_small(&f, 1);
    unmake(&f);

    latch again = LATCH_INIT;
    make(&f, &again);
    another(&f);
    waiting(&a, &f, 10, 0);
    if (frame) a.call.flags = DCF_CALL_TIMED;
    atomic_store(&asks, 0);
    dcf_set_interrupt(go_on_waiting, &f);
    run(&a);
    dcf_set_interrupt(NULL, NULL);
    echoed(&a);
    CHECK(atomic_load(&asks) >= 3);
    SAME(atomic_load(&f.record.runs), 3);
    unmake(&f);
  }
}

/* ---- Threads ------------------------------------------------------------------ */

#define THREADS (2 * LANES)

static uint64_t next(uint64_t* random) { /* xorshift */
  *random ^= *random << 13;
  *random ^= *random >> 7;
  return *random ^= *random << 17;
}

/* What callers use at a moment. A round's is never changed, so each answer can be told from others.
 */
typedef struct round_of {
  dcf_udf udf;
  dcf_vertex vertex;
  int64_t value;
} round_of;

#define ROUNDS 160

static struct {
  dcf_worker client;
  round_of rounds[ROUNDS];
  _Atomic int round, stop, closing;
  _Atomic int64_t good, stale;
  uint64_t seed;
} all;

/* One call with the terms of a round, of random size and in a random way, whose answer is its own.
 */
static dcf_status call_of_round(answer* a, const round_of* r, uint64_t* random) {
  dcf_error error;
  terms t = {.wish = 'v',
             .arguments = 5 + next(random) % (MAX_ARGUMENTS - 4),
             .n = (uint32_t)next(random),
             .buffer = ROOM,
             .more = next(random) % 2,
             .timeout_ns = next(random) % 2 ? 0 : 100 * SECOND};
  int64_t value;
  size_t done = 0;
  if (t.more && next(random) % 4 == 0) t.buffer = next(random) % 10; /* Go keeps the answer */
  prepare(a, r->udf, &r->vertex, &t);
  if (next(random) % 3 == 0) {
    const dcf_status status = dcf_call_try(all.client, &a->call, 1, &done, &error);
    if (status != DCF_OK) return status;
  }
  if (!done) {
    const dcf_status status = dcf_call_run(all.client, &a->call, 1, &error);
    if (status != DCF_OK) return status;
  }
  if (a->call.status != DCF_OK) return a->call.status;
  SAME(a->call.result_kind, DCF_RESULT_BYTES);
  SAME(a->call.result_size, 8 + t.arguments);
  const char* got = t.buffer < ROOM ? a->more.result_bytes.data : a->got;
  memcpy(&value, got, sizeof value);
  SAME(value, r->value);
  CHECK(memcmp(got + 8, a->wish, t.arguments) == 0);
  for (size_t i = got == a->got ? 8 + t.arguments : 0; i < ROOM; i++) CHECK(!a->got[i]);
  return DCF_OK;
}

static void* call_rounds(void* thread) {
  uint64_t random = all.seed + (uint64_t)(uintptr_t)thread * 7919 + 1;
  answer a;
  while (!atomic_load(&all.stop)) {
    const round_of* r = &all.rounds[atomic_load(&all.round)];
    const dcf_status status = call_of_round(&a, r, &random);
    if (status == DCF_OK) {
      atomic_fetch_add(&all.good, 1);
    } else { /* given back, dropped or closed between the look at it and the call */
      const int closed =
          atomic_load(&all.closing) && (status == DCF_CANCELLED || status == DCF_UNAVAILABLE);
      if (!closed && status != DCF_NOT_FOUND) SAME(status, DCF_BAD_HANDLE);
      atomic_fetch_add(&all.stale, 1);
    }
    dcf_call_clear(&a.call);
  }
  return NULL;
}

/* Vertices and functions are replaced and given back while all lanes, and more threads than there
 * are lanes, use them. Half of the vertices have the same name. */
static void races(void) {
  dcf_error error;
  pthread_t threads[THREADS];
  dcf_vertex owned, newer;
  both f, g;
  make(&f, NULL);
  all.client = world.client;
  atomic_store(&all.stop, 0);
  for (int i = 0; i < ROUNDS; i++) {
    const int64_t value = 1000 + i;
    newer = put_numbers(world.server, i % 2 ? "again" : NULL, &value, 1);
    round_of* r = &all.rounds[i];
    r->value = value;
    OK(dcf_vertex_open(world.client, id_of(newer), &r->vertex, &error));
    if (i % 16 == 15) make(&g, NULL);
    r->udf = i % 16 == 15 ? g.here : f.here;
    atomic_store(&all.round, i);
    if (!i) {
      for (uintptr_t t = 0; t < THREADS; t++)
        SAME(pthread_create(&threads[t], NULL, call_rounds, (void*)t), 0);
    } else {
      const int64_t good = atomic_load(&all.good);
      if (i % 4 == 2) { /* still there, by a handle that was given back */
        OK(dcf_vertex_release(all.rounds[i - 1].vertex, &error));
        OK(dcf_vertex_drop(owned, &error));
      } else {
        OK(dcf_vertex_drop(owned, &error));
        OK(dcf_vertex_release(all.rounds[i - 1].vertex, &error));
      }
      OK(dcf_vertex_release(owned, &error));
      if (i % 16 == 15) {
        unmake(&f);
        f = g;
      }
      while (atomic_load(&all.good) < good + 2) sched_yield();
    }
    owned = newer;
  }
  atomic_store(&all.stop, 1);
  for (int t = 0; t < THREADS; t++) SAME(pthread_join(threads[t], NULL), 0);
  OK(dcf_vertex_drop(owned, &error));
  OK(dcf_vertex_release(owned, &error));
  OK(dcf_vertex_release(all.rounds[ROUNDS - 1].vertex, &error));
  unmake(&f);
  CHECK(atomic_load(&all.good) > 0 && atomic_load(&all.stale) > 0);
  printf("%" PRId64 " calls answered, %" PRId64 " on what had gone\n", atomic_load(&all.good),
         atomic_load(&all.stale));
}

/* Handles that were given back, and what was dropped or replaced behind them. */
static void gone(void) {
  dcf_error error;
  const int64_t one = 1, two = 2;
  dcf_vertex owned = put_numbers(world.server, "twice", &one, 1), first, again, second;
  both f;
  answer a;
  const terms t = {.wish = 'v', .arguments = 9, .buffer = ROOM, .more = 1};
  OK(dcf_vertex_open_name(world.client, text("twice"), &first, &error));
  OK(dcf_vertex_open_name(world.client, text("twice"), &again, &error));
  make(&f, NULL);
#define CALL(udf, vertex)            \
  do {                               \
    prepare(&a, udf, &(vertex), &t); \
    run(&a);                         \
  } while (0)
#define GIVES(udf, vertex, want) \
  do {                           \
    int64_t value_;              \
    CALL(udf, vertex);           \
    SAME(a.call.status, DCF_OK); \
    CHECK(by_lane(&a));          \
    memcpy(&value_, a.got, 8);   \
    SAME(value_, want);          \
  } while (0)
  for (int i = 0; i < 3; i++) {
    GIVES(f.here, first, 1);
    GIVES(f.here, again, 1);
  }
  /* A new value is seen at once. */
  for (int64_t value = 10; value < 20; value++) {
    struct ArrowSchema schema;
    struct ArrowArray array;
    uint64_t version;
    numbers(&value, 1, &schema, &array);
    OK(dcf_vertex_set(value % 2 ? owned : first, 0, &schema, &array, &version, &error));
    GIVES(f.here, first, value);
    SAME(a.more.result_version, version);
  }
  OK(dcf_vertex_release(again, &error));
  for (int i = 0; i < 3; i++) {
    CALL(f.here, again);
    SAME(a.call.status, DCF_BAD_HANDLE);
  }
  GIVES(f.here, first, 19);
  OK(dcf_vertex_drop(owned, &error));
  OK(dcf_vertex_release(owned, &error));
  for (int i = 0; i < 3; i++) {
    CALL(f.here, first);
    SAME(a.call.status, DCF_NOT_FOUND);
    CHECK(memcmp(&a.error.vertex, &(dcf_vertex_id){{0}}, sizeof a.error.vertex) != 0);
  }
  owned = put_numbers(world.server, "twice", &two, 1);
  OK(dcf_vertex_open_name(world.client, text("twice"), &second, &error));
  for (int i = 0; i < 3; i++) { /* not the one that it was opened on */
    GIVES(f.here, second, 2);
    CALL(f.here, first);
    SAME(a.call.status, DCF_NOT_FOUND);
  }
  dcf_udf more;
  OK(dcf_udf_drop(f.there, 0, &error)); /* the data is brought here instead */
  for (int i = 0; i < 3; i++) {
    CALL(f.here, second);
    SAME(a.call.status, DCF_OK);
    CHECK(!by_lane(&a));
    a.call.flags = DCF_CALL_AT_OWNER;
    run(&a);
    SAME(a.call.status, DCF_NOT_FOUND);
  }
  OK(dcf_udf_drop(f.here, 0, &error));
  for (int i = 0; i < 3; i++) {
    CALL(f.here, second);
    SAME(a.call.status, DCF_BAD_HANDLE);
  }
  f.there = registered(world.server, "named", &f.record);
  f.here = registered(world.client, "named", &f.record);
  OK(dcf_udf_open(world.client, text("named"), &more, &error));
  for (int i = 0; i < 3; i++) {
    GIVES(f.here, second, 2);
    GIVES(more, second, 2);
  }
  OK(dcf_udf_release(f.here, &error));
  for (int i = 0; i < 3; i++) {
    CALL(f.here, second);
    SAME(a.call.status, DCF_BAD_HANDLE);
    GIVES(more, second, 2);
  }
  OK(dcf_udf_open(world.client, text("named"), &f.here, &error));
  for (int i = 0; i < 3; i++) GIVES(f.here, second, 2);
  OK(dcf_udf_drop(more, 0, &error)); /* by all handles on it */
  for (int i = 0; i < 3; i++) {
    CALL(f.here, second);
    SAME(a.call.status, DCF_NOT_FOUND);
    CALL(more, second);
    SAME(a.call.status, DCF_BAD_HANDLE);
  }
  OK(dcf_udf_release(f.here, &error));
  OK(dcf_udf_drop(f.there, 0, &error));
  OK(dcf_vertex_drop(second, &error));
  OK(dcf_vertex_release(owned, &error));
  OK(dcf_vertex_release(first, &error));
  OK(dcf_vertex_release(second, &error));
}

/* ---- Counts ------------------------------------------------------------------- */

#define CALLS 300

static _Atomic int64_t over_lanes;

static void* call_many(void* of) {
  const both* f = of;
  answer a;
  for (size_t i = 0; i < CALLS; i++) {
    echo(f->here, i % (MAX_ARGUMENTS + 20), &a);
    if (by_lane(&a)) atomic_fetch_add(&over_lanes, 1);
  }
  return NULL;
}

/* Both workers count each call, however it went. */
static void counts(void) {
  pthread_t threads[THREADS];
  both f;
  make(&f, NULL);
  const int64_t asked = counter(world.client, "calls.tasks"),
                served = counter(world.server, "calls.served"),
                ran = counter(world.server, "calculates");
  for (int t = 0; t < THREADS; t++) SAME(pthread_create(&threads[t], NULL, call_many, &f), 0);
  for (int t = 0; t < THREADS; t++) SAME(pthread_join(threads[t], NULL), 0);
  SAME(atomic_load(&f.record.runs), THREADS * CALLS);
  SAME(counter(world.client, "calls.tasks") - asked, THREADS * CALLS);
  SAME(counter(world.server, "calls.served") - served, THREADS * CALLS);
  SAME(counter(world.server, "calculates") - ran, THREADS * CALLS);
  CHECK(atomic_load(&over_lanes) > 0);
  /* What does not fit on a lane runs once more for a frame, and counts as one call. */
  for (int i = 0; i < 20; i++) {
    answer a;
    const terms t = {.wish = i % 2 ? 'e' : 'f', .n = 400, .arguments = 5, .buffer = ROOM};
    prepare(&a, f.here, &world.vertex, &t);
    run(&a);
    SAME(a.call.status, i % 2 ? DCF_OK : DCF_UDF_FAILED);
  }
  SAME(atomic_load(&f.record.runs), THREADS * CALLS + 30);
  SAME(counter(world.client, "calls.tasks") - asked, THREADS * CALLS + 20);
  SAME(counter(world.server, "calls.served") - served, THREADS * CALLS + 20);
  SAME(counter(world.server, "calculates") - ran, THREADS * CALLS + 30);
  unmake(&f);
}

/* ---- Workers that close -------------------------------------------------------- */

static dcf_worker open_client(const char* address, uint64_t node) {
  dcf_error error;
  dcf_worker worker;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  options.join = text(address);
  options.node_id = node;
  OK(dcf_worker_open(&options, &worker, &error));
  return worker;
}

/* A client that closes under its callers. */
static void closes(void) {
  dcf_error error;
  pthread_t threads[THREADS];
  record ran = {0};
  dcf_udf there;
  for (uint64_t i = 0; i < 20; i++) {
    round_of* r = &all.rounds[0];
    all.client = open_client(world.address, 100 + i);
    there = registered(world.server, "closes", &ran);
    r->udf = registered(all.client, "closes", &ran);
    r->value = 7;
    OK(dcf_vertex_open_name(all.client, text("seven"), &r->vertex, &error));
    atomic_store(&all.round, 0);
    atomic_store(&all.stop, 0);
    const int64_t good = atomic_load(&all.good);
    for (uintptr_t t = 0; t < THREADS; t++)
      SAME(pthread_create(&threads[t], NULL, call_rounds, (void*)t), 0);
    while (atomic_load(&all.good) < good + 50) sched_yield();
    atomic_store(&all.closing, 1);
    OK(dcf_worker_close(all.client, 0, &error));
    const int64_t stale = atomic_load(&all.stale);
    while (atomic_load(&all.stale) < stale + THREADS) sched_yield();
    atomic_store(&all.stop, 1);
    for (int t = 0; t < THREADS; t++) SAME(pthread_join(threads[t], NULL), 0);
    OK(dcf_vertex_release(r->vertex, &error));
    OK(dcf_udf_release(r->udf, &error));
    OK(dcf_udf_drop(there, 0, &error));
    atomic_store(&all.closing, 0);
  }
}

static int32_t close_client(void* worker) {
  dcf_error error;
  if (atomic_fetch_add(&asks, 1) == 0) OK(dcf_worker_close(*(dcf_worker*)worker, 0, &error));
  return 0;
}

/* Who is asked whether a wait is interrupted closes the worker that waits. */
static void closes_itself(void) {
  dcf_error error;
  latch l = LATCH_INIT;
  record r = {.latch = &l};
  answer a;
  dcf_worker client = open_client(world.address, 300);
  dcf_vertex vertex;
  dcf_udf there = registered(world.server, "closing", &r), here = registered(client, "closing", &r);
  OK(dcf_vertex_open_name(client, text("seven"), &vertex, &error));
  terms t = {.wish = 'e', .arguments = 10, .buffer = ROOM, .more = 1};
  do {
    prepare(&a, here, &vertex, &t);
    OK(dcf_call_run(client, &a.call, 1, &error));
    SAME(a.call.status, DCF_OK);
  } while (!by_lane(&a));
  t.wish = 'w';
  prepare(&a, here, &vertex, &t);
  atomic_store(&asks, 0);
  dcf_set_interrupt(close_client, &client);
  const dcf_status status = dcf_call_run(client, &a.call, 1, &error);
  dcf_set_interrupt(NULL, NULL);
  CHECK(status == DCF_BAD_HANDLE || a.call.status == DCF_BAD_HANDLE ||
        a.call.status == DCF_CANCELLED);
  latch_open(&l);
  OK(dcf_udf_drop(there, 0, &error));
  OK(dcf_udf_release(here, &error));
  OK(dcf_vertex_release(vertex, &error));
}

/* ---- Processes ----------------------------------------------------------------- */

/* A server in a process of its own, which ends when `in` is closed. */
typedef struct child {
  pid_t pid;
  int in;
} child;

static record served_record;

/* What the process does. */
static int serve(const char* address) {
  dcf_error error;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  const int64_t seven = 7;
  char byte = 'r';
  options.listen = text(address);
  options.node_id = 9;
  OK(dcf_worker_open(&options, &world.server, &error));
  registered(world.server, "served", &served_record);
  put_numbers(world.server, "far", &seven, 1);
  SAME(write(STDOUT_FILENO, &byte, 1), 1);
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  OK(dcf_worker_close(world.server, 0, &error));
  return 0;
}

static child start(char* address) {
  int in[2], out[2];
  char byte;
  child c;
  char* arguments[] = {"small", "serve", address, NULL};
  posix_spawn_file_actions_t actions;
  SAME(pipe2(in, O_CLOEXEC) + pipe2(out, O_CLOEXEC), 0);
  SAME(posix_spawn_file_actions_init(&actions), 0);
  SAME(posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO), 0);
  SAME(posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO), 0);
  SAME(posix_spawn(&c.pid, "/proc/self/exe", &actions, NULL, arguments, environ), 0);
  SAME(posix_spawn_file_actions_destroy(&actions), 0);
  close(in[0]);
  close(out[1]);
  SAME(read(out[0], &byte, 1), 1);
  close(out[0]);
  c.in = in[1];
  return c;
}

static int stop(child* c) {
  int status;
  close(c->in);
  SAME(waitpid(c->pid, &status, 0), c->pid);
  return status;
}

/* Calls until the server is gone. */
static void* call_to_the_end(void* thread) {
  uint64_t random = all.seed + (uint64_t)(uintptr_t)thread * 104729 + 1;
  dcf_status status;
  answer a;
  while ((status = call_of_round(&a, &all.rounds[0], &random)) == DCF_OK) {
    atomic_fetch_add(&all.good, 1);
    dcf_call_clear(&a.call);
  }
  SAME(status, DCF_UNAVAILABLE);
  dcf_call_clear(&a.call);
  return NULL;
}

/* A client of the child, with its function and its vertex. */
typedef struct distant {
  dcf_worker client;
  dcf_udf udf;
  dcf_vertex vertex;
} distant;

static distant reach(char* address) {
  dcf_error error;
  distant d = {.client = open_client(address, 10)};
  d.udf = registered(d.client, "served", NULL);
  OK(dcf_vertex_open_name(d.client, text("far"), &d.vertex, &error));
  return d;
}

static void leave(const distant* d) {
  dcf_error error;
  OK(dcf_vertex_release(d->vertex, &error));
  OK(dcf_udf_drop(d->udf, 0, &error));
  OK(dcf_worker_close(d->client, 0, &error));
}

/* One call, which may fail. */
static dcf_status reaches(const distant* d, answer* a) {
  dcf_error error;
  const terms t = {
      .wish = 'e', .arguments = 9, .buffer = ROOM, .more = 1, .timeout_ns = 3 * SECOND};
  prepare(a, d->udf, &d->vertex, &t);
  OK(dcf_call_run(d->client, &a->call, 1, &error));
  if (a->call.status == DCF_OK) echoed(a);
  return a->call.status;
}

/* On a new connection the server begins to look at lanes a little later. */
static void reaches_over_lanes(const distant* d) {
  answer a;
  do {
    SAME(reaches(d, &a), DCF_OK);
  } while (!by_lane(&a));
  for (int i = 0; i < 3; i++) {
    SAME(reaches(d, &a), DCF_OK);
    CHECK(by_lane(&a));
    SAME(a.more.served_by, 9);
  }
}

/* A server that is killed during calls. */
static void killed(void) {
  char address[64];
  pthread_t threads[THREADS];
  answer a;
  uint64_t random = all.seed + 1;
  snprintf(address, sizeof address, "shm://@dcf-small-killed-%d", (int)getpid());
  for (int i = 0; i < 8; i++) {
    child c = start(address);
    const distant d = reach(address);
    reaches_over_lanes(&d);
    all.client = d.client;
    all.rounds[0] = (round_of){d.udf, d.vertex, 7};
    const int64_t enough = atomic_load(&all.good) + (int64_t)(next(&random) % 3000);
    for (uintptr_t t = 0; t < THREADS; t++)
      SAME(pthread_create(&threads[t], NULL, call_to_the_end, (void*)t), 0);
    while (atomic_load(&all.good) < enough) sched_yield();
    SAME(kill(c.pid, SIGKILL), 0);
    for (int t = 0; t < THREADS; t++) SAME(pthread_join(threads[t], NULL), 0);
    SAME(WTERMSIG(stop(&c)), SIGKILL);
    SAME(reaches(&d, &a), DCF_UNAVAILABLE);
    leave(&d);
  }
}

static void pause_child(const child* c) {
  int status;
  SAME(kill(c->pid, SIGSTOP), 0);
  SAME(waitpid(c->pid, &status, WUNTRACED), c->pid);
  CHECK(WIFSTOPPED(status));
}

/* A server that is stopped for a while answers all that it was asked. When it was stopped for so
 * long that it counted as gone, its client calls it over the lanes of another connection. */
static void stopped(void) {
  static caller callers[THREADS];
  char address[64];
  snprintf(address, sizeof address, "shm://@dcf-small-stopped-%d", (int)getpid());
  child c = start(address);
  const distant d = reach(address);
  const dcf_worker near = world.client;
  world.client = d.client;
  answer a, late;
  for (int round = 0; round < 5; round++) {
    terms t = {.wish = 'e', .arguments = 11, .buffer = ROOM, .more = 1};
    reaches_over_lanes(&d);
    pause_child(&c);
    prepare(&a, d.udf, &d.vertex, &t);
    CHECK(!tries(&a));
    for (int i = 0; i < THREADS; i++) {
      t.arguments = 20 + (size_t)i;
      prepare(&callers[i].a, d.udf, &d.vertex, &t);
      SAME(pthread_create(&callers[i].thread, NULL, call_once, &callers[i]), 0);
    }
    t.timeout_ns = shortly;
    prepare(&late, d.udf, &d.vertex, &t);
    run(&late);
    SAME(late.call.status, DCF_TIMEOUT);
    SAME(kill(c.pid, SIGCONT), 0);
    run(&a);
    echoed(&a);
    for (int i = 0; i < THREADS; i++) {
      SAME(pthread_join(callers[i].thread, NULL), 0);
      echoed(&callers[i].a);
    }
  }
  for (int round = 0; round < 2; round++) {
    reaches_over_lanes(&d);
    pause_child(&c);
    const dcf_status status = reaches(&d, &a);
    if (status != DCF_TIMEOUT) SAME(status, DCF_UNAVAILABLE);
    SAME(kill(c.pid, SIGCONT), 0);
    while (reaches(&d, &a) != DCF_OK) SAME(a.call.status, DCF_UNAVAILABLE);
  }
  reaches_over_lanes(&d);
  do { /* C knows the way anew */
    const terms t = {.wish = 'e', .arguments = 11, .buffer = ROOM, .more = 1};
    prepare(&a, d.udf, &d.vertex, &t);
    if (tries(&a)) break;
    run(&a);
  } while (a.call.status == DCF_OK);
  echoed(&a);
  world.client = near;
  leave(&d);
  SAME(stop(&c), 0);
}

static void open_world(void) {
  dcf_error error;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  const int64_t seven = 7;
  snprintf(world.address, sizeof world.address, "shm://@dcf-small-%d", (int)getpid());
  options.listen = text(world.address);
  options.node_id = 1;
  OK(dcf_worker_open(&options, &world.server, &error));
  world.owned = put_numbers(world.server, "seven", &seven, 1);
  world.id = id_of(world.owned);
  options = (dcf_worker_options)DCF_WORKER_OPTIONS_INIT;
  options.join = text(world.address);
  options.node_id = 2;
  OK(dcf_worker_open(&options, &world.client, &error));
  OK(dcf_vertex_open_name(world.client, text("seven"), &world.vertex, &error));
  OK(dcf_worker_node_id(world.server, &world.node, &error));
}

int main(int argc, char** argv) {
  dcf_error error;
  alarm(PATIENCE_SECONDS);
  if (argc == 3) return serve(argv[2]);
  all.seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  open_world();
  arguments();
  answers();
  failures();
  goes_on();
  does_not_go_on();
  at_once();
  too_late();
  interrupts();
  gone();
  counts();
  races();
  closes();
  closes_itself();
  killed();
  stopped();
  OK(dcf_vertex_release(world.vertex, &error));
  OK(dcf_vertex_release(world.owned, &error));
  OK(dcf_worker_close(world.client, 0, &error));
  end(world.server);
  return 0;
}
