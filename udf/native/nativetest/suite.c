/* The functions of udftest.Suite in C. */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "nativetest.h"

static dcf_bytes text_of(const char* text) { return (dcf_bytes){text, strlen(text)}; }

/* ---- One column of int64 ------------------------------------------------- */

typedef struct numbers {
  struct ArrowArray column;
  struct ArrowArray* columns[1];
  const void* none[1];
  const void* buffers[2];
  int64_t values[];
} numbers;

static void release_column(struct ArrowArray* array) { array->release = NULL; }

static void release_numbers(struct ArrowArray* array) {
  free(array->private_data);
  array->release = NULL;
}

static void release_schema(struct ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    free((void*)schema->children[i]->name);
    free(schema->children[i]);
  }
  free(schema->children);
  schema->release = NULL;
}

static void release_child(struct ArrowSchema* schema) { schema->release = NULL; }

void dcf_nativetest_numbers(const char* name, const int64_t* values, int64_t count,
                            struct ArrowSchema* schema, struct ArrowArray* array) {
  numbers* n = calloc(1, sizeof *n + (size_t)count * sizeof *values);
  struct ArrowSchema* child = calloc(1, sizeof *child);
  struct ArrowSchema** children = malloc(sizeof(struct ArrowSchema*));
  char* copied = strdup(name);
  if (!n || !child || !children || !copied) abort();
  *child = (struct ArrowSchema){.format = "l", .name = copied, .release = release_child};
  children[0] = child;
  *schema = (struct ArrowSchema){
      .format = "+s", .name = "", .n_children = 1, .children = children, .release = release_schema};
  if (count) memcpy(n->values, values, (size_t)count * sizeof *values);
  n->buffers[1] = n->values;
  n->columns[0] = &n->column;
  n->column = (struct ArrowArray){
      .length = count, .n_buffers = 2, .buffers = n->buffers, .release = release_column};
  *array = (struct ArrowArray){.length = count,
                               .n_buffers = 1,
                               .buffers = n->none,
                               .n_children = 1,
                               .children = n->columns,
                               .release = release_numbers,
                               .private_data = n};
}

/* ---- The functions ------------------------------------------------------- */

dcf_status dcf_nativetest_echo(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  (void)user_data;
  if (!input->arguments_array) return out->api->bytes(out, input->arguments);
  struct ArrowSchema schema;
  struct ArrowArray array;
  const struct ArrowArray* column = input->arguments_array->children[0];
  dcf_nativetest_numbers(input->arguments_schema->children[0]->name,
                         (const int64_t*)column->buffers[1] + column->offset, column->length,
                         &schema, &array);
  return out->api->array(out, &schema, &array);
}

dcf_status dcf_nativetest_fail(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  (void)user_data;
  if (input->arguments.size != 4 || memcmp(input->arguments.data, "fail", 4) != 0)
    return out->api->bytes(out, text_of("fine"));
  out->api->fail(out, text_of("no luck\n  it happened in line 7"));
  return DCF_OK;
}

dcf_status dcf_nativetest_spawn(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  (void)user_data;
  for (size_t i = 0; i < input->child_count; i++) {
    dcf_spawn spawn = DCF_SPAWN_INIT;
    spawn.flags = DCF_SPAWN_ONCE;
    spawn.target = input->children[i];
    spawn.udf = text_of("another");
    spawn.arguments = input->arguments;
    dcf_status status = out->api->spawn(out, &spawn);
    if (status != DCF_OK) return status;
  }
  return DCF_OK;
}

dcf_status dcf_nativetest_effects(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  static const int64_t values[] = {1, 2, 3};
  (void)user_data;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex_id child;
  dcf_nativetest_numbers("value", values, 3, &schema, &array);
  dcf_status status = out->api->set_value(out, &schema, &array);
  if (status != DCF_OK) return status;
  dcf_nativetest_numbers("value", values, 3, &schema, &array);
  status = out->api->add_child(out, text_of("made"), &schema, &array, &child);
  if (status == DCF_OK) status = out->api->add_child(out, text_of(""), NULL, NULL, &child);
  if (status == DCF_OK) status = out->api->link(out, input->children[0]);
  if (status == DCF_OK) status = out->api->unlink(out, input->children[0]);
  return status == DCF_OK ? out->api->remove(out) : status;
}

dcf_status dcf_nativetest_big(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  (void)user_data;
  (void)input;
  size_t size = (size_t)3 << 20;
  void* room;
  dcf_status status = out->api->reserve(out, size, &room);
  for (size_t i = 0; status == DCF_OK && i < size; i++) ((unsigned char*)room)[i] = i % 251;
  return status;
}

dcf_status dcf_nativetest_rubbish(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  (void)user_data;
  (void)input;
  static const int64_t values[] = {1};
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_nativetest_numbers("value", values, 1, &schema, &array);
  array.length = 1000;
  return out->api->array(out, &schema, &array);
}

dcf_status dcf_nativetest_wait(void* user_data, const dcf_udf_input* input, dcf_output* out) {
  (void)user_data;
  (void)out;
  while (!__atomic_load_n(input->cancelled, __ATOMIC_ACQUIRE)) sched_yield();
  return DCF_CANCELLED;
}
