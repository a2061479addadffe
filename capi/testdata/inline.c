/* Calls that dcf_queue_submit may answer itself: which it does, what they give, and that no other
 * is lost or runs twice. */
#include "support.h"

static dcf_worker worker;
static dcf_queue queue;

/* Says how often it ran; answers as its argument's first byte asks, and else the sum. */
static dcf_status asked(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  atomic_fetch_add((_Atomic int*)user_data, 1);
  const char* wish = input->arguments.data;
  if (!input->arguments.size) return sum(NULL, input, output);
  if (*wish == 'n') return DCF_OK;
  if (*wish == 'f') {
    output->api->fail(output, text("no such luck\nwith all the rest"));
    return DCF_OK;
  }
  if (*wish == 'l') return output->api->bytes(output, text("longer than the buffer is, by far"));
  if (*wish == 'a') {
    struct ArrowSchema schema;
    struct ArrowArray array;
    numbers(NULL, 5, &schema, &array);
    return output->api->array(output, &schema, &array);
  }
  dcf_spawn spawn = DCF_SPAWN_INIT; /* a vertex id, and behind it the function's name */
  memcpy(&spawn.target, wish + 1, sizeof spawn.target);
  spawn.udf = text(wish + 1 + sizeof spawn.target);
  return output->api->spawn(output, &spawn);
}

static dcf_status heeds(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)output;
  atomic_store((_Atomic int*)user_data, 1);
  while (!__atomic_load_n(input->cancelled, __ATOMIC_ACQUIRE)) sched_yield();
  return DCF_CANCELLED;
}

typedef struct answer {
  dcf_call call;
  dcf_call_more more;
  dcf_error error;
  int64_t got;
} answer;

/* Submits one call; whether it was answered at once. */
static int submits(answer* a, dcf_udf udf, const dcf_vertex* target, uint32_t flags,
                   dcf_bytes arguments) {
  dcf_error error;
  size_t answered = 77;
  a->call = (dcf_call)DCF_CALL_INIT;
  a->more = (dcf_call_more)DCF_CALL_MORE_INIT;
  a->got = -1;
  a->call.udf = udf;
  a->call.flags = flags;
  a->call.targets = target;
  a->call.target_count = 1;
  a->call.arguments = arguments;
  a->call.buffer = &a->got;
  a->call.buffer_size = sizeof a->got;
  a->call.more = &a->more;
  a->call.error = &a->error;
  a->call.status = 77;
  OK(dcf_queue_submit(queue, &a->call, 1, &answered, &error));
  SAME(answered, a->call.ticket == 0);
  return answered == 1;
}

static void polls(answer* a) {
  dcf_error error;
  dcf_call* done;
  size_t count;
  OK(dcf_queue_poll(queue, &done, 1, 0, &count, &error));
  SAME(count, 1);
  CHECK(done == &a->call);
  SAME(a->call.ticket, 0);
}

static void nothing_left(void) {
  dcf_error error;
  dcf_call* done;
  size_t count;
  OK(dcf_queue_poll(queue, &done, 1, -1, &count, &error));
  SAME(count, 0);
}

static const dcf_bytes none;

/* What is answered at once, and in which way. */
static void at_once(dcf_udf shorts, dcf_vertex vertex, _Atomic int* runs) {
  answer a;
  const int64_t before = counter(worker, "calls.local");
  CHECK(submits(&a, shorts, &vertex, 0, none));
  SAME(a.call.status, DCF_OK);
  SAME(a.call.result_kind, DCF_RESULT_BYTES);
  SAME(a.got, 6);
  CHECK(submits(&a, shorts, &vertex, DCF_CALL_AT_OWNER, text("nothing")));
  SAME(a.call.result_kind, DCF_RESULT_NONE);
  CHECK(submits(&a, shorts, &vertex, DCF_CALL_HERE, text("long")));
  SAME(a.call.status, DCF_OK);
  SAME(a.call.result_kind, DCF_RESULT_BYTES);
  SAME(a.more.result_bytes.size, a.call.result_size);
  CHECK(memcmp(a.more.result_bytes.data, "longer than", 11) == 0);
  dcf_call_clear(&a.call);
  CHECK(submits(&a, shorts, &vertex, 0, text("array")));
  SAME(a.call.result_kind, DCF_RESULT_ARRAY);
  SAME(a.more.result_array.length, 5);
  dcf_call_clear(&a.call);
  CHECK(submits(&a, shorts, &vertex, 0, text("fail")));
  SAME(a.call.status, DCF_UDF_FAILED);
  SAME(a.error.status, DCF_UDF_FAILED);
  CHECK(strstr(a.error.message, "no such luck"));
  CHECK(a.more.error_detail.size > strlen("no such luck\n"));
  dcf_call_clear(&a.call);
  SAME(atomic_load(runs), 5);
  SAME(counter(worker, "calls.local"), before + 5);
  nothing_left();
}

