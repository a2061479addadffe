#define _GNU_SOURCE
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "units.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* since Linux 6.3 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14 */
#endif

typedef struct dcf_segment {
  uint64_t id;
  char* base;
  size_t size;
  int fd;
  int whole;       /* is one block */
  int busy;        /* that block is handed out, or on its way to the system */
  int old;         /* it was busy at a fork */
  dcf_units units; /* of a pooled segment */
} segment;

dcf_segment_range dcf_segments;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and of slots to change */
static segment* segments[DCF_MAX_SEGMENTS];
static size_t segment_count;
static size_t total;      /* bytes of all segments */
static size_t pooled;     /* of those, in pooled ones */
static size_t limit;      /* of total */
static size_t kept;       /* bytes that are free and have pages */
static size_t keep_limit; /* of kept */
static uint64_t last_id;
static uint64_t refused;
static int strict; /* the system gives a page only where memory for it is left: see populate */

static _Atomic int forked;

/* ---- Forks ----------------------------------------------------------------- */

/* A child has the same segments, and may read what was in use when it began. So such memory is not
 * recycled while there is a child that did not go on to another program: each of them, and theirs,
 * has an end to write to of a pipe, of which `children` is the end to read from. */
static int children = -1;
static int child_end = -1; /* to write to, during a fork */
static int has_children;   /* there were some at the last look */
static size_t held;        /* bytes that are held back for them, at most keep_limit */

/* Opens a descriptor of this process anew. */
static int reopen(int fd, int flags) {
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, flags | O_CLOEXEC);
}

static void open_children(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return; /* children are not looked after */
  children = ends[0];
  close(ends[1]);
}

void dcf_segments_before_fork(void) {
  pthread_mutex_lock(&lock);
  if (children >= 0 && segment_count && !atomic_load(&forked))
    child_end = reopen(children, O_WRONLY | O_NONBLOCK);
}

void dcf_segments_after_fork(int child) {
  if (child) {
    atomic_store(&forked, 1);
    has_children = 0;
  } else if (child_end >= 0) {
    close(child_end);
    has_children = 1;
    for (size_t i = 0; i < segment_count; i++) {
      segment* s = segments[i];
      s->old |= s->busy;
      if (!s->whole) dcf_units_age(&s->units);
    }
  }
  if (!child) child_end = -1;
  pthread_mutex_unlock(&lock);
}

/* Looks whether children are gone, and ends what was for them. */
static void look_for_children(void) {
  if (!has_children) return;
  struct pollfd end = {children, 0, 0};
  if (poll(&end, 1, 0) != 1 || !(end.revents & POLLHUP)) return;
  has_children = 0;
  for (size_t i = 0; i < segment_count; i++) {
    segment* s = segments[i];
    s->old = 0;
    if (!s->whole) kept += DCF_SEGMENT_UNIT * dcf_units_unhold(&s->units);
  }
  held = 0;
}

int dcf_arena_forked(void) { return atomic_load_explicit(&forked, memory_order_relaxed); }

/* ---- The range ------------------------------------------------------------ */

static int overcommit_is_strict(void) {
  char mode = '0';
  int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  if (read(fd, &mode, 1) != 1) mode = '0';
  close(fd);
  return mode == '2';
}

/* Reserves addresses: a slot more than the range has, so that there is space in front of it. Where
 * addresses are limited, a smaller range has to do. */
static int reserve_range(void) {
  for (size_t slots = DCF_SEGMENT_SLOTS; slots >= 8; slots /= 2) {
    size_t size = slots * DCF_SEGMENT_SLOT;
    char* start = mmap(NULL, size + DCF_SEGMENT_SLOT, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) continue;
    atomic_store(&dcf_segments.size, size);
    atomic_store(&dcf_segments.base, (uintptr_t)start + DCF_SEGMENT_SLOT);
    return 0;
  }
  return ENOMEM;
}

