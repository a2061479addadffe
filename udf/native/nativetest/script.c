#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "nativetest.h"

/* Defined by package native; weak, because each package's C code is linked once by itself. */
extern int dcf_native_in_callback(void) __attribute__((weak));
extern int dcf_native_in_update(void) __attribute__((weak));
extern dcf_status dcf_input_export(const dcf_udf_input*, struct ArrowSchema*, struct ArrowArray*)
    __attribute__((weak));
extern dcf_status dcf_part_export(const dcf_merge_input*, size_t, struct ArrowSchema*,
                                  struct ArrowArray*) __attribute__((weak));
extern void* dcf_input_view(const dcf_udf_input*, const void*) __attribute__((weak));
extern dcf_status dcf_input_set_view(const dcf_udf_input*, const void*, void*, void (*)(void*))
    __attribute__((weak));

static dcf_bytes text_of(const char* text) { return (dcf_bytes){text, strlen(text)}; }

static void free_view(void* view) {
  dcf_nativetest_state* state = view;
  atomic_fetch_add(&state->views_freed, 1);
}

/* A schema that says int64 above an array that has no buffers. */
static void release_schema(struct ArrowSchema* schema) { schema->release = NULL; }
static void release_array(struct ArrowArray* array) { array->release = NULL; }
static void malformed(struct ArrowSchema* schema, struct ArrowArray* array) {
  memset(schema, 0, sizeof *schema);
  memset(array, 0, sizeof *array);
  schema->format = "l";
  schema->name = "";
  schema->release = release_schema;
  array->length = 4;
  array->release = release_array;
}

/* The value of the running vertex, for a command that needs one. */
static dcf_status value(const dcf_udf_input* input, const char* which, struct ArrowSchema* schema,
                        struct ArrowArray* array) {
  if (strcmp(which, "bad") != 0) return dcf_input_export(input, schema, array);
  malformed(schema, array);
  return DCF_OK;
}

typedef dcf_status (*give)(dcf_output*, struct ArrowSchema*, struct ArrowArray*);

static dcf_status give_value(const dcf_udf_input* input, dcf_output* out, const char* which,
                             give to) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_status status = value(input, which, &schema, &array);
  if (status != DCF_OK) return status;
  status = to(out, &schema, &array);
  if (status != DCF_OK) {
    schema.release(&schema);
    array.release(&array);
  }
  return status;
}

static dcf_status spawn(const dcf_udf_input* input, dcf_output* out, const char* which,
                        const char* arguments) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_spawn s = DCF_SPAWN_INIT;
  s.target = input->vertex;
  s.arguments = text_of(arguments);
  if (strcmp(which, "once") == 0) s.flags = DCF_SPAWN_ONCE;
  if (strcmp(which, "flags") == 0) s.flags = 1u << 30;
  if (strcmp(which, "size") == 0) s.struct_size = 3;
  if (strcmp(which, "other") == 0) s.udf = text_of("other");
  if (strcmp(which, "latin") == 0) s.udf = text_of("caf\xe9");
  if (strcmp(which, "array") == 0 || strcmp(which, "bad") == 0) {
    dcf_status status = value(input, which, &schema, &array);
    if (status != DCF_OK) return status;
    s.arguments_schema = &schema;
    s.arguments_array = &array;
  }
  return out->api->spawn(out, &s);
}

static dcf_status child(const dcf_udf_input* input, dcf_output* out, const char* name,
                        const char* which) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex_id id;
  dcf_status status = DCF_OK;
  if (*which) status = value(input, which, &schema, &array);
  if (status == DCF_OK)
    status = out->api->add_child(out, text_of(name), *which ? &schema : NULL,
                                 *which ? &array : NULL, &id);
  void* room;
  if (status == DCF_OK) status = out->api->reserve(out, sizeof id, &room);
  if (status == DCF_OK) memcpy(room, &id, sizeof id);
  return status;
}

static void wait_at_latch(dcf_nativetest_state* state, const dcf_udf_input* input, int heeds) {
  const _Atomic uint32_t* cancelled = (const _Atomic uint32_t*)input->cancelled;
  atomic_fetch_add(&state->waiting, 1);
  while (!atomic_load(&state->open) && !(heeds && atomic_load(cancelled))) sched_yield();
  atomic_fetch_sub(&state->waiting, 1);
}

static dcf_status reserve(dcf_output* out, size_t size) {
  void* room;
  dcf_status status = out->api->reserve(out, size, &room);
  if (status == DCF_OK) memset(room, 'x', size);
  return status;
}