/* What is submitted as ever. */
static void not_at_once(dcf_udf shorts, dcf_udf longs, dcf_udf updates, dcf_vertex vertex) {
  dcf_error error;
  answer a, b;
  const dcf_vertex twice[2] = {vertex, vertex};
  CHECK(!submits(&a, longs, &vertex, 0, none));
  polls(&a);
  SAME(a.got, 6);
  CHECK(!submits(&a, updates, &vertex, 0, none));
  polls(&a);
  SAME(a.got, 6);

  CHECK(submits(&b, shorts, &vertex, 0, none));
  b.got = -1;
  OK(dcf_queue_submit(queue, &b.call, 1, NULL, &error)); /* nobody asked for it */
  CHECK(b.call.ticket != 0);
  polls(&b);
  SAME(b.got, 6);
  dcf_call calls[2] = {b.call, b.call};
  calls[0].targets = twice;
  calls[0].target_count = 2;
  size_t answered = 77;
  OK(dcf_queue_submit(queue, calls, 2, &answered, &error)); /* two calls */
  SAME(answered, 0);
  CHECK(calls[0].ticket != 0 && calls[1].ticket != 0);
  for (size_t n = 0, count; n < 2; n += count) {
    dcf_call* done[2];
    OK(dcf_queue_poll(queue, done, 2, 0, &count, &error));
    CHECK(count > 0);
  }
  SAME(calls[0].status + calls[1].status, DCF_OK);
  nothing_left();
}

/* Writes the arguments that make `asked` spawn. */
static dcf_bytes spawning(char* room, dcf_vertex target, const char* udf) {
  const dcf_vertex_id id = id_of(target);
  *room = 's';
  memcpy(room + 1, &id, sizeof id);
  strcpy(room + 1 + sizeof id, udf);
  return (dcf_bytes){room, 1 + sizeof id + strlen(udf) + 1};
}

/* A function that spawns is not run again: its call goes on in the queue. */
static void spawned(dcf_udf shorts, dcf_vertex vertex, _Atomic int* runs) {
  dcf_error error;
  answer a;
  char room[100];
  _Atomic int waiting = 0;
  dcf_udf heeding = register_udf(worker, "heeds", 0, heeds, NULL, &waiting);
  atomic_store(runs, 0);
  CHECK(!submits(&a, shorts, &vertex, 0, spawning(room, vertex, "longs")));
  polls(&a);
  SAME(a.call.status, DCF_OK);
  SAME(a.got, 6);
  SAME(atomic_load(runs), 1);

  CHECK(!submits(&a, shorts, &vertex, 0, spawning(room, vertex, "nobody")));
  polls(&a);
  SAME(a.call.status, DCF_NOT_FOUND);
  CHECK(strstr(a.error.message, "nobody"));

  CHECK(!submits(&a, shorts, &vertex, 0, spawning(room, vertex, "heeds")));
  while (!atomic_load(&waiting)) sched_yield();
  OK(dcf_queue_cancel(queue, a.call.ticket, &error));
  polls(&a);
  SAME(a.call.status, DCF_CANCELLED);
  SAME(atomic_load(runs), 3);
  dcf_call_clear(&a.call);
  nothing_left();
  OK(dcf_udf_drop(heeding, 0, &error));
}

