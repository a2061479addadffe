/* Calls that are tried: which are answered at once, what they give, and that the others are as they
 * were. */
#include "support.h"

static dcf_worker worker;

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

typedef struct answer {
  dcf_call call;
  dcf_call_more more;
  dcf_error error;
  int64_t got;
} answer;

static void prepare(answer* a, dcf_udf udf, const dcf_vertex* target, uint32_t flags,
                    dcf_bytes arguments) {
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
}

/* Tries one call; whether it was answered. */
static int answers(answer* a, dcf_udf udf, const dcf_vertex* target, uint32_t flags,
                   dcf_bytes arguments) {
  dcf_error error;
  size_t done = 77;
  prepare(a, udf, target, flags, arguments);
  const dcf_call before = a->call;
  OK(dcf_call_try(worker, &a->call, 1, &done, &error));
  CHECK(done <= 1);
  if (!done) CHECK(memcmp(&before, &a->call, sizeof before) == 0);
  return done == 1;
}

static const dcf_bytes none;

/* What is answered, and in which way. */
static void at_once(dcf_udf shorts, dcf_vertex vertex, _Atomic int* runs) {
  answer a;
  const int64_t before = counter(worker, "calls.local");
  CHECK(answers(&a, shorts, &vertex, 0, none));
  SAME(a.call.status, DCF_OK);
  SAME(a.call.result_kind, DCF_RESULT_BYTES);
  SAME(a.got, 6);
  CHECK(answers(&a, shorts, &vertex, DCF_CALL_AT_OWNER, text("nothing")));
  SAME(a.call.result_kind, DCF_RESULT_NONE);
  CHECK(answers(&a, shorts, &vertex, DCF_CALL_HERE | DCF_CALL_INLINE, text("long")));
  SAME(a.call.status, DCF_OK);
  SAME(a.call.result_kind, DCF_RESULT_BYTES);
  SAME(a.more.result_bytes.size, a.call.result_size);
  CHECK(memcmp(a.more.result_bytes.data, "longer than", 11) == 0);
  dcf_call_clear(&a.call);
  CHECK(answers(&a, shorts, &vertex, 0, text("array")));
  SAME(a.call.result_kind, DCF_RESULT_ARRAY);
  SAME(a.more.result_array.length, 5);
  dcf_call_clear(&a.call);
  CHECK(answers(&a, shorts, &vertex, 0, text("fail")));
  SAME(a.call.status, DCF_UDF_FAILED);
  SAME(a.error.status, DCF_UDF_FAILED);
  CHECK(strstr(a.error.message, "no such luck"));
  CHECK(a.more.error_detail.size > strlen("no such luck\n"));
  dcf_call_clear(&a.call);
  SAME(atomic_load(runs), 5);
  SAME(counter(worker, "calls.local"), before + 5);
}

/* What might have to wait, and is left as it was. */
static void not_at_once(dcf_udf shorts, dcf_udf longs, dcf_udf updates, dcf_vertex vertex) {
  answer a;
  dcf_error error;
  dcf_udf count;
  dcf_vertex shards;
  struct ArrowSchema schema;
  struct ArrowArray array;
  CHECK(!answers(&a, longs, &vertex, 0, none));
  CHECK(answers(&a, longs, &vertex, DCF_CALL_INLINE, none));
  SAME(a.got, 6);
  CHECK(!answers(&a, updates, &vertex, DCF_CALL_INLINE, none));
  CHECK(!answers(&a, (dcf_udf){0}, &vertex, 0, none)); /* what is wrong is for run to say */

  OK(dcf_udf_open(worker, text("count"), &count, &error));
  CHECK(!answers(&a, count, &vertex, DCF_CALL_INLINE, none));
  OK(dcf_udf_release(count, &error));

  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.shard_count = 3;
  numbers(NULL, 10, &schema, &array);
  OK(dcf_vertex_put(worker, &options, &schema, &array, &shards, &error));
  CHECK(!answers(&a, shorts, &shards, 0, none));
  OK(dcf_vertex_drop(shards, &error));
  CHECK(!answers(&a, shorts, &shards, 0, none));
  OK(dcf_vertex_release(shards, &error));
}

