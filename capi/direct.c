/* Calls that need no Go: of a function in C that neither updates nor finishes, on a vertex that is
 * here. They read what package store keeps, under the same pins, so all that Go says of lifetimes
 * holds for them. Whatever else is asked for goes on in Go, from the first such call of a run on,
 * and so does what a function answered that is more than some bytes. */
#include "direct.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "capi.h"
#include "vertex.h"

/* Go's half and what package native defines; weak as in plain.c. */
extern dcf_status dcf_capi_run(dcf_worker worker, dcf_call* calls, size_t count, size_t done,
                               dcf_error* error) __attribute__((weak));
extern dcf_status dcf_capi_try(dcf_worker worker, dcf_call* calls, size_t count, size_t* done_out,
                               dcf_error* error) __attribute__((weak));
extern int32_t dcf_capi_resume(uint64_t worker, dcf_call* call, uint64_t version, uint32_t pin,
                               uintptr_t output) __attribute__((weak));
extern void dcf_capi_discard(uintptr_t output) __attribute__((weak));
extern void dcf_capi_reclaim(uint64_t worker) __attribute__((weak));
extern void dcf_native_once(const dcf_native_program* program, const dcf_udf_input* input,
                            dcf_native_output* output) __attribute__((weak));
extern int dcf_native_in_update(void) __attribute__((weak));

/* ---- Handles that C may use ----------------------------------------------- */

dcf_capi_direct dcf_capi_workers, dcf_capi_vertices, dcf_capi_udfs, dcf_capi_routes,
    dcf_capi_smalls;

static entry* entry_made(dcf_capi_direct* table, uint64_t handle) {
  if ((uint32_t)handle >= DCF_CAPI_MAX_HANDLES) return NULL;
  _Atomic(entry*)* place = &table->chunks[(uint32_t)handle >> CHUNK_SHIFT];
  if (!atomic_load(place)) {
    entry* none = NULL;
    entry* made = calloc(CHUNK_ENTRIES, sizeof *made);
    if (made && !atomic_compare_exchange_strong(place, &none, made)) free(made);
  }
  return entry_at(table, handle);
}

void dcf_capi_enter(dcf_capi_direct* table, uint64_t handle, uint64_t word, uintptr_t object,
                    const uint64_t* more) {
  entry* e = entry_made(table, handle);
  if (!e) return;
  atomic_store(&e->handle, 0); /* nobody takes what was entered before for this */
  for (int i = 0; i < DCF_CAPI_MORE; i++) atomic_store(&e->more[i], more ? more[i] : 0);
  atomic_store(&e->word, word);
  atomic_store(&e->object, object);
  atomic_store(&e->handle, handle);
}

void dcf_capi_leave(dcf_capi_direct* table, uint64_t handle) {
  entry* e = entry_at(table, handle);
  uint64_t there = handle; /* another thread may have given it back, and the slot be used again */
  if (e) atomic_compare_exchange_strong(&e->handle, &there, 0);
}

/* ---- Pins ------------------------------------------------------------------ */

/* Where this thread found its last pin: threads that start elsewhere do not meet. The model is the
 * one that costs a plain load; Go's own thread state makes the library need it anyway. */
static _Thread_local uint32_t pin_hint __attribute__((tls_model("initial-exec")));
static _Atomic uint32_t next_hint;

/* What a run of calls works with. */
typedef struct run {
  uint64_t worker;
  uint64_t node;
  int tries; /* nothing may be waited for */
  dcf_epochs* epochs;
  dcf_pin* pin;
} run;

/* Takes a pin and looks whether the worker is still open; 0 where it is not, or where the pins that
 * are tried first are all taken. */
static int begin(run* r) {
  r->epochs = (dcf_epochs*)object_of(&dcf_capi_workers, r->worker, &r->node);
  if (!r->epochs) return 0;
  if (!pin_hint) pin_hint = atomic_fetch_add(&next_hint, 1) + 1;
  const uint32_t mask = r->epochs->home - 1;
  const uint64_t word = atomic_load(&r->epochs->current) << 1 | 1;
  for (uint32_t i = 0; i <= mask; i++) {
    dcf_pin* pin = &r->epochs->pins[(pin_hint + i) & mask];
    uint64_t none = 0;
    if (!atomic_compare_exchange_strong(&pin->word, &none, word)) continue;
    r->pin = pin;
    if (object_of(&dcf_capi_workers, r->worker, &r->node)) return 1;
    atomic_store_explicit(&pin->word, 0, memory_order_release);
    return 0;
  }
  return 0;
}

/* Gives the pin back. Whether much waits for readers may be seen too late, as the store before is
 * not awaited: then the next one to leave sees it. */
static void end(run* r) {
  atomic_store_explicit(&r->pin->word, 0, memory_order_release);
  if (atomic_load_explicit(&r->epochs->pressing, memory_order_relaxed)) dcf_capi_reclaim(r->worker);
}

/* ---- One call -------------------------------------------------------------- */

static const uint32_t never_cancelled;

static inline const dcf_vertex_id* ids_of(const dcf_id_list* list) {
  return list ? (const dcf_vertex_id*)(list + 1) : NULL;
}

