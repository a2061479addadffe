#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

/* Defined by package arena, which every program with this package links. Weak, because the tool
 * that builds this package links its C code once by itself, to see what it needs. */
extern void* dcf_arena_alloc(size_t size) __attribute__((weak));
extern void dcf_arena_free(void* block, size_t size) __attribute__((weak));

static dcf_native_output* of(dcf_output* output) { return (dcf_native_output*)output; }

/* ---- Lists --------------------------------------------------------------- */

/* Whether a list still lies where it began. */
static int is_within(const dcf_native_rare* rare, const void* list) {
  return (uintptr_t)list - (uintptr_t)rare < sizeof(dcf_native_room);
}

/* Makes room for `more` elements of `size` bytes behind `count`. -1: memory is out. */
static int grow(dcf_native_rare* rare, void** list, size_t* room, size_t count, size_t more,
                size_t size) {
  if (more > SIZE_MAX / 2 / size - count) return -1;
  if (count + more <= *room) return 0;
  size_t wanted = *room ? *room * 2 : 8;
  if (wanted < count + more) wanted = count + more;
  void* own = is_within(rare, *list) ? NULL : *list;
  void* bigger = realloc(own, wanted * size);
  if (!bigger) return -1;
  if (!own && count) memcpy(bigger, *list, count * size);
  rare->owns = 1;
  *list = bigger;
  *room = wanted;
  return 0;
}

#define GROW(rare, list, name, more)                                                  \
  grow(rare, (void**)&(rare)->list, &(rare)->name##_room, (rare)->name##_count, more, \
       sizeof *(rare)->list)

static dcf_native_rare* rare_of(dcf_native_output* out) {
  if (!out->rare) {
    out->room.rare = (dcf_native_rare){.spawns = out->room.spawns,
                                       .spawn_room = DCF_NATIVE_INLINE_SPAWNS,
                                       .text = out->room.text,
                                       .text_room = DCF_NATIVE_INLINE_TEXT};
    out->rare = &out->room.rare;
  }
  return out->rare;
}

/* Copies bytes to the end of the text. */
static int keep_text(dcf_native_rare* rare, dcf_bytes bytes, dcf_native_text* out) {
  if (grow(rare, (void**)&rare->text, &rare->text_room, rare->text_size, bytes.size, 1)) return -1;
  if (bytes.size) memcpy(rare->text + rare->text_size, bytes.data, bytes.size);
  out->offset = rare->text_size;
  out->size = bytes.size;
  rare->text_size += bytes.size;
  return 0;
}

static int is_bytes(dcf_bytes bytes) { return bytes.data || bytes.size == 0; }

static int is_arrow(const struct ArrowSchema* schema, const struct ArrowArray* array) {
  return schema && array && schema->release && array->release;
}

/* The room must be there. */
static size_t keep_arrow(dcf_native_rare* rare, struct ArrowSchema* schema,
                         struct ArrowArray* array) {
  dcf_native_arrow* kept = &rare->arrows[rare->arrow_count];
  kept->schema = *schema;
  kept->array = *array;
  schema->release = NULL;
  array->release = NULL;
  return rare->arrow_count++;
}

static void free_list(const dcf_native_rare* rare, void* list) {
  if (!is_within(rare, list)) free(list);
}

void dcf_native_free_rare(uintptr_t address) {
  dcf_native_rare* rare = (dcf_native_rare*)address;
  for (size_t i = 0; i < rare->arrow_count; i++) {
    dcf_native_arrow* arrow = &rare->arrows[i];
    if (arrow->schema.release) arrow->schema.release(&arrow->schema);
    if (arrow->array.release) arrow->array.release(&arrow->array);
  }
  free_list(rare, rare->spawns);
  free_list(rare, rare->effects);
  free_list(rare, rare->arrows);
  free_list(rare, rare->logs);
  free_list(rare, rare->text);
}

/* ---- The part ------------------------------------------------------------ */

static dcf_status out_reserve(dcf_output* output, size_t size, void** room) {
  dcf_native_output* out = of(output);
  if (!room) return DCF_INVALID_ARGUMENT;
  if (size <= DCF_NATIVE_INLINE_BYTES) {
    out->part = out->small;
  } else {
    if (size > out->block_size) {
      if (size > PTRDIFF_MAX) return DCF_EXHAUSTED;
      void* block = dcf_arena_alloc(size);
      if (!block) return DCF_EXHAUSTED;
      dcf_arena_free(out->block, out->block_size);
      out->block = block;
      out->block_size = size;
    }
    out->part = out->block;
  }
  out->part_size = size;
  out->part_kind = DCF_NATIVE_PART_BYTES;
  *room = out->part;
  return DCF_OK;
}

