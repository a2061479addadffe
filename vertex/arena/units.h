/* The units of a pooled segment: which are taken, and which have pages (are warm). At a fork those
 * that are taken become old: a child may read them, so they are held back when they are given, and
 * stay taken until it is gone. */
#ifndef DCF_UNITS_H
#define DCF_UNITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct dcf_units {
  size_t words;   /* of each bitmap */
  size_t taken;   /* units */
  size_t warm;    /* units that are free and warm */
  size_t most[2]; /* no run of free units is longer: any; warm ones */
  uint64_t* free_bits;
  uint64_t* warm_bits;
  uint64_t* old_bits;
  uint64_t* held_bits;
} dcf_units;

/* `count` units, a multiple of 64, all free and cold. 0: no memory. */
int dcf_units_open(dcf_units* u, size_t count);
void dcf_units_close(dcf_units* u);

/* Finds the first run of n free units; all of them warm where `warm`. */
int dcf_units_find(dcf_units* u, size_t n, int warm, size_t* first);
/* Finds free units that are cold, and says how many there are in a row, at most `most`. */
size_t dcf_units_cold(const dcf_units* u, size_t most, size_t* first);
/* Finds free units that are warm, and says how many there are in a row. */
size_t dcf_units_warm(const dcf_units* u, size_t* first);

/* Takes free units, and says how many were warm. */
size_t dcf_units_take(dcf_units* u, size_t first, size_t n);
/* Gives taken units back. */
void dcf_units_give(dcf_units* u, size_t first, size_t n, int warm);

/* Makes all that are taken old. */
void dcf_units_age(dcf_units* u);
/* Whether one of the units is old. */
int dcf_units_old(const dcf_units* u, size_t first, size_t n);
/* Holds back taken units that are given. */
void dcf_units_hold(dcf_units* u, size_t first, size_t n);
/* Gives those that were held back, which are warm, and says how many; none is old any more. */
size_t dcf_units_unhold(dcf_units* u);

/* Whether no unit is taken or warm. */
int dcf_units_empty(const dcf_units* u);

#endif