/* The first calls are answered, up to one that is not. */
static void several(dcf_udf shorts, dcf_udf longs, dcf_vertex vertex) {
  enum { CALLS = 9 };
  dcf_error error;
  answer a[CALLS];
  dcf_call calls[CALLS];
  size_t done = 77;
  for (int i = 0; i < CALLS; i++) {
    prepare(&a[i], i == 5 ? longs : shorts, &vertex, 0, i == 2 ? text("array") : none);
    calls[i] = a[i].call;
  }
  OK(dcf_call_try(worker, calls, CALLS, &done, &error));
  SAME(done, 5);
  for (int i = 0; i < CALLS; i++) SAME(calls[i].status, i < 5 ? DCF_OK : 77);
  dcf_call_clear(&calls[2]);
  OK(dcf_call_run(worker, calls + done, CALLS - done, &error));
  for (int i = 0; i < CALLS; i++) SAME(a[i].got, i == 2 ? -1 : 6);
}

/* A function that spawns ran in vain: its call is whole, and can be run or submitted. */
static void spawned(dcf_udf shorts, dcf_vertex vertex, _Atomic int* runs) {
  dcf_error error;
  answer a;
  char room[100] = "s";
  const dcf_vertex_id id = id_of(vertex);
  memcpy(room + 1, &id, sizeof id);
  strcpy(room + 1 + sizeof id, "longs");
  atomic_store(runs, 0);
  CHECK(!answers(&a, shorts, &vertex, 0, (dcf_bytes){room, sizeof room}));
  SAME(atomic_load(runs), 1);
  SAME(a.got, -1);
  OK(dcf_call_run(worker, &a.call, 1, &error));
  SAME(a.call.status, DCF_OK);
  SAME(a.got, 6);
  SAME(atomic_load(runs), 2);
  dcf_call_clear(&a.call);
}

/* Tries a call from inside of an updating function, which holds its vertex. */
static dcf_status nested(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)input;
  answer* a = user_data;
  dcf_error error;
  size_t done = 77;
  OK(dcf_call_try(worker, &a->call, 1, &done, &error));
  SAME(done, 0);
  return output->api->bytes(output, text("tried"));
}

static void refused(dcf_udf shorts, dcf_vertex vertex) {
  dcf_error error;
  answer a, outer;
  size_t done = 77;
  prepare(&a, shorts, &vertex, 0, none);
  FAILS(dcf_call_try(worker, NULL, 1, &done, &error), DCF_INVALID_ARGUMENT, "calls");
  FAILS(dcf_call_try(worker, &a.call, 1, NULL, &error), DCF_INVALID_ARGUMENT, "done_out");
  FAILS(dcf_call_try((dcf_worker){0}, &a.call, 1, &done, &error), DCF_BAD_HANDLE, "worker");
  SAME(done, 77);
  OK(dcf_call_try(worker, &a.call, 0, &done, &error));
  SAME(done, 0);
  a.call.flags = 16;
  OK(dcf_call_try(worker, &a.call, 1, &done, &error));
  SAME(done, 0);
  OK(dcf_call_run(worker, &a.call, 1, &error));
  SAME(a.call.status, DCF_INVALID_ARGUMENT);
  CHECK(strstr(a.error.message, "unknown bits 0x10"));
  a.call.flags = 0;

  dcf_udf holder = register_udf(worker, "holder", DCF_UDF_UPDATES, nested, NULL, &a);
  prepare(&outer, holder, &vertex, 0, none);
  OK(dcf_call_run(worker, &outer.call, 1, &error));
  SAME(outer.call.status, DCF_OK);
  CHECK(memcmp(&outer.got, "tried", 5) == 0);
  OK(dcf_udf_drop(holder, 0, &error));
}

int main(void) {
  dcf_error error;
  _Atomic int runs = 0, others = 0;
  worker = open_worker();
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 4);
  dcf_udf shorts = register_udf(worker, "shorts", DCF_UDF_SHORT, asked, add, &runs);
  dcf_udf longs = register_udf(worker, "longs", 0, asked, add, &others);
  dcf_udf updates =
      register_udf(worker, "updates", DCF_UDF_SHORT | DCF_UDF_UPDATES, asked, add, &others);
  at_once(shorts, vertex, &runs);
  not_at_once(shorts, longs, updates, vertex);
  several(shorts, longs, vertex);
  spawned(shorts, vertex, &runs);
  refused(shorts, vertex);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  OK(dcf_udf_drop(shorts, 0, &error));
  OK(dcf_udf_drop(longs, 0, &error));
  OK(dcf_udf_drop(updates, 0, &error));
  end(worker);
  return 0;
}
