#include "units.h"

#include <stdlib.h>
#include <string.h>

int dcf_units_open(dcf_units* u, size_t count) {
  u->words = count / 64;
  u->taken = u->warm = 0;
  u->most[0] = count;
  u->most[1] = 0;
  u->free_bits = calloc(4 * u->words, sizeof *u->free_bits);
  if (!u->free_bits) return 0;
  u->warm_bits = u->free_bits + u->words;
  u->old_bits = u->warm_bits + u->words;
  u->held_bits = u->old_bits + u->words;
  for (size_t i = 0; i < u->words; i++) u->free_bits[i] = ~UINT64_C(0);
  return 1;
}

void dcf_units_close(dcf_units* u) { free(u->free_bits); }

/* The bits of word i: units that are free and, where `warm`, warm. */
static uint64_t candidates(const dcf_units* u, size_t i, int warm) {
  return warm ? u->free_bits[i] & u->warm_bits[i] : u->free_bits[i];
}

int dcf_units_find(dcf_units* u, size_t n, int warm, size_t* first) {
  if (n > u->most[warm]) return 0;
  size_t run = 0; /* of candidates in front of what is looked at */
  for (size_t i = 0; i < u->words; i++) {
    uint64_t bits = candidates(u, i, warm);
    for (size_t at = 0; at < 64;) {
      uint64_t rest = bits >> at;
      size_t same; /* bits in a row */
      if (rest & 1) {
        same = ~rest ? (size_t)__builtin_ctzll(~rest) : 64;
        run += same;
        if (run >= n) {
          *first = i * 64 + at + same - run;
          return 1;
        }
      } else {
        same = rest ? (size_t)__builtin_ctzll(rest) : 64 - at;
        run = 0;
      }
      at += same;
    }
  }
  u->most[warm] = n - 1;
  return 0;
}

/* The length of the first run of units that `bits_of` gives, at most `most`. */
static size_t first_run(const dcf_units* u, uint64_t (*bits_of)(const dcf_units*, size_t),
                        size_t most, size_t* first) {
  size_t run = 0;
  for (size_t i = 0; i < u->words; i++) {
    uint64_t bits = bits_of(u, i);
    for (size_t at = 0; at < 64; at++) {
      if (bits >> at & 1) {
        if (!run) *first = i * 64 + at;
        if (++run == most) return run;
      } else if (run) {
        return run;
      }
    }
  }
  return run;
}

static uint64_t cold_bits(const dcf_units* u, size_t i) {
  return u->free_bits[i] & ~u->warm_bits[i];
}

static uint64_t warm_bits(const dcf_units* u, size_t i) {
  return u->free_bits[i] & u->warm_bits[i];
}

size_t dcf_units_cold(const dcf_units* u, size_t most, size_t* first) {
  return first_run(u, cold_bits, most, first);
}

size_t dcf_units_warm(const dcf_units* u, size_t* first) {
  return first_run(u, warm_bits, SIZE_MAX, first);
}

/* The bits of units [first, first+n) that are in the word of unit `first`, and their number. */
static uint64_t mask_of(size_t first, size_t n, size_t* in_word) {
  size_t at = first % 64;
  *in_word = n < 64 - at ? n : 64 - at;
  return (*in_word == 64 ? ~UINT64_C(0) : (UINT64_C(1) << *in_word) - 1) << at;
}

size_t dcf_units_take(dcf_units* u, size_t first, size_t n) {
  size_t warm = 0;
  u->taken += n;
  for (size_t k; n; first += k, n -= k) {
    uint64_t mask = mask_of(first, n, &k);
    warm += (size_t)__builtin_popcountll(u->warm_bits[first / 64] & mask);
    u->free_bits[first / 64] &= ~mask;
  }
  u->warm -= warm;
  return warm;
}

void dcf_units_give(dcf_units* u, size_t first, size_t n, int warm) {
  u->taken -= n;
  u->most[0] = u->most[1] = u->words * 64;
  if (warm) u->warm += n;
  for (size_t k; n; first += k, n -= k) {
    uint64_t mask = mask_of(first, n, &k);
    u->free_bits[first / 64] |= mask;
    u->old_bits[first / 64] &= ~mask;
    if (warm)
      u->warm_bits[first / 64] |= mask;
    else
      u->warm_bits[first / 64] &= ~mask;
  }
}

void dcf_units_age(dcf_units* u) {
  for (size_t i = 0; i < u->words; i++) u->old_bits[i] |= ~u->free_bits[i];
}

int dcf_units_old(const dcf_units* u, size_t first, size_t n) {
  for (size_t k; n; first += k, n -= k)
    if (u->old_bits[first / 64] & mask_of(first, n, &k)) return 1;
  return 0;
}

void dcf_units_hold(dcf_units* u, size_t first, size_t n) {
  for (size_t k; n; first += k, n -= k) u->held_bits[first / 64] |= mask_of(first, n, &k);
}

size_t dcf_units_unhold(dcf_units* u) {
  size_t held = 0;
  for (size_t i = 0; i < u->words; i++) {
    held += (size_t)__builtin_popcountll(u->held_bits[i]);
    u->free_bits[i] |= u->held_bits[i];
    u->warm_bits[i] |= u->held_bits[i];
  }
  memset(u->old_bits, 0, 2 * u->words * sizeof *u->old_bits); /* and held_bits behind it */
  u->taken -= held;
  u->warm += held;
  u->most[0] = u->most[1] = u->words * 64;
  return held;
}

int dcf_units_empty(const dcf_units* u) { return u->taken == 0 && u->warm == 0; }