static dcf_status out_bytes(dcf_output* output, dcf_bytes part) {
  void* room;
  if (!is_bytes(part)) return DCF_INVALID_ARGUMENT;
  dcf_status status = out_reserve(output, part.size, &room);
  if (status == DCF_OK) dcf_native_copy(room, part.data, part.size);
  return status;
}

static dcf_status out_array(dcf_output* output, struct ArrowSchema* schema,
                            struct ArrowArray* array) {
  dcf_native_output* out = of(output);
  if (!is_arrow(schema, array)) return DCF_INVALID_ARGUMENT;
  dcf_native_rare* rare = rare_of(out);
  if (GROW(rare, arrows, arrow, 1)) return DCF_EXHAUSTED;
  rare->part = keep_arrow(rare, schema, array);
  out->part_kind = DCF_NATIVE_PART_ARRAY;
  return DCF_OK;
}

/* ---- Spawns -------------------------------------------------------------- */

/* A spawn of a later header may be longer; what is beyond the known fields must be zero. */
static int is_spawn(const dcf_spawn* spawn) {
  if (!spawn || spawn->struct_size < sizeof *spawn || (spawn->flags & ~DCF_SPAWN_ONCE)) return 0;
  for (size_t i = sizeof *spawn; i < spawn->struct_size; i++)
    if (((const char*)spawn)[i]) return 0;
  if (!is_bytes(spawn->udf) || spawn->udf.size > DCF_NATIVE_MAX_NAME_BYTES) return 0;
  if (!spawn->arguments_schema && !spawn->arguments_array) return is_bytes(spawn->arguments);
  return is_arrow(spawn->arguments_schema, spawn->arguments_array);
}

static dcf_status out_spawn(dcf_output* output, const dcf_spawn* spawn) {
  dcf_native_output* out = of(output);
  if (out->is_fold) return DCF_UNSUPPORTED;
  if (!is_spawn(spawn)) return DCF_INVALID_ARGUMENT;
  dcf_native_rare* rare = rare_of(out);
  if (rare->spawn_count >= DCF_NATIVE_MAX_SPAWNS || GROW(rare, spawns, spawn, 1))
    return DCF_EXHAUSTED;
  dcf_native_spawn* kept = &rare->spawns[rare->spawn_count];
  *kept = (dcf_native_spawn){
      .target = spawn->target, .flags = spawn->flags, .arrow = DCF_NATIVE_NO_ARROW};
  if (keep_text(rare, spawn->udf, &kept->udf)) return DCF_EXHAUSTED;
  if (spawn->arguments_schema) {
    if (GROW(rare, arrows, arrow, 1)) return DCF_EXHAUSTED;
    kept->arrow = keep_arrow(rare, spawn->arguments_schema, spawn->arguments_array);
  } else if (keep_text(rare, spawn->arguments, &kept->arguments)) {
    return DCF_EXHAUSTED;
  }
  rare->spawn_count++;
  return DCF_OK;
}

/* ---- Effects ------------------------------------------------------------- */

/* Makes room for one effect, with a value where schema is not NULL. */
static dcf_status effect_room(dcf_native_output* out, struct ArrowSchema* schema,
                              struct ArrowArray* array) {
  if (out->is_fold) return DCF_UNSUPPORTED;
  if ((schema || array) && !is_arrow(schema, array)) return DCF_INVALID_ARGUMENT;
  dcf_native_rare* rare = rare_of(out);
  if (rare->effect_count >= DCF_NATIVE_MAX_EFFECTS || GROW(rare, effects, effect, 1) ||
      GROW(rare, arrows, arrow, 1))
    return DCF_EXHAUSTED;
  return DCF_OK;
}

/* The room must be there. */
static dcf_native_effect* add_effect(dcf_native_output* out, uint64_t kind,
                                     struct ArrowSchema* schema, struct ArrowArray* array) {
  dcf_native_effect* effect = &out->rare->effects[out->rare->effect_count++];
  *effect = (dcf_native_effect){.kind = kind, .arrow = DCF_NATIVE_NO_ARROW};
  if (schema) effect->arrow = keep_arrow(out->rare, schema, array);
  return effect;
}