static __attribute__((noinline)) int64_t deadline_of(const dcf_call* c) {
  const int64_t ns = now_ns();
  return c->timeout_ns < INT64_MAX - ns ? ns + c->timeout_ns : INT64_MAX;
}

/* Runs a call's calculate; 0 where Go must. The caller holds the pin. What all calls have in common
 * stands in the input already. */
static inline int calculate(const run* r, const dcf_call* c, dcf_udf_input* input,
                            dcf_native_output* output) {
  uint64_t owner;
  if (!is_plain(c)) return 0;
  const dcf_native_program* program =
      (const dcf_native_program*)object_of(&dcf_capi_udfs, c->udf.handle, &owner);
  if (!program || owner != r->worker) return 0;
  if (r->tries && !(c->flags & DCF_CALL_INLINE) && !(program->flags & DCF_UDF_SHORT)) return 0;
  dcf_record* record = (dcf_record*)object_of(&dcf_capi_vertices, c->targets->handle, &owner);
  if (!record || owner != r->worker) return 0;
  dcf_vertex_version* version = atomic_load(&record->current);
  if (!version || version->group) return 0;
  const dcf_id_list* children = version->children;
  const dcf_id_list* parents = atomic_load(&record->parents);
  input->vertex = *(const dcf_vertex_id*)record->id;
  input->version = version->number;
  input->schema = version->schema;
  input->array = version->array;
  input->children = ids_of(children);
  input->child_count = children ? children->count : 0;
  input->parents = ids_of(parents);
  input->parent_count = parents ? parents->count : 0;
  input->arguments = c->arguments;
  input->auxiliary = program->auxiliary;
  input->deadline_ns = c->timeout_ns > 0 ? deadline_of(c) : 0;
  input->private_data[0] = (uintptr_t)version->batch;
  input->private_data[1] = (uintptr_t)&version->views;
  dcf_native_once(program, input, output);
  return 1;
}

/* Whether an output fits into what the caller gave with its call. */
static inline int fits(const dcf_call* c, const dcf_native_output* output) {
  return dcf_native_plain(output) && output->part_size <= c->buffer_size;
}

/* Writes such an output to its call. */
static inline void give(const run* r, dcf_call* c, uint64_t version,
                        const dcf_native_output* output) {
  give_part(c, output->part_kind == DCF_NATIVE_PART_BYTES, output->small, output->part_size);
  if (c->more) give_more(c->more, version, r->node, 0, 0);
}

/* Runs the first calls, up to one that Go must run, and gives how many they were. */
static size_t run_first(run* r, dcf_call* calls, size_t count) {
  dcf_udf_input input; /* not cleared as a whole: that would cost as much as a call */
  dcf_native_output output;
  input.struct_size = sizeof input;
  input.vertex_kind = DCF_VERTEX_LOCAL;
  input.arguments_schema = NULL;
  input.arguments_array = NULL;
  input.cancelled = &never_cancelled;
  size_t done = 0;
  while (done < count && begin(r)) {
    const size_t before = done;
    int more = 0;
    while (done < count && (more = calculate(r, &calls[done], &input, &output)) &&
           (more = fits(&calls[done], &output) ? 1 : -1) > 0)
      give(r, &calls[done++], input.version, &output);
    r->pin->calls += (int64_t)(done - before);
    if (more >= 0) { /* all are done, or Go must run the next */
      end(r);
      break;
    }
    if (r->tries && output.rare && output.rare->spawn_count) {
      dcf_capi_discard((uintptr_t)&output);
      end(r);
      break;
    }
    const uint32_t pin = (uint32_t)(r->pin - r->epochs->pins);
    if (!dcf_capi_resume(r->worker, &calls[done++], input.version, pin, (uintptr_t)&output)) end(r);
  }
  return done;
}

dcf_status dcf_call_run(dcf_worker worker, dcf_call* calls, size_t count, dcf_error* error) {
  run r = {.worker = worker.handle};
  size_t done = 0;
  if (calls && count && count <= DCF_CAPI_MAX_CALLS && calls->struct_size == sizeof *calls &&
      !dcf_native_in_update()) {
    done = count == 1 && dcf_capi_small(worker.handle, calls, 0) ? 1 : run_first(&r, calls, count);
    if (done < count && count > 1)
      done += dcf_capi_small_many(worker.handle, calls + done, count - done);
    if (done == count) return DCF_OK;
  }
  return dcf_capi_run(worker, calls, count, done, error);
}

dcf_status dcf_call_try(dcf_worker worker, dcf_call* calls, size_t count, size_t* done_out,
                        dcf_error* error) {
  run r = {.worker = worker.handle, .tries = 1};
  if (done_out && calls && count && count <= DCF_CAPI_MAX_CALLS &&
      calls->struct_size == sizeof *calls && object_of(&dcf_capi_workers, r.worker, &r.node)) {
    *done_out = 0;
    if (dcf_native_in_update()) return DCF_OK;
    *done_out = dcf_capi_small(worker.handle, calls, 1) ? 1 : run_first(&r, calls, count);
    return DCF_OK;
  }
  return dcf_capi_try(worker, calls, count, done_out, error);
}
