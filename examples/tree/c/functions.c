#include "functions.h"

#include <stdlib.h>
#include <string.h>

#define NEW_LEAF 10000 /* the value of the child that graph_sum gives to every leaf */

static dcf_bytes text(const char* s) { return (dcf_bytes){s, strlen(s)}; }

/* ---- A value ------------------------------------------------------------- */

typedef struct value_batch {
  struct ArrowArray column;
  struct ArrowArray* columns[1];
  const void* no_validity[1];
  const void* buffers[2];
  int64_t value;
} value_batch;

typedef struct value_schema {
  struct ArrowSchema column;
  struct ArrowSchema* columns[1];
} value_schema;

static void release_column(struct ArrowArray* array) { array->release = NULL; }
static void release_field(struct ArrowSchema* schema) { schema->release = NULL; }
static void release_batch(struct ArrowArray* array) {
  free(array->private_data);
  array->release = NULL;
}
static void release_schema(struct ArrowSchema* schema) {
  free(schema->private_data);
  schema->release = NULL;
}

void make_value(int64_t value, struct ArrowSchema* schema, struct ArrowArray* array) {
  value_batch* b = calloc(1, sizeof *b);
  value_schema* s = calloc(1, sizeof *s);
  if (!b || !s) abort();
  s->columns[0] = &s->column;
  s->column = (struct ArrowSchema){.format = "l", .name = "value", .release = release_field};
  *schema = (struct ArrowSchema){.format = "+s",
                                 .name = "",
                                 .n_children = 1,
                                 .children = s->columns,
                                 .release = release_schema,
                                 .private_data = s};
  b->value = value;
  b->buffers[1] = &b->value;
  b->columns[0] = &b->column;
  b->column = (struct ArrowArray){
      .length = 1, .n_buffers = 2, .buffers = b->buffers, .release = release_column};
  *array = (struct ArrowArray){.length = 1,
                               .n_buffers = 1,
                               .buffers = b->no_validity,
                               .n_children = 1,
                               .children = b->columns,
                               .release = release_batch,
                               .private_data = b};
}

static int64_t value_of(const dcf_udf_input* input) {
  const struct ArrowArray* column = input->array->children[0];
  return ((const int64_t*)column->buffers[1])[column->offset];
}

/* The i-th part of a merge. */
static dcf_bytes part(const dcf_merge_input* input, size_t i) {
  return ((const dcf_part*)((const char*)input->parts + i * input->part_size))->bytes;
}

static dcf_status spawn_all(dcf_output* output, const dcf_vertex_id* targets, size_t count,
                            dcf_bytes arguments, uint32_t flags) {
  dcf_status status = DCF_OK;
  for (size_t i = 0; i < count && status == DCF_OK; i++) {
    dcf_spawn spawn = DCF_SPAWN_INIT;
    spawn.flags = flags;
    spawn.target = targets[i];
    spawn.arguments = arguments;
    status = output->api->spawn(output, &spawn);
  }
  return status;
}

/* ---- graph_sum ----------------------------------------------------------- */

/* The vertex's value and those of everything below it. A leaf gets a child. */
static dcf_status graph_sum(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  int64_t value = value_of(input);
  dcf_status status = output->api->bytes(output, (dcf_bytes){&value, sizeof value});
  if (status != DCF_OK) return status;
  if (input->child_count > 0)
    return spawn_all(output, input->children, input->child_count, text(""), 0);
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex_id id;
  make_value(NEW_LEAF, &schema, &array);
  status = output->api->add_child(output, text(""), &schema, &array, &id);
  if (status != DCF_OK) {
    schema.release(&schema);
    array.release(&array);
  }
  return status;
}

static dcf_status add_up(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  int64_t sum = 0, one;
  for (size_t i = 0; i < input->part_count; i++) {
    memcpy(&one, part(input, i).data, sizeof one);
    sum += one;
  }
  return output->api->bytes(output, (dcf_bytes){&sum, sizeof sum});
}

/* ---- around -------------------------------------------------------------- */

/* A member of a set of vertices. */
typedef struct member {
  dcf_vertex_id id;
  int64_t value;
} member;

/* The set of vertices within so many edges of this one, whatever their direction. The argument is
 * how many are left. A vertex is met over many paths: DCF_SPAWN_ONCE runs it once for each number
 * of edges that is left, and the union counts it once. */