int dcf_segments_open(size_t bytes, size_t keep) {
  int err = 0;
  pthread_mutex_lock(&lock);
  if (atomic_load(&forked)) {
    err = EPERM;
  } else if (!atomic_load(&dcf_segments.base)) {
    limit = bytes;
    keep_limit = keep;
    strict = overcommit_is_strict();
    err = reserve_range();
    if (!err) open_children();
  }
  pthread_mutex_unlock(&lock);
  return err;
}

static dcf_segment_slot* slot_of(const void* block) {
  return &dcf_segments.slots[((uintptr_t)block - dcf_segments.base) / DCF_SEGMENT_SLOT];
}

/* How many slots a segment takes, the page after it included. */
static size_t slots_for(size_t size) { return size / DCF_SEGMENT_SLOT + 1; }

/* The first of n slots that are free, or NULL. */
static dcf_segment_slot* free_slots(size_t n) {
  size_t run = 0, all = dcf_segments.size / DCF_SEGMENT_SLOT;
  for (size_t i = 0; i < all; i++) {
    run = dcf_segments.slots[i].segment ? 0 : run + 1;
    if (run == n) return &dcf_segments.slots[i + 1 - n];
  }
  return NULL;
}

/* ---- Segments ------------------------------------------------------------- */

/* A sealed file of that size, which only its owner may open. -1: there is none. */
static int create_file(size_t size) {
  int fd = memfd_create("dcf", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("dcf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  if (fchmod(fd, S_IRUSR) == 0 && ftruncate(fd, (off_t)size) == 0 &&
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return fd;
  close(fd);
  return -1;
}

/* A segment of that size, a multiple of a unit; NULL where a limit or the system is against it. */
static segment* open_segment(size_t size, int whole) {
  if (segment_count == DCF_MAX_SEGMENTS || size > limit || total > limit - size) return NULL;
  size_t slots = slots_for(size);
  dcf_segment_slot* slot = free_slots(slots);
  segment* s = slot ? calloc(1, sizeof *s) : NULL;
  if (!s) return NULL;
  uint64_t start = (uint64_t)(slot - dcf_segments.slots) * DCF_SEGMENT_SLOT;
  s->base = (char*)dcf_segments.base + start;
  s->size = size;
  s->whole = s->busy = whole;
  s->fd = create_file(size);
  if (s->fd < 0 || (!whole && !dcf_units_open(&s->units, size / DCF_SEGMENT_UNIT))) goto fail;
  if (mmap(s->base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->fd, 0) == MAP_FAILED)
    goto fail;
  s->id = ++last_id;
  for (size_t i = 0; i < slots; i++) {
    atomic_store(&slot[i].start, start);
    atomic_store(&slot[i].id, s->id);
    slot[i].segment = s;
  }
  segments[segment_count++] = s;
  total += size;
  if (!whole) pooled += size;
  return s;

fail:
  if (s->fd >= 0) close(s->fd);
  dcf_units_close(&s->units);
  free(s);
  return NULL;
}

/* Gives a segment back that nobody uses. */
static void close_segment(segment* s) {
  size_t slots = slots_for(s->size), i = 0;
  dcf_segment_slot* slot = slot_of(s->base);
  /* Where even this fails the addresses stay as they are, and taken: no memory, no harm. */
  void* gone = mmap(s->base, s->size, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  for (size_t k = 0; k < slots && gone != MAP_FAILED; k++) {
    atomic_store(&slot[k].id, 0);
    slot[k].segment = NULL;
  }
  close(s->fd);
  while (segments[i] != s) i++;
  segments[i] = segments[--segment_count];
  total -= s->size;
  if (!s->whole) pooled -= s->size;
  dcf_units_close(&s->units);
  if (gone != MAP_FAILED) free(s);
}

/* Gives pages to memory. 0, or -1 where the system has none: for a file without a name it tells so
 * only here; who touches a page that it has not gets a signal. */
static int populate(const segment* s, void* from, size_t size) {
  if (madvise(from, size, MADV_POPULATE_WRITE) == 0) return 0;
  if (errno != EINVAL) return -1;
  return fallocate(s->fd, 0, (char*)from - s->base, (off_t)size);
}

/* ---- Pooled segments ------------------------------------------------------ */

static size_t units_for(size_t size) { return (size + DCF_SEGMENT_UNIT - 1) / DCF_SEGMENT_UNIT; }

/* Hands a run out. */
static void* take_run(segment* s, size_t first, size_t n) {
  kept -= DCF_SEGMENT_UNIT * dcf_units_take(&s->units, first, n);
  return s->base + first * DCF_SEGMENT_UNIT;
}

/* A run of a segment that is there: one that has its pages, or any. */
static void* find_run(size_t n, int warm) {
  for (size_t i = 0; i < segment_count; i++) {
    size_t first;
    if (!segments[i]->whole && dcf_units_find(&segments[i]->units, n, warm, &first))
      return take_run(segments[i], first, n);
  }
  return NULL;
}

/* The size of the next pooled segment: as large as a sixteenth of what there is. */
static size_t next_pool(void) {
  size_t size = pooled / 16 / DCF_SEGMENT_SLOT * DCF_SEGMENT_SLOT;
  return size < DCF_POOL_MIN ? DCF_POOL_MIN : size > DCF_POOL_MAX ? DCF_POOL_MAX : size;
}

static void* alloc_pooled(size_t size) {
  size_t n = units_for(size);
  void* block = find_run(n, 1);
  if (!block) block = find_run(n, 0);
  if (block) return block;
  segment* s = open_segment(next_pool(), 0);
  return s ? take_run(s, 0, n) : NULL;
}

/* Gives the pages of a run that is taken to the system, without the lock meanwhile, and says
 * whether they are gone. */
static int drop_pages(char* from, size_t size) {
  pthread_mutex_unlock(&lock);
  int gone = madvise(from, size, MADV_REMOVE) == 0;
  pthread_mutex_lock(&lock);
  return gone;
}

/* Frees a run that is taken. */
static void free_run(segment* s, char* block, size_t n) {
  size_t bytes = n * DCF_SEGMENT_UNIT, first = (size_t)(block - s->base) / DCF_SEGMENT_UNIT;
  if (has_children && dcf_units_old(&s->units, first, n) && held + bytes <= keep_limit) {
    dcf_units_hold(&s->units, first, n);
    held += bytes;
    return;
  }
  int warm = kept + bytes <= keep_limit || !drop_pages(block, bytes);
  dcf_units_give(&s->units, first, n, warm);
  if (warm)
    kept += bytes;
  else if (dcf_units_empty(&s->units))
    close_segment(s);
}

/* ---- Whole segments -------------------------------------------------------- */

/* A whole segment that is free, of that size, or of any where it is 0. */
static segment* free_whole(size_t size) {
  for (size_t i = 0; i < segment_count; i++) {
    segment* s = segments[i];
    if (s->whole && !s->busy && (!size || s->size == size)) return s;
  }
  return NULL;
}

static void close_free_whole(segment* s) {
  kept -= s->size;
  madvise(s->base, s->size, MADV_REMOVE); /* peers that map it still would keep its pages */
  close_segment(s);
}

static void* alloc_whole(size_t size) {
  size_t bytes;
  if (!dcf_arena_class(size, &bytes)) return NULL;
  segment* s = free_whole(bytes);
  if (s) {
    s->busy = 1;
    kept -= s->size;
    return s->base;
  }
  void* block = find_run(units_for(size), 1);
  if (block) return block;
  s = open_segment(bytes, 1);
  for (segment* other; !s && (other = free_whole(0));) {
    close_free_whole(other);
    s = open_segment(bytes, 1);
  }
  return s ? s->base : NULL;
}

static void free_whole_block(segment* s) {
  if (has_children && s->old) { /* it stays theirs */
    close_segment(s);
    return;
  }
  if (kept + s->size <= keep_limit) {
    s->busy = s->old = 0;
    kept += s->size;
    return;
  }
  /* That many pages take their time, so the lock is not held: nobody finds the segment. */
  drop_pages(s->base, s->size);
  close_segment(s);
}

/* ---- Blocks ---------------------------------------------------------------- */

void* dcf_segments_alloc(size_t size) {
  if (size < DCF_SHARED_LARGE || !atomic_load_explicit(&dcf_segments.base, memory_order_relaxed))
    return NULL;
  pthread_mutex_lock(&lock);
  void* block = NULL;
  look_for_children();
  if (!atomic_load(&forked)) block = size > DCF_POOLED_MAX ? alloc_whole(size) : alloc_pooled(size);
  if (!block) refused++;
  segment* s = block ? slot_of(block)->segment : NULL;
  int fill = block && strict;
  pthread_mutex_unlock(&lock);
  if (fill && populate(s, block, size) != 0) {
    dcf_segments_free(block, size);
    pthread_mutex_lock(&lock);
    refused++;
    pthread_mutex_unlock(&lock);
    return NULL;
  }
  return block;
}

void dcf_segments_free(void* block, size_t size) {
  pthread_mutex_lock(&lock);
  if (!atomic_load(&forked)) {
    look_for_children();
    segment* s = slot_of(block)->segment;
    if (s->whole)
      free_whole_block(s);
    else
      free_run(s, block, units_for(size));
  }
  pthread_mutex_unlock(&lock);
}

void dcf_segments_reserve(size_t bytes) {
  pthread_mutex_lock(&lock);
  while (!atomic_load(&forked) && pooled < bytes) {
    size_t size = (bytes - pooled + DCF_POOL_MIN - 1) / DCF_POOL_MIN * DCF_POOL_MIN;
    if (!open_segment(size < DCF_POOL_MAX ? size : DCF_POOL_MAX, 0)) break;
  }
  pthread_mutex_unlock(&lock);
}

size_t dcf_segments_warm(size_t bytes) {
  segment* s = NULL;
  size_t first = 0, n = 0, most = bytes / DCF_SEGMENT_UNIT;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < segment_count && !n && !atomic_load(&forked); i++) {
    s = segments[i];
    if (!s->whole) n = dcf_units_cold(&s->units, most, &first);
  }
  if (kept + n * DCF_SEGMENT_UNIT > keep_limit) n = 0;
  char* from = n ? take_run(s, first, n) : NULL;
  pthread_mutex_unlock(&lock);
  if (!n) return 0;
  int done = populate(s, from, n * DCF_SEGMENT_UNIT) == 0;
  pthread_mutex_lock(&lock);
  dcf_units_give(&s->units, first, n, done);
  if (done) kept += n * DCF_SEGMENT_UNIT;
  pthread_mutex_unlock(&lock);
  return done ? n * DCF_SEGMENT_UNIT : 0;
}

/* Gives the pages of one free run back; 0 where there is none, or the system does not take them. */
static int trim_one(void) {
  for (size_t i = 0; i < segment_count; i++) {
    segment* s = segments[i];
    size_t first, n = s->whole ? 0 : dcf_units_warm(&s->units, &first);
    if (!n) continue;
    size_t before = kept;
    free_run(s, take_run(s, first, n), n);
    return kept < before;
  }
  return 0;
}

void dcf_segments_keep(size_t bytes) {
  pthread_mutex_lock(&lock);
  if (!atomic_load(&forked)) {
    look_for_children();
    keep_limit = bytes;
    for (segment* s; kept > keep_limit && (s = free_whole(0));) close_free_whole(s);
    while (kept > keep_limit && trim_one()) {
    }
  }
  pthread_mutex_unlock(&lock);
}

void dcf_segments_count(dcf_segments_usage* out) {
  pthread_mutex_lock(&lock);
  look_for_children();
  *out = (dcf_segments_usage){segment_count, total, kept + held, refused,
                              segment_count + (children >= 0)};
  pthread_mutex_unlock(&lock);
}

int dcf_segments_has(uint64_t id) {
  int found = 0;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < segment_count && !found; i++) found = segments[i]->id == id;
  pthread_mutex_unlock(&lock);
  return found;
}

int dcf_segments_file(uint64_t id, size_t* size) {
  int fd = -ENOENT;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < segment_count; i++) {
    if (segments[i]->id != id) continue;
    fd = reopen(segments[i]->fd, O_RDONLY);
    if (fd < 0) fd = -errno;
    *size = segments[i]->size;
  }
  pthread_mutex_unlock(&lock);
  return fd;
}
