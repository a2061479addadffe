#include "arena.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

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
static _Atomic size_t used_bytes;

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
  int keep = kept_bytes + bytes <= keep_limit;
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
  void* block;
  if (size >= DCF_ARENA_LARGE) {
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
  if (size >= DCF_ARENA_LARGE)
    free_large(block, size);
  else
    free(block);
}

void dcf_arena_keep(size_t bytes) {
  pthread_mutex_lock(&lock);
  keep_limit = bytes;
  for (int c = CLASSES - 1; c >= 0; c--) {
    size_t base = (size_t)1 << (FIRST_SHIFT + c / STEPS);
    size_t size = base + (base / STEPS) * (size_t)(c % STEPS);
    while (kept_bytes > keep_limit && kept[c]) {
      kept_block* block = kept[c];
      kept[c] = block->next;
      kept_bytes -= size;
      munmap(block, size);
    }
  }
  pthread_mutex_unlock(&lock);
}

void dcf_arena_usage(size_t* used, size_t* kept_out) {
  *used = atomic_load_explicit(&used_bytes, memory_order_relaxed);
  pthread_mutex_lock(&lock);
  *kept_out = kept_bytes;
  pthread_mutex_unlock(&lock);
}
