/* Small calls to workers of this host, over lanes, without Go: of a function that Go has seen to go
 * over lanes, on a vertex of whose owner the same is known. See lane.h and package lane, whose
 * calling end this does once more: a thread in C asks, waits and reads the answer by itself. Where
 * that takes long, and for all that is rare, it goes on in Go. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "direct.h"
#include "lane.h"

/* Go's half, weak as in plain.c. */
extern void dcf_capi_await(uint64_t worker, dcf_call* call, uint32_t lanes, uint32_t at,
                           int64_t began) __attribute__((weak));
/* Of package arena: whether this process is a forked child, whose lanes are its parent's. */
extern int dcf_arena_forked(void) __attribute__((weak));

/* What stands beside a request's and a reply's data, and what a request has for a deadline. */
#define REQUEST_BYTES 48u
#define REPLY_BYTES 16u
#define BUDGET_BYTES 8u

/* How long a caller that must not wait polls. */
#define TRY_NS 10000

/* How long one sleep lasts here, at most: then Go asks whether the wait is interrupted. */
#define SLEEP_NS 50000000

/* As in package lane. */
#define LOOKS_PER_CLOCK 16
#define MAX_MISSED 8
#define LONG_SLEEPS 20

/* A call that is asked, or is to be. */
typedef struct asking {
  dcf_lanes* lanes;
  uint64_t number; /* of the connection */
  uint64_t birth;
  uint64_t vertex[2];
  uint64_t function[2];
  uint32_t at;   /* the lane */
  int64_t began; /* when it began to sleep; 0: it did not */
} asking;

/* What a try of this thread has asked and not seen answered. */
static _Thread_local struct {
  const dcf_call* call; /* NULL: nothing */
  dcf_lanes* lanes;
  uint64_t number;
  uint64_t sequence; /* of the call on its lane */
  uint32_t at;
} tried __attribute__((tls_model("initial-exec")));

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/* Whether a call is one that a lane can carry, as far as it says so itself. */
static inline int is_small(const dcf_call* c) {
  return is_plain(c) && !(c->flags & DCF_CALL_HERE) && c->timeout_ns >= 0 &&
         c->arguments.size <= DCF_LANE_REQUEST_BYTES - BUDGET_BYTES;
}

/* Looks up where a call goes; 0 where C does not know. */
static inline int address(uint64_t worker, const dcf_call* c, asking* a) {
  if (c->target_count != 1 || !c->targets) return 0;
  const uint64_t target = c->targets->handle;
  entry* route = entry_at(&dcf_capi_routes, target);
  if (!route || atomic_load(&route->handle) != target || !is_small(c) || dcf_arena_forked())
    return 0;
  a->began = 0;
  uint64_t owner, function_owner, node;
  a->lanes = (dcf_lanes*)atomic_load(&route->object);
  owner = atomic_load(&route->word);
  a->number = atomic_load(&route->more[0]);
  a->birth = atomic_load(&route->more[1]);
  a->vertex[0] = atomic_load(&route->more[2]);
  a->vertex[1] = atomic_load(&route->more[3]);
  if (atomic_load(&route->handle) != target) return 0;
  entry* small = entry_at(&dcf_capi_smalls, c->udf.handle);
  if (!small) return 0;
  function_owner = atomic_load(&small->word);
  a->function[0] = atomic_load(&small->more[0]);
  a->function[1] = atomic_load(&small->more[1]);
  return atomic_load(&small->handle) == c->udf.handle && owner == worker &&
         function_owner == worker && object_of(&dcf_capi_workers, worker, &node);
}

static inline dcf_lane_pair* pair_of(const asking* a) { return &a->lanes->area->lanes[a->at]; }

/* Whether the answer to the last call of the lane is here. The thread has the lane. Who goes to
 * sleep looks after he has said so, in the one order of both. */
static inline int answered(const asking* a) {
  return atomic_load(&pair_of(a)->reply.word) >> DCF_LANE_NUMBER_SHIFT ==
         (a->lanes->lanes[a->at].number & (UINT64_MAX >> DCF_LANE_NUMBER_SHIFT));
}

static inline void leave(const asking* a) {
  atomic_store_explicit(&a->lanes->lanes[a->at].holder, a->number << 1, memory_order_release);
}

static inline int take_at(asking* a, uint32_t at) {
  uint64_t is_free = a->number << 1;
  a->at = at;
  return atomic_compare_exchange_strong(&a->lanes->lanes[at].holder, &is_free, is_free | 1);
}

