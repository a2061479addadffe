/* How Go and C speak about native functions. Everything here lies outside the Go heap, so the
 * structs that Go fills hold addresses as integers. */
#ifndef DCF_NATIVE_H
#define DCF_NATIVE_H

#include <string.h>

#include "dcf.h"

/* Copies a part: a number, mostly, which takes no call. */
static inline void dcf_native_copy(void* to, const void* from, size_t size) {
  if (size == sizeof(uint64_t)) {
    memcpy(to, from, sizeof(uint64_t));
  } else if (size) {
    memcpy(to, from, size);
  }
}

/* Limits of one callback; native.go checks that they equal those of package udf. */
#define DCF_NATIVE_MAX_SPAWNS (1u << 20)
#define DCF_NATIVE_MAX_EFFECTS (1u << 20)
#define DCF_NATIVE_MAX_LOG_BYTES 4096u
#define DCF_NATIVE_MAX_LOGS 256u
#define DCF_NATIVE_MAX_NAME_BYTES 255u
#define DCF_NATIVE_INLINE_BYTES 40u

/* A run of bytes in dcf_native_rare.text. */
typedef struct dcf_native_text {
  size_t offset;
  size_t size;
} dcf_native_text;

/* A record batch that moved in. Go moves it on; what it leaves is released. */
typedef struct dcf_native_arrow {
  struct ArrowSchema schema;
  struct ArrowArray array;
} dcf_native_arrow;

#define DCF_NATIVE_NO_ARROW SIZE_MAX

typedef struct dcf_native_spawn {
  dcf_vertex_id target;
  dcf_native_text udf;
  dcf_native_text arguments;
  size_t arrow; /* index into arrows, or DCF_NATIVE_NO_ARROW */
  uint64_t flags;
} dcf_native_spawn;

/* The kinds are those of udf.EffectKind. */
#define DCF_NATIVE_SET_VALUE 1u
#define DCF_NATIVE_ADD_CHILD 2u
#define DCF_NATIVE_LINK 3u
#define DCF_NATIVE_UNLINK 4u
#define DCF_NATIVE_REMOVE 5u

typedef struct dcf_native_effect {
  dcf_vertex_id id;
  dcf_native_text name;
  size_t arrow;
  uint64_t kind;
} dcf_native_effect;

typedef struct dcf_native_log {
  dcf_native_text text;
  int64_t level;
} dcf_native_log;

/* What most callbacks never use. Each list grows by doubling, to memory of its own. */
typedef struct dcf_native_rare {
  dcf_native_spawn* spawns;
  size_t spawn_count, spawn_room;
  dcf_native_effect* effects;
  size_t effect_count, effect_room;
  dcf_native_arrow* arrows;
  size_t arrow_count, arrow_room;
  dcf_native_log* logs;
  size_t log_count, log_room;
  char* text;
  size_t text_size, text_room;
  dcf_native_text failure;
  size_t part; /* index into arrows, where part_kind is DCF_NATIVE_PART_ARRAY */
  uint32_t failed;
  uint32_t first_child; /* the id that Go chose is given away */
  uint32_t owns;        /* something is to be freed: a list with memory of its own */
  uint32_t reserved;
} dcf_native_rare;

/* The first spawns, and so much text, need no other memory. */
#define DCF_NATIVE_INLINE_SPAWNS 4
#define DCF_NATIVE_INLINE_TEXT 64

/* A dcf_native_rare, and where its lists begin. */
typedef struct dcf_native_room {
  dcf_native_rare rare;
  dcf_native_spawn spawns[DCF_NATIVE_INLINE_SPAWNS];
  char text[DCF_NATIVE_INLINE_TEXT];
} dcf_native_room;

#define DCF_NATIVE_PART_NONE 0u
#define DCF_NATIVE_PART_BYTES 1u
#define DCF_NATIVE_PART_ARRAY 2u

/* One output. Go clears it up to `small`, and frees `block` and what `rare` owns afterwards. */
typedef struct dcf_native_output {
  dcf_output base;
  void* part; /* of part_size bytes: `small`, or `block` */
  size_t part_size;
  void* block; /* an arena block of block_size bytes, or NULL */
  size_t block_size;
  dcf_native_rare* rare; /* NULL, or in `room` */
  uint32_t part_kind;
  dcf_status status; /* what the callback returned */
  uint32_t is_fold;  /* a merge or finish: no effects, no spawns */
  uint32_t wants_log;
  dcf_vertex_id child; /* the id of the first child without a name; its first half is that of all */
  uint32_t has_child;  /* `child` is set */
  uint32_t reserved;
  unsigned char small[DCF_NATIVE_INLINE_BYTES];
  dcf_native_room room;
} dcf_native_output;

extern const dcf_output_api dcf_native_api;

/* A function without updates and finish, for callers in C: what dcf_native_calculate is given by
 * Go. It lives as long as the function's program. */
typedef struct dcf_native_program {
  dcf_calculate_fn calculate;
  void* user_data;
  dcf_bytes auxiliary;
  uint32_t flags; /* DCF_UDF_ */
  uint32_t reserved;
} dcf_native_program;

/* Runs calculate on one input, of which `output` need not be initialised. Go takes what cannot be
 * used as it is: dcf_native_plain says whether the caller may. */
void dcf_native_once(const dcf_native_program* program, const dcf_udf_input* input,
                     dcf_native_output* output);
/* Whether an output is nothing but no part, or a part in bytes that lies in the output itself. */
static inline int dcf_native_plain(const dcf_native_output* output) {
  return output->status == DCF_OK && !output->rare && !output->block &&
         output->part_kind <= DCF_NATIVE_PART_BYTES;
}

/* Runs calculate on `count` inputs. */
void dcf_native_calculate(dcf_calculate_fn calculate, uintptr_t user_data, uintptr_t inputs,
                          uintptr_t outputs, size_t count, uint32_t updates);
void dcf_native_fold(dcf_merge_fn fold, uintptr_t user_data, uintptr_t input, uintptr_t output);

/* Frees `rare` and what was not moved out of it. */
void dcf_native_free_rare(uintptr_t rare);

/* How many updating callbacks run in the process. */
extern _Atomic uint32_t dcf_native_updates_running;
/* Whether this thread is inside a callback; inside one of an updating function. */
int dcf_native_in_callback(void);
int dcf_native_in_update(void);

/* The id of a named vertex: see vertex.NameID. */
dcf_vertex_id dcf_native_name_id(const void* name, size_t size);

void dcf_native_call_free(uintptr_t user_data_free, uintptr_t user_data);

#endif
