/* A vertex as its owner keeps it, and how readers hold its versions: what a local call reads, laid
 * out so that C reads it as package store does. Only package store writes here, but for pins. */
#ifndef DCF_VERTEX_H
#define DCF_VERTEX_H

#include "batch.h"
#include "views.h"

/* An immutable list of vertex ids of 16 bytes; the first lies right behind the struct. */
typedef struct dcf_id_list {
  _Atomic int32_t refs;
  uint32_t count;
  uint8_t reserved[56];
} dcf_id_list;

/* One state of a vertex. It does not change, but for its views. */
typedef struct dcf_vertex_version {
  uint64_t number;
  dcf_batch* batch;           /* NULL: no value */
  struct ArrowSchema* schema; /* the batch's, here so that a call need not look there */
  struct ArrowArray* array;
  dcf_id_list* children; /* NULL: none */
  dcf_views views;
  uint32_t index;
  uint32_t group; /* a call on the vertex runs on its children instead */
  uint64_t reserved;
} dcf_vertex_version;

/* One vertex. What it points to is read under a pin. */
typedef struct dcf_record {
  uint8_t id[16];
  _Atomic(dcf_vertex_version*) current; /* NULL: the vertex was dropped */
  _Atomic(dcf_id_list*) parents;        /* NULL: none known */
  void* name;
  uint32_t name_size;
  uint32_t index;
  _Atomic uint32_t lock;
  _Atomic int32_t refs;
  uint64_t birth; /* no other vertex of that id has it */
} dcf_record;

#define DCF_MAX_PINS 1024

/* A reader's place, in a cache line of its own. */
typedef struct dcf_pin {
  _Atomic uint64_t word; /* 0: free; else twice the epoch at which its holder began, plus one */
  int64_t calls;         /* that ran under it and needed nothing else; its holder counts */
  uint8_t reserved[48];
} dcf_pin;

/* The pins of one store, which tell when nobody can be reading what was unlinked: see package
 * store. The memory is never freed: whoever has its address may pin at any time, and looks
 * afterwards whether it still is what he meant. */
typedef struct dcf_epochs {
  _Atomic uint64_t current;
  uint32_t home;             /* how many pins are tried first: a power of two */
  _Atomic uint32_t pressing; /* much waits for its readers: whoever unpins asks for a look at it */
  _Atomic int64_t overflow;  /* readers on pins beyond home */
  uint8_t reserved[40];
  dcf_pin pins[DCF_MAX_PINS];
} dcf_epochs;

#endif
