/* What languages made of one version of a vertex (a pyarrow table, an Arrow record), kept so that
 * the next call finds it. One view a key; the list belongs to the version and dies with it. */
#ifndef DCF_VIEWS_H
#define DCF_VIEWS_H

typedef struct dcf_view_node dcf_view_node;
typedef struct dcf_views {
  _Atomic(dcf_view_node*) head;
} dcf_views;

/* The view of that key, or NULL. */
void* dcf_views_get(dcf_views* views, const void* key);

/* Keeps a view: 0 where it was taken over; -1 where another was first or memory is out, and the
 * view stays the caller's. `view_free` is called once, on any thread. */
int dcf_views_set(dcf_views* views, const void* key, void* view, void (*view_free)(void*));

/* Frees all views. Nobody may use the list meanwhile. */
void dcf_views_clear(dcf_views* views);

#endif