/* Spawns, or adds children, that many times; what the last one said. */
static dcf_status many(const dcf_udf_input* input, dcf_output* out, const char* what, long times) {
  dcf_status status = DCF_OK;
  for (long i = 0; i < times && status == DCF_OK; i++)
    status = strcmp(what, "spawn") == 0 ? spawn(input, out, "", "") : child(input, out, "", "");
  return status;
}

/* Remembers a view of the vertex's version and gives what was remembered. */
static dcf_status view(dcf_nativetest_state* state, const dcf_udf_input* input, dcf_output* out) {
  static const char key = 0;
  const char* found = dcf_input_view(input, &key) ? "cached" : "new";
  dcf_status set = dcf_input_set_view(input, &key, state, free_view);
  char text[64];
  snprintf(text, sizeof text, "%s %d", found, (int)set);
  return out->api->bytes(out, text_of(text));
}

static dcf_status half(dcf_output* out) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  malformed(&schema, &array);
  return out->api->set_value(out, &schema, NULL);
}

/* One command of up to three words; -1: it is none. */
static dcf_status command(dcf_nativetest_state* state, const dcf_udf_input* input, dcf_output* out,
                          const char* verb, const char* a, const char* b) {
  const dcf_output_api* api = out->api;
  if (strcmp(verb, "part") == 0) return api->bytes(out, text_of(a));
  if (strcmp(verb, "reserve") == 0) return reserve(out, strtoul(a, NULL, 10));
  if (strcmp(verb, "array") == 0) return give_value(input, out, a, api->array);
  if (strcmp(verb, "set") == 0) return give_value(input, out, a, api->set_value);
  if (strcmp(verb, "unset") == 0) return api->set_value(out, NULL, NULL);
  if (strcmp(verb, "half") == 0) return half(out);
  if (strcmp(verb, "spawn") == 0) return spawn(input, out, a, b);
  if (strcmp(verb, "child") == 0) return child(input, out, a, b);
  if (strcmp(verb, "latin-child") == 0) return child(input, out, "caf\xe9", "");
  if (strcmp(verb, "link") == 0) return api->link(out, input->vertex);
  if (strcmp(verb, "unlink") == 0) return api->unlink(out, input->vertex);
  if (strcmp(verb, "remove") == 0) return api->remove(out);
  if (strcmp(verb, "many") == 0) return many(input, out, a, strtol(b, NULL, 10));
  if (strcmp(verb, "view") == 0) return view(state, input, out);
  if (strcmp(verb, "null") == 0) return api->bytes(out, (dcf_bytes){NULL, 4});
  if (strcmp(verb, "wait") == 0) return wait_at_latch(state, input, strcmp(a, "heed") == 0), DCF_OK;
  if (strcmp(verb, "log") == 0)
    return api->log(out, (int32_t)strtol(a, NULL, 10), text_of(b)), DCF_OK;
  if (strcmp(verb, "fail") == 0) return api->fail(out, text_of(a)), DCF_OK;
  if (strcmp(verb, "traceback") == 0)
    return api->fail(out, text_of("first line\n  at second line\n  at third line")), DCF_OK;
  return -1;
}

/* Two words and the rest of the line; empty where there is no more. */
static void split(char* line, const char* words[3]) {
  for (int i = 0; i < 3; i++) {
    const char* word = i < 2 ? strsep(&line, " ") : line;
    words[i] = word ? word : "";
  }
}

/* Runs the script: lines of words, where "return N" ends it with that status and "expect N" says
 * what the command before it should have answered. Where one did not, the callback fails. */
dcf_status dcf_nativetest_script(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  dcf_nativetest_state* state = user_data;
  atomic_fetch_add(&state->calculates, 1);
  atomic_store(&state->in_callback, dcf_native_in_callback());
  atomic_store(&state->in_update, dcf_native_in_update());
  char* script = strndup(input->arguments.data ? input->arguments.data : "", input->arguments.size);
  dcf_status status = DCF_OK;
  char* line_state;
  for (char* line = strtok_r(script, "\n", &line_state); line;
       line = strtok_r(NULL, "\n", &line_state)) {
    const char* words[3];
    split(line, words);
    int32_t number = (int32_t)strtol(words[1], NULL, 10);
    if (strcmp(words[0], "return") == 0) {
      free(script);
      return number;
    }
    if (strcmp(words[0], "expect") != 0) {
      status = command(state, input, out, words[0], words[1], words[2]);
      if (status == -1) out->api->fail(out, text_of("the script has an unknown command"));
    } else if (status != number) {
      char text[96];
      snprintf(text, sizeof text, "expected %d and got %d", (int)number, (int)status);
      out->api->fail(out, text_of(text));
    }
  }
  free(script);
  return DCF_OK;
}