static dcf_status around(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  int64_t left;
  if (input->arguments.size != sizeof left) {
    output->api->fail(output, text("the argument of around is a distance of 8 bytes"));
    return DCF_INVALID_ARGUMENT;
  }
  member self = {input->vertex, value_of(input)};
  memcpy(&left, input->arguments.data, sizeof left);
  dcf_status status = output->api->bytes(output, (dcf_bytes){&self, sizeof self});
  if (status != DCF_OK || left-- == 0) return status;
  dcf_bytes arguments = {&left, sizeof left};
  status = spawn_all(output, input->children, input->child_count, arguments, DCF_SPAWN_ONCE);
  if (status != DCF_OK) return status;
  return spawn_all(output, input->parents, input->parent_count, arguments, DCF_SPAWN_ONCE);
}

static int contains(const member* set, size_t count, const dcf_vertex_id* id) {
  for (size_t i = 0; i < count; i++)
    if (memcmp(&set[i].id, id, sizeof *id) == 0) return 1;
  return 0;
}

/* Joins sets, each vertex once. They are small: looking through them all is fine. */
static dcf_status unite(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  size_t room = 0, count = 0;
  for (size_t i = 0; i < input->part_count; i++) room += part(input, i).size;
  member *all = malloc(room ? room : 1), one;
  if (!all) return DCF_EXHAUSTED;
  for (size_t i = 0; i < input->part_count; i++) {
    dcf_bytes set = part(input, i);
    for (size_t at = 0; at < set.size; at += sizeof one) {
      memcpy(&one, (const char*)set.data + at, sizeof one);
      if (!contains(all, count, &one.id)) all[count++] = one;
    }
  }
  dcf_status status = output->api->bytes(output, (dcf_bytes){all, count * sizeof *all});
  free(all);
  return status;
}

static dcf_status sum_of_set(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  dcf_bytes set = part(input, 0);
  int64_t sum = 0;
  for (size_t at = 0; at < set.size; at += sizeof(member)) {
    member one;
    memcpy(&one, (const char*)set.data + at, sizeof one);
    sum += one.value;
  }
  return output->api->bytes(output, (dcf_bytes){&sum, sizeof sum});
}

/* ---- extremes ------------------------------------------------------------ */

/* The vertices with the largest and the smallest value of a tree. */
static dcf_status extremes(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  extreme self = {input->vertex, input->version, value_of(input)};
  extreme_pair pair = {self, self};
  dcf_status status = output->api->bytes(output, (dcf_bytes){&pair, sizeof pair});
  if (status != DCF_OK) return status;
  return spawn_all(output, input->children, input->child_count, text(""), 0);
}

static dcf_status merge_extremes(void* user_data, const dcf_merge_input* input,
                                 dcf_output* output) {
  (void)user_data;
  extreme_pair all, one;
  memcpy(&all, part(input, 0).data, sizeof all);
  for (size_t i = 1; i < input->part_count; i++) {
    memcpy(&one, part(input, i).data, sizeof one);
    if (one.largest.value > all.largest.value) all.largest = one.largest;
    if (one.smallest.value < all.smallest.value) all.smallest = one.smallest;
  }
  return output->api->bytes(output, (dcf_bytes){&all, sizeof all});
}

/* ---- Registration -------------------------------------------------------- */

dcf_status register_functions(dcf_worker worker, dcf_error* error) {
  const struct {
    const char* name;
    uint32_t flags;
    dcf_calculate_fn calculate;
    dcf_merge_fn merge, finish;
  } functions[] = {
      {"graph_sum", DCF_UDF_UPDATES, graph_sum, add_up, NULL},
      {"around", 0, around, unite, sum_of_set},
      {"extremes", 0, extremes, merge_extremes, NULL},
  };
  dcf_status status = DCF_OK;
  for (size_t i = 0; i < 3 && status == DCF_OK; i++) {
    dcf_udf udf;
    dcf_udf_definition d = DCF_UDF_DEFINITION_INIT;
    d.name = text(functions[i].name);
    d.version = text("c-1");
    d.flags = functions[i].flags | DCF_UDF_COMMUTATIVE | DCF_UDF_SHORT;
    d.calculate = functions[i].calculate;
    d.merge = functions[i].merge;
    d.finish = functions[i].finish;
    status = dcf_udf_register(worker, &d, &udf, error);
    if (status == DCF_OK) status = dcf_udf_release(udf, error); /* it stays registered */
  }
  return status;
}