static dcf_status out_set_value(dcf_output* output, struct ArrowSchema* schema,
                                struct ArrowArray* array) {
  dcf_status status = effect_room(of(output), schema, array);
  if (status == DCF_OK) add_effect(of(output), DCF_NATIVE_SET_VALUE, schema, array);
  return status;
}

/* The id of a child without a name. The first of a calculate is the one that Go chose. Those after
 * it share its first half, which names this worker's incarnation, and count in the upper half of
 * the counter's range, which package vertex leaves alone. */
static dcf_vertex_id unnamed_id(dcf_native_output* out) {
  static _Atomic uint64_t counter;
  dcf_vertex_id id = out->child;
  if (out->has_child && !out->rare->first_child) {
    out->rare->first_child = 1;
    return id;
  }
  uint64_t number = atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed) | 1ull << 63;
  for (int i = 0; i < 8; i++) id.bytes[8 + i] = (uint8_t)(number >> (56 - 8 * i));
  return id;
}

static dcf_status out_add_child(dcf_output* output, dcf_bytes name, struct ArrowSchema* schema,
                                struct ArrowArray* array, dcf_vertex_id* id) {
  dcf_native_output* out = of(output);
  if (!is_bytes(name) || name.size > DCF_NATIVE_MAX_NAME_BYTES) return DCF_INVALID_ARGUMENT;
  dcf_status status = effect_room(out, schema, array);
  if (status != DCF_OK) return status;
  dcf_native_text kept;
  if (keep_text(out->rare, name, &kept)) return DCF_EXHAUSTED;
  dcf_native_effect* effect = add_effect(out, DCF_NATIVE_ADD_CHILD, schema, array);
  effect->name = kept;
  effect->id = name.size ? dcf_native_name_id(name.data, name.size) : unnamed_id(out);
  if (id) *id = effect->id;
  return DCF_OK;
}

static dcf_status edge(dcf_output* output, uint64_t kind, dcf_vertex_id child) {
  dcf_status status = effect_room(of(output), NULL, NULL);
  if (status == DCF_OK) add_effect(of(output), kind, NULL, NULL)->id = child;
  return status;
}

static dcf_status out_link(dcf_output* output, dcf_vertex_id child) {
  return edge(output, DCF_NATIVE_LINK, child);
}

static dcf_status out_unlink(dcf_output* output, dcf_vertex_id child) {
  return edge(output, DCF_NATIVE_UNLINK, child);
}

static dcf_status out_remove(dcf_output* output) {
  dcf_status status = effect_room(of(output), NULL, NULL);
  if (status == DCF_OK) add_effect(of(output), DCF_NATIVE_REMOVE, NULL, NULL);
  return status;
}

/* ---- Failures and logs --------------------------------------------------- */

static void out_fail(dcf_output* output, dcf_bytes message) {
  dcf_native_output* out = of(output);
  dcf_native_rare* rare = rare_of(out);
  if (rare->failed) return;
  rare->failed = 1;
  if (!is_bytes(message)) message.size = 0;
  if (keep_text(rare, message, &rare->failure)) {
    static const char lost[] = "the function failed, and there was no memory for its message";
    dcf_bytes text = {lost, sizeof lost - 1};
    if (keep_text(rare, text, &rare->failure)) rare->failure = (dcf_native_text){0, 0};
  }
}

static void out_log(dcf_output* output, int32_t level, dcf_bytes text) {
  dcf_native_output* out = of(output);
  if (!out->wants_log || !is_bytes(text)) return;
  dcf_native_rare* rare = rare_of(out);
  if (rare->log_count >= DCF_NATIVE_MAX_LOGS || GROW(rare, logs, log, 1)) return;
  dcf_native_log* kept = &rare->logs[rare->log_count];
  if (text.size > DCF_NATIVE_MAX_LOG_BYTES) text.size = DCF_NATIVE_MAX_LOG_BYTES;
  kept->level = level;
  if (keep_text(rare, text, &kept->text) == 0) rare->log_count++;
}

const dcf_output_api dcf_native_api = {
    .struct_size = sizeof(dcf_output_api),
    .abi_version = DCF_ABI_VERSION,
    .bytes = out_bytes,
    .reserve = out_reserve,
    .array = out_array,
    .spawn = out_spawn,
    .set_value = out_set_value,
    .add_child = out_add_child,
    .link = out_link,
    .unlink = out_unlink,
    .remove = out_remove,
    .fail = out_fail,
    .log = out_log,
};