/* Takes a free lane from `from` on, before `to`; 0 where there is none, or nobody serves them. */
static inline int take_from(asking* a, uint32_t from, uint32_t to) {
  for (uint32_t at = from; at < to; at++) {
    if (!take_at(a, at)) continue;
    if (!atomic_load_explicit(&a->lanes->ended, memory_order_relaxed) &&
        atomic_load_explicit(&a->lanes->area->served, memory_order_relaxed) && answered(a))
      return 1;
    leave(a); /* the answer to a call that was given up is still to come */
  }
  return 0;
}

/* Takes a watched lane. */
static inline int take(asking* a) {
  if (!take_from(a, 0, DCF_LANES_WATCHED)) return 0;
  const uint32_t bit = 1u << a->at;
  if (!(atomic_load_explicit(&a->lanes->used, memory_order_relaxed) & bit)) {
    atomic_fetch_or(&a->lanes->used, bit);
    atomic_fetch_or(&a->lanes->area->used, bit);
  }
  return 1;
}

static inline void count(_Atomic uint64_t* counter, uint64_t n) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                        memory_order_relaxed);
}

/* Wakes the server. Its socket stays open as long as the thread has the lane. */
static __attribute__((noinline)) void wake(const dcf_lanes* lanes) {
  static const char word = DCF_LANE_WAKE;
  atomic_store_explicit(&lanes->area->waker, (uint32_t)(sched_getcpu() + 1), memory_order_relaxed);
  switch (atomic_exchange(lanes->asleep, DCF_LANE_AWAKE)) {
    case DCF_LANE_AWAKE:
      break;
    case DCF_LANE_IN_FUTEX:
      syscall(SYS_futex, lanes->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
      break;
    default: /* a socket that takes nothing is readable */
      send(lanes->socket, &word, sizeof word, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

/* Wakes the server, if it sleeps, after it was asked. */
static inline void rouse(const dcf_lanes* lanes) {
  if (atomic_load(lanes->asleep) != DCF_LANE_AWAKE) wake(lanes);
}

/* Writes the call. What is loaded after it may have been loaded before. */
static inline void ask(const asking* a, const dcf_call* c) {
  dcf_lane* lane = &a->lanes->lanes[a->at];
  dcf_lane_request* r = &pair_of(a)->request;
  uint32_t kind = DCF_LANE_PATIENT;
  size_t size = 0;
  memcpy(r->vertex, a->vertex, sizeof r->vertex);
  r->birth = a->birth;
  memcpy(r->function, a->function, sizeof r->function);
  if (c->timeout_ns > 0) {
    kind = DCF_LANE_HURRIED;
    size = BUDGET_BYTES;
    memcpy(r->data, &c->timeout_ns, BUDGET_BYTES);
  }
  if (c->arguments.size) memcpy(r->data + size, c->arguments.data, c->arguments.size);
  size += c->arguments.size;
  lane->number++;
  count(&lane->calls, 1);
  count(&lane->sent, REQUEST_BYTES + size);
  atomic_store_explicit(
      &r->word,
      lane->number << DCF_LANE_NUMBER_SHIFT | (uint64_t)kind << DCF_LANE_KIND_SHIFT | size,
      memory_order_release);
}

/* Polls for the answer, and says whether it is here. What is there at the first look says nothing
 * about polling: on a processor that both share the server ran in this thread's place. */
static int poll_for(const asking* a, int64_t limit_ns) {
  dcf_lanes* lanes = a->lanes;
  int64_t until = 0;
  if (answered(a)) return 1;
  for (uint32_t look = 1; !answered(a); look++) {
    pause_cpu();
    if (look % LOOKS_PER_CLOCK) continue;
    const int64_t now = now_ns();
    if (!until) {
      until = now + limit_ns;
    } else if (now >= until || atomic_load_explicit(&lanes->ended, memory_order_relaxed)) {
      return answered(a);
    }
  }
  if (atomic_load_explicit(&lanes->missed, memory_order_relaxed))
    atomic_store_explicit(&lanes->missed, 0, memory_order_relaxed);
  return 1;
}

/* Whether polling is to be tried, after it did not help lately. */
static inline int polls(dcf_lanes* lanes) {
  const uint32_t skip = atomic_load_explicit(&lanes->skip, memory_order_relaxed);
  if (skip) atomic_store_explicit(&lanes->skip, skip - 1, memory_order_relaxed);
  return !skip && lanes->spin_ns > 0;
}

/* Polling did not help: it is done more rarely. */
static void missed(dcf_lanes* lanes) {
  uint32_t n = atomic_load_explicit(&lanes->missed, memory_order_relaxed);
  if (n < MAX_MISSED) n++;
  atomic_store_explicit(&lanes->missed, n, memory_order_relaxed);
  atomic_store_explicit(&lanes->skip, (1u << n) - 1, memory_order_relaxed);
}

/* Sleeps until the answer is here, for SLEEP_NS or as long as the call may take, and says which. */
static __attribute__((noinline)) int sleep_for(asking* a, int64_t timeout_ns) {
  dcf_lanes* lanes = a->lanes;
  _Atomic uint32_t* word = &pair_of(a)->asleep;
  int64_t left = timeout_ns > 0 && timeout_ns < SLEEP_NS ? timeout_ns : SLEEP_NS;
  a->began = now_ns();
  const int64_t until = a->began + left;
  while (left > 0 && !answered(a) && !atomic_load(&lanes->ended)) {
    const struct timespec limit = {.tv_nsec = left};
    atomic_store(word, DCF_LANE_IN_FUTEX);
    if (!answered(a) && !atomic_load(&lanes->ended))
      syscall(SYS_futex, word, FUTEX_WAIT, DCF_LANE_IN_FUTEX, &limit, NULL, 0);
    atomic_store(word, DCF_LANE_AWAKE);
    left = until - now_ns();
  }
  if (until - left - a->began > LONG_SLEEPS * lanes->spin_ns)
    atomic_store_explicit(&lanes->skip, 0, memory_order_relaxed);
  return answered(a);
}

/* Makes the answer, which is here, the call's result, and leaves the lane; 0 where that takes Go,
 * and the lane is as it was. What the other process wrote is read once, and then checked. `spun`
 * counts it as seen without sleeping. */
static inline int take_in(const asking* a, dcf_call* c, int spun) {
  dcf_lane* lane = &a->lanes->lanes[a->at];
  dcf_lane_reply* r = &pair_of(a)->reply;
  const uint64_t word = atomic_load_explicit(&r->word, memory_order_acquire);
  const uint32_t kind = (uint8_t)(word >> DCF_LANE_KIND_SHIFT);
  const size_t size = (uint8_t)word;
  if (!(kind == DCF_LANE_BYTES && size <= DCF_LANE_REPLY_BYTES && size <= c->buffer_size) &&
      !(kind == DCF_LANE_NOTHING && size == 0))
    return 0;
  give_part(c, kind == DCF_LANE_BYTES, r->data, size);
  count(&lane->received, REPLY_BYTES + size);
  if (spun) count(&lane->spun, 1);
  if (c->more) {
    const size_t sent = c->arguments.size + (c->timeout_ns > 0 ? BUDGET_BYTES : 0);
    give_more(c->more, r->version, a->lanes->node, 1, REQUEST_BYTES + sent + REPLY_BYTES + size);
  }
  leave(a);
  return 1;
}

/* Whether what a try has asked is this very call. The thread has the lane. */
static int is_same(const asking* a, const dcf_call* c) {
  const dcf_lane_request* r = &pair_of(a)->request;
  const int hurried = c->timeout_ns > 0;
  const size_t size = hurried ? BUDGET_BYTES : 0;
  const uint16_t facts =
      (uint16_t)((hurried ? DCF_LANE_HURRIED : DCF_LANE_PATIENT) << DCF_LANE_KIND_SHIFT |
                 (size + c->arguments.size));
  return a->lanes->lanes[a->at].number == tried.sequence &&
         !memcmp(r->vertex, a->vertex, sizeof r->vertex) && r->birth == a->birth &&
         !memcmp(r->function, a->function, sizeof r->function) &&
         (uint16_t)atomic_load(&r->word) == facts &&
         (!c->arguments.size || !memcmp(r->data + size, c->arguments.data, c->arguments.size));
}

/* Goes on with what a try has asked; 0 where that is something else, or gone. */
static int go_on(asking* a, const dcf_call* c) {
  const dcf_call* call = tried.call;
  tried.call = NULL;
  if (call != c || tried.lanes != a->lanes || tried.number != a->number || !take_at(a, tried.at))
    return 0;
  if (is_same(a, c)) return 1;
  leave(a);
  return 0;
}

/* Waits for the answer; 0: it takes long. */
static inline int await(asking* a, int64_t timeout_ns) {
  dcf_lanes* lanes = a->lanes;
  if (answered(a) || polls(lanes)) {
    if (poll_for(a, lanes->spin_ns)) {
      count(&lanes->lanes[a->at].spun, 1);
      return 1;
    }
    missed(lanes);
  }
  return sleep_for(a, timeout_ns);
}

/* Waits for the answer and makes it the call's result, in Go where that takes long. */
static inline void finish(uint64_t worker, asking* a, dcf_call* c) {
  if (!await(a, c->timeout_ns) || !take_in(a, c, 0))
    dcf_capi_await(worker, c, a->lanes->index, a->at, a->began);
}

/* Waits as long as a try may, and keeps what it asked for the next run. */
static int try_for(const asking* a, dcf_call* c) {
  const int64_t spin = a->lanes->spin_ns;
  if ((answered(a) || polls(a->lanes)) && poll_for(a, spin < TRY_NS ? spin : TRY_NS) &&
      take_in(a, c, 1))
    return 1;
  tried.call = c;
  tried.lanes = a->lanes;
  tried.number = a->number;
  tried.sequence = a->lanes->lanes[a->at].number;
  tried.at = a->at;
  leave(a);
  return 0;
}

int dcf_capi_small(uint64_t worker, dcf_call* c, int tries) {
  asking a;
  if (!address(worker, c, &a)) {
    tried.call = NULL;
    return 0;
  }
  if (!tried.call || tries || !go_on(&a, c)) {
    tried.call = NULL;
    if (!take(&a)) return 0;
    ask(&a, c);
    atomic_thread_fence(memory_order_seq_cst);
    rouse(a.lanes);
    if (tries) return try_for(&a, c);
  }
  finish(worker, &a, c);
  return 1;
}

/* ---- Many calls ------------------------------------------------------------ */

/* After how many calls the bell rings: the server begins with them while more are written. */
#define BELL_EVERY 16

/* Looks up where a call goes that follows another one; 0 where that is somewhere else. */
static inline int address_next(uint64_t worker, const dcf_call* c, const asking* last, asking* a) {
  const dcf_call* before = c - 1;
  if (c->target_count == 1 && c->targets && c->targets->handle == before->targets->handle &&
      c->udf.handle == before->udf.handle && is_small(c)) {
    *a = *last;
    return 1;
  }
  return address(worker, c, a) && a->lanes == last->lanes && a->number == last->number;
}

static inline void ring(dcf_lanes* lanes, uint64_t* bell) {
  atomic_fetch_or(&lanes->area->bell, *bell);
  *bell = 0;
  rouse(lanes);
}

/* Asks the first calls, as many as go over lanes of one connection and as it has lanes. */
static size_t ask_many(uint64_t worker, const dcf_call* calls, size_t count, asking* all) {
  uint64_t bell = 0;
  uint32_t at = DCF_LANES_WATCHED;
  size_t n = 0;
  for (; n < count; n++) {
    asking* a = &all[n];
    if (!(n ? address_next(worker, &calls[n], a - 1, a) : address(worker, calls, a)) ||
        !take_from(a, at, DCF_LANES))
      break;
    at = a->at + 1;
    ask(a, &calls[n]);
    bell |= (uint64_t)1 << (a->at - DCF_LANES_WATCHED);
    if (n % BELL_EVERY == BELL_EVERY - 1) ring(a->lanes, &bell);
  }
  if (bell) ring(all->lanes, &bell);
  return n;
}

size_t dcf_capi_small_many(uint64_t worker, dcf_call* calls, size_t count) {
  asking all[DCF_LANES_BELLED];
  size_t done = 0, n = DCF_LANES_BELLED;
  tried.call = NULL;
  while (done < count && n == DCF_LANES_BELLED) { /* else the next is for another connection */
    n = count - done < DCF_LANES_BELLED ? count - done : DCF_LANES_BELLED;
    n = ask_many(worker, calls + done, n, all);
    for (size_t i = 0; i < n; i++) {
      if (i + 1 < n) __builtin_prefetch(&pair_of(&all[i + 1])->reply);
      finish(worker, &all[i], &calls[done + i]);
    }
    done += n;
  }
  return done;
}
