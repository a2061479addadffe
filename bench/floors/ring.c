#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 100000 /* a spinning server sleeps after that, a client looks after it */
#define SPIN_NS 20000      /* of one attempt */
#define MAX_MISSES 10      /* one in 2^MAX_MISSES waits is an attempt at least */
#define LOOKS 64           /* between two looks at the clock */
#define SLICE_NS 100000000 /* of one sleep */
#define STACK_BYTES (64 << 10)

typedef struct slot {
  _Atomic uint64_t sequence; /* 1 + the number of the message that it holds */
  char bytes[56];
} slot;

typedef struct ring {
  _Alignas(128) _Atomic uint32_t asleep; /* whether its consumer is */
  _Alignas(128) slot slots[RING_SLOTS];
} ring;

typedef struct shared {
  _Alignas(128) _Atomic uint32_t waiting;
  _Atomic uint32_t taken; /* by a client */
  ring requests, replies;
} shared;

/* One side's end: it fills `out` and empties `in`. */
typedef struct end {
  shared* memory;
  ring *in, *out;
  uint64_t received, sent; /* messages */
  uint32_t skip, miss;     /* waits until the next attempt to spin; attempts in vain in a row */
} end;

struct ring_link {
  end end;
};

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int there(const end* e) {
  const slot* s = &e->in->slots[e->received % RING_SLOTS];
  return atomic_load_explicit(&s->sequence, memory_order_acquire) == e->received + 1;
}

static int spin(const end* e, int64_t limit_ns) {
  const int64_t until = now_ns() + limit_ns;
  do {
    for (int i = 0; i < LOOKS; i++) {
      if (there(e)) return 1;
      _mm_pause();
    }
  } while (now_ns() < until);
  return 0;
}

/* Where no processor is left for the other side, it gets this one. */
static int spin_politely(const end* e) {
  if (spin(e, SPIN_NS)) return 1;
  const int64_t until = now_ns() + PATIENCE_NS;
  do {
    sched_yield();
    if (there(e)) return 1;
  } while (now_ns() < until);
  return 0;
}

/* The same rule as dcf's own: where spinning does not help it becomes rare. */
static int spin_sometimes(end* e) {
  if (e->skip > 0) {
    e->skip--;
    return 0;
  }
  if (there(e)) return 1;
  if (spin(e, SPIN_NS)) {
    e->miss = 0;
    return 1;
  }
  if (e->miss < MAX_MISSES) e->miss++;
  e->skip = (1u << e->miss) - 1;
  return 0;
}

static void futex(_Atomic uint32_t* word, int operation, uint32_t value) {
  const struct timespec slice = {.tv_nsec = SLICE_NS};
  syscall(SYS_futex, word, operation, value, &slice, NULL, 0);
}

static void wake(ring* r) {
  if (atomic_load_explicit(&r->asleep, memory_order_relaxed) == 0) return;
  atomic_store(&r->asleep, 0);
  futex(&r->asleep, FUTEX_WAKE, 1);
}

static void sleep_once(end* e) {
  atomic_store(&e->in->asleep, 1); /* a fence, too: whoever publishes from now on sees it */
  if (!there(e)) futex(&e->in->asleep, FUTEX_WAIT, 1);
  atomic_store_explicit(&e->in->asleep, 0, memory_order_relaxed);
}

/* Waits for the next message. Returns 0 after timeout_ns. */
static int await(end* e, int client, int64_t timeout_ns) {
  const uint32_t waiting = atomic_load_explicit(&e->memory->waiting, memory_order_relaxed);
  if (waiting == RING_SPINS ? spin_politely(e) : waiting == RING_ADAPTS && spin_sometimes(e))
    return 1;
  const int64_t until = now_ns() + timeout_ns;
  while (!there(e)) {
    if (waiting == RING_SPINS && client) {
      /* What was published without a fence may have been missed by a server that fell asleep. */
      wake(e->out);
      spin_politely(e);
    } else {
      sleep_once(e);
    }
    if (now_ns() > until) return there(e);
  }
  return 1;
}

static void take(end* e, void* bytes, size_t size) {
  memcpy(bytes, e->in->slots[e->received++ % RING_SLOTS].bytes, size);
}

/* A ring of which less than all slots are under way needs no credits. */
static void publish(end* e, const void* bytes, size_t size) {
  slot* s = &e->out->slots[e->sent % RING_SLOTS];
  memcpy(s->bytes, bytes, size);
  atomic_store_explicit(&s->sequence, ++e->sent, memory_order_release);
  if (atomic_load_explicit(&e->memory->waiting, memory_order_relaxed) == RING_SPINS) return;
  atomic_thread_fence(memory_order_seq_cst);
  wake(e->out);
}

/* ---- The server ---------------------------------------------------------- */

static void* serve(void* memory) {
  shared* m = memory;
  end e = {.memory = m, .in = &m->requests, .out = &m->replies};
  for (;;) {
    uint64_t request[RING_REQUEST_BYTES / 8];
    while (!await(&e, 0, INT64_MAX / 2)) {
    }
    take(&e, request, sizeof request);
    request[0]++;
    publish(&e, request, RING_REPLY_BYTES);
  }
  return NULL;
}

static shared* map(int fd) {
  void* memory =
      mmap(NULL, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

int ring_serve(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  int fd = memfd_create("floor", MFD_CLOEXEC);
  shared* memory = fd >= 0 && ftruncate(fd, sizeof(shared)) == 0 ? map(fd) : NULL;
  if (memory == NULL) return -1;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  errno = pthread_create(&thread, &attributes, serve, memory);
  pthread_attr_destroy(&attributes);
  return errno == 0 ? fd : -1;
}

/* ---- The client ---------------------------------------------------------- */

ring_link* ring_open(const char* path, int waiting) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return NULL;
  shared* memory = map(fd);
  close(fd);
  if (memory == NULL) return NULL;
  if (atomic_exchange(&memory->taken, 1) != 0) {
    munmap(memory, sizeof(shared));
    errno = EBUSY;
    return NULL;
  }
  ring_link* link = calloc(1, sizeof *link);
  if (link == NULL) return NULL;
  link->end = (end){.memory = memory, .in = &memory->replies, .out = &memory->requests};
  atomic_store(&memory->waiting, (uint32_t)waiting);
  wake(link->end.out);
  return link;
}

int ring_run(ring_link* link, size_t calls, size_t outstanding) {
  end* e = &link->end;
  const uint64_t until = e->received + calls;
  while (e->received < until) {
    for (; e->sent - e->received < outstanding;) {
      const uint64_t request[RING_REQUEST_BYTES / 8] = {e->sent};
      publish(e, request, sizeof request);
    }
    if (!await(e, 1, RING_TIMEOUT_NS)) return 0;
    do {
      uint64_t reply;
      take(e, &reply, sizeof reply);
      if (reply != e->received) return 0;
    } while (e->received < until && e->received < e->sent && there(e));
  }
  return 1;
}

void ring_close(ring_link* link) {
  munmap(link->end.memory, sizeof(shared));
  free(link);
}