dcf_status dcf_nativetest_describe(void* user_data, const dcf_udf_input* in, dcf_output* out) {
  (void)user_data;
  char text[512];
  int n = snprintf(
      text, sizeof text,
      "size=%u kind=%u vertex=%02x%02x version=%" PRIu64 " rows=%" PRId64
      " children=%zu:%02x parents=%zu:%02x arguments=%.*s rows=%" PRId64
      " auxiliary=%.*s deadline=%" PRId64 " cancelled=%u",
      (unsigned)in->struct_size, (unsigned)in->vertex_kind, in->vertex.bytes[0],
      in->vertex.bytes[15], in->version, in->array ? in->array->length : -1, in->child_count,
      in->child_count ? in->children[in->child_count - 1].bytes[15] : 0, in->parent_count,
      in->parent_count ? in->parents[in->parent_count - 1].bytes[15] : 0, (int)in->arguments.size,
      in->arguments.size ? (const char*)in->arguments.data : "",
      in->arguments_array ? in->arguments_array->length : -1, (int)in->auxiliary.size,
      in->auxiliary.size ? (const char*)in->auxiliary.data : "", in->deadline_ns, *in->cancelled);
  return out->api->bytes(out, (dcf_bytes){text, (size_t)n});
}

/* ---- Sums ---------------------------------------------------------------- */

dcf_status dcf_nativetest_sum(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  atomic_fetch_add(&((dcf_nativetest_state*)user_data)->calculates, 1);
  int64_t sum = 0;
  if (input->array) {
    const struct ArrowArray* column = input->array->children[0];
    const int64_t* values = (const int64_t*)column->buffers[1] + column->offset;
    for (int64_t i = 0; i < column->length; i++) sum += values[i];
  }
  return out->api->bytes(out, (dcf_bytes){&sum, sizeof sum});
}

dcf_status dcf_nativetest_add(void* user_data, const dcf_merge_input* input, dcf_output* out) {
  atomic_fetch_add(&((dcf_nativetest_state*)user_data)->folds, 1);
  int64_t sum = 0;
  for (size_t i = 0; i < input->part_count; i++) {
    const dcf_part* part = (const dcf_part*)((const char*)input->parts + i * input->part_size);
    int64_t one;
    if (part->bytes.size != sizeof one) return DCF_CORRUPT;
    memcpy(&one, part->bytes.data, sizeof one);
    sum += one;
  }
  return out->api->bytes(out, (dcf_bytes){&sum, sizeof sum});
}

dcf_status dcf_nativetest_same(void* user_data, const dcf_merge_input* input, dcf_output* out) {
  atomic_fetch_add(&((dcf_nativetest_state*)user_data)->folds, 1);
  return out->api->bytes(out, input->parts[0].bytes);
}

static size_t put(char* text, size_t at, size_t room, dcf_bytes bytes) {
  if (bytes.size > room - at) bytes.size = room - at;
  if (bytes.size) memcpy(text + at, bytes.data, bytes.size);
  return at + bytes.size;
}

dcf_status dcf_nativetest_join(void* user_data, const dcf_merge_input* input, dcf_output* out) {
  (void)user_data;
  char text[4096];
  size_t at = 0;
  for (size_t i = 0; i < input->part_count; i++) {
    const dcf_part* part = (const dcf_part*)((const char*)input->parts + i * input->part_size);
    struct ArrowSchema schema;
    struct ArrowArray array;
    dcf_status exported = dcf_part_export(input, i, &schema, &array);
    if (exported == DCF_OK) {
      char rows[32];
      snprintf(rows, sizeof rows, "<%" PRId64 ">", array.length);
      at = put(text, at, sizeof text, text_of(part->schema ? rows : "?"));
      schema.release(&schema);
      array.release(&array);
    } else {
      at = put(text, at, sizeof text, exported == DCF_NOT_FOUND ? part->bytes : text_of("!"));
    }
  }
  at = put(text, at, sizeof text, input->arguments);
  at = put(text, at, sizeof text, input->auxiliary);
  return out->api->bytes(out, (dcf_bytes){text, at});
}

dcf_status dcf_nativetest_overreach(void* user_data, const dcf_merge_input* input,
                                    dcf_output* out) {
  (void)user_data;
  (void)input;
  dcf_spawn spawn = DCF_SPAWN_INIT;
  char text[64];
  snprintf(text, sizeof text, "%d %d %d", (int)out->api->spawn(out, &spawn),
           (int)out->api->remove(out), (int)out->api->set_value(out, NULL, NULL));
  return out->api->bytes(out, text_of(text));
}

void dcf_nativetest_free(void* user_data) {
  atomic_fetch_add(&((dcf_nativetest_state*)user_data)->frees, 1);
}
