#include "arena.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "segment.h"

/* Size classes of large blocks: each power of two in four steps, so at most a fifth is wasted. The
 * last class holds 2^46 bytes. */
#define FIRST_SHIFT 18
#define STEPS 4
#define CLASSES ((46 - FIRST_SHIFT) * STEPS)
#define DEFAULT_KEEP ((size_t)512 << 20)

/* A kept block starts with the link to the next one of its class. */
typedef struct kept_block {
  struct kept_block* next;
} kept_block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static kept_block* kept[CLASSES];        /* under lock */
static size_t kept_bytes;                /* under lock */
static size_t keep_limit = DEFAULT_KEEP; /* under lock */
static int shared;                       /* under lock: large blocks lie in segments */
static _Atomic size_t used_bytes;

static void before_fork(void) {
  pthread_mutex_lock(&lock);
  dcf_segments_before_fork();
}

static void in_parent(void) {
  dcf_segments_after_fork(0);
  pthread_mutex_unlock(&lock);
}

static void in_child(void) {
  dcf_segments_after_fork(1);
  pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void watch_forks(void) {
  pthread_atfork(before_fork, in_parent, in_child);
}

/* The smallest class that holds `size`, and its size in *out; -1 if there is none. */
static int class_of(size_t size, size_t* out) {
  for (int c = 0; c < CLASSES; c++) {
    size_t base = (size_t)1 << (FIRST_SHIFT + c / STEPS);
    size_t bytes = base + (base / STEPS) * (size_t)(c % STEPS);
    if (size <= bytes) {
      *out = bytes;
      return c;
    }
  }
  return -1;
}

int dcf_arena_class(size_t size, size_t* out) { return class_of(size, out) >= 0; }

static void* alloc_large(size_t size) {
  size_t bytes;
  int c = class_of(size, &bytes);
  if (c < 0) return NULL;
  pthread_mutex_lock(&lock);
  kept_block* block = kept[c];
  if (block) {
    kept[c] = block->next;
    kept_bytes -= bytes;
  }
  pthread_mutex_unlock(&lock);
  if (block) return block;
  void* fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return fresh == MAP_FAILED ? NULL : fresh;
}

static void free_large(void* memory, size_t size) {
  size_t bytes;
  int c = class_of(size, &bytes);
  if (c < 0) return;
  pthread_mutex_lock(&lock);
  int keep = !shared && kept_bytes + bytes <= keep_limit; /* the next one lies in a segment */
  if (keep) {
    kept_block* block = memory;
    block->next = kept[c];
    kept[c] = block;
    kept_bytes += bytes;
  }
  pthread_mutex_unlock(&lock);
  if (!keep) munmap(memory, bytes);
}

void* dcf_arena_alloc(size_t size) {
  void* block = dcf_segments_alloc(size);
  if (block) {
    /* lies in a segment */
  } else if (size >= DCF_ARENA_LARGE) {
    block = alloc_large(size);
  } else {
    size_t rounded = (size + DCF_ARENA_ALIGN - 1) & ~(size_t)(DCF_ARENA_ALIGN - 1);
    block = aligned_alloc(DCF_ARENA_ALIGN, rounded ? rounded : DCF_ARENA_ALIGN);
  }
  if (block) atomic_fetch_add_explicit(&used_bytes, size, memory_order_relaxed);
  return block;
}

void dcf_arena_free(void* block, size_t size) {
  if (!block) return;
  atomic_fetch_sub_explicit(&used_bytes, size, memory_order_relaxed);
  if (dcf_segments_have(block))
    dcf_segments_free(block, size);
  else if (size >= DCF_ARENA_LARGE)
    free_large(block, size);
  else
    free(block);
}

/* Gives kept blocks to the system until no more than `most` bytes are left. */
static void trim(size_t most) {
  for (int c = CLASSES - 1; c >= 0; c--) {
    size_t base = (size_t)1 << (FIRST_SHIFT + c / STEPS);
    size_t size = base + (base / STEPS) * (size_t)(c % STEPS);
    while (kept_bytes > most && kept[c]) {
      kept_block* block = kept[c];
      kept[c] = block->next;
      kept_bytes -= size;
      munmap(block, size);
    }
  }
}

/* From this size on a copy goes past the processor's cache: of so many bytes the reader would find
 * little there, and each line would be read before it is written. Below it, the cache is worth more
 * to the reader than that costs. */
#define STREAMED ((size_t)32 << 20)

/* Copies whole lines of 64 bytes to an aligned place. */
static void stream(char* to, const char* from, size_t lines) {
#ifdef __SSE2__
  for (; lines > 0; lines--, to += 64, from += 64) {
    __m128i part[4];
    for (int i = 0; i < 4; i++) part[i] = _mm_loadu_si128((const __m128i*)from + i);
    for (int i = 0; i < 4; i++) _mm_stream_si128((__m128i*)to + i, part[i]);
  }
  _mm_sfence();
#else
  memcpy(to, from, lines * 64);
#endif
}

void dcf_arena_copy(void* to, const void* from, size_t size) {
  size_t done = 0;
  if (size >= STREAMED && (uintptr_t)to % 64 == 0) {
    done = size - size % 64;
    stream(to, from, done / 64);
  }
  memcpy((char*)to + done, (const char*)from + done, size - done);
}

void dcf_arena_keep(size_t bytes) {
  pthread_mutex_lock(&lock);
  keep_limit = bytes;
  trim(bytes);
  pthread_mutex_unlock(&lock);
  dcf_segments_keep(bytes);
}

int dcf_arena_share(size_t limit) {
  pthread_mutex_lock(&lock);
  int err = dcf_segments_open(limit, keep_limit);
  if (!err) {
    shared = 1;
    trim(0);
  }
  pthread_mutex_unlock(&lock);
  return err;
}

void dcf_arena_usage(size_t* used, size_t* kept_out) {
  dcf_segments_usage segments;
  dcf_segments_count(&segments);
  *used = atomic_load_explicit(&used_bytes, memory_order_relaxed);
  pthread_mutex_lock(&lock);
  *kept_out = kept_bytes + segments.kept;
  pthread_mutex_unlock(&lock);
}