/* Tries two equal calls; how many were answered. */
static size_t tries(answer* a, dcf_udf udf, const dcf_vertex* target, uint32_t flags,
                    dcf_bytes arguments) {
  dcf_error error;
  size_t done = 77;
  a->call = (dcf_call)DCF_CALL_INIT;
  a->got = -1;
  a->call.udf = udf;
  a->call.flags = flags;
  a->call.targets = target;
  a->call.target_count = 1;
  a->call.arguments = arguments;
  a->call.buffer = &a->got;
  a->call.buffer_size = sizeof a->got;
  dcf_call calls[2] = {a->call, a->call};
  OK(dcf_call_try(worker, calls, 2, &done, &error));
  return done;
}

/* dcf_call_try answers what need not wait, and leaves the rest as it was. */
static void tried(dcf_udf shorts, dcf_udf longs, dcf_udf updates, dcf_vertex vertex,
                  _Atomic int* runs) {
  dcf_error error;
  answer a;
  char room[100];
  size_t done = 77;
  SAME(tries(&a, shorts, &vertex, 0, none), 2);
  SAME(a.got, 6);
  SAME(tries(&a, longs, &vertex, 0, none), 0);
  SAME(a.got, -1);
  SAME(tries(&a, longs, &vertex, DCF_CALL_INLINE, none), 2);
  SAME(a.got, 6);
  SAME(tries(&a, updates, &vertex, DCF_CALL_INLINE, none), 0);
  atomic_store(runs, 0);
  SAME(tries(&a, shorts, &vertex, 0, spawning(room, vertex, "longs")), 0);
  SAME(atomic_load(runs), 1);
  OK(dcf_call_run(worker, &a.call, 1, &error)); /* it is whole, and can be run */
  SAME(a.call.status, DCF_OK);
  SAME(a.got, 6);
  a.call.udf.handle = 0;
  OK(dcf_call_try(worker, &a.call, 1, &done, &error)); /* what is wrong is for run to say */
  SAME(done, 0);
  FAILS(dcf_call_try(worker, NULL, 1, &done, &error), DCF_INVALID_ARGUMENT, "calls");
  FAILS(dcf_call_try(worker, &a.call, 1, NULL, &error), DCF_INVALID_ARGUMENT, "done_out");
  FAILS(dcf_call_try((dcf_worker){0}, &a.call, 1, &done, &error), DCF_BAD_HANDLE, "worker");
}

/* What submit refuses, it refuses also where it could answer. */
static void refused(dcf_udf shorts, dcf_vertex vertex) {
  dcf_error error;
  answer a;
  size_t answered;
  CHECK(submits(&a, shorts, &vertex, 0, none));
  answered = 77;
  a.call.udf.handle = 0;
  FAILS(dcf_queue_submit(queue, &a.call, 1, &answered, &error), DCF_BAD_HANDLE, "calls[0]");
  a.call.udf = shorts;
  a.call.flags = 16;
  FAILS(dcf_queue_submit(queue, &a.call, 1, &answered, &error), DCF_INVALID_ARGUMENT, "bits 0x10");
  a.call.flags = 0;
  OK(dcf_queue_close(queue, &error));
  a.got = -1;
  FAILS(dcf_queue_submit(queue, &a.call, 1, &answered, &error), DCF_BAD_HANDLE, "queue handle");
  SAME(answered, 77);
  SAME(a.got, -1);
}

int main(void) {
  dcf_error error;
  _Atomic int runs = 0, others = 0;
  worker = open_worker();
  OK(dcf_queue_open(worker, &queue, &error));
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 4);
  dcf_udf shorts = register_udf(worker, "shorts", DCF_UDF_SHORT, asked, add, &runs);
  dcf_udf longs = register_udf(worker, "longs", 0, asked, add, &others);
  dcf_udf updates =
      register_udf(worker, "updates", DCF_UDF_SHORT | DCF_UDF_UPDATES, asked, add, &others);
  at_once(shorts, vertex, &runs);
  not_at_once(shorts, longs, updates, vertex);
  spawned(shorts, vertex, &runs);
  tried(shorts, longs, updates, vertex, &runs);
  refused(shorts, vertex);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  OK(dcf_udf_drop(shorts, 0, &error));
  OK(dcf_udf_drop(longs, 0, &error));
  OK(dcf_udf_drop(updates, 0, &error));
  end(worker);
  return 0;
}
