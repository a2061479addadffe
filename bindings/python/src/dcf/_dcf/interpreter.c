/* Threads and the interpreter lock: how Python calls leave for libdcf, how callbacks come back in,
 * and how objects are released by threads that hold no lock.
 *
 * Invariant: `thread.left` is NULL exactly while this thread may run Python code (or has never
 * left it). A callback on the thread of its caller therefore takes the caller's own thread state
 * back, and a thread of libdcf makes one at its first callback and keeps it: 0.1 us instead of
 * nearly 10 for a new one each time. */
#include <pthread.h>
#include <stdlib.h>

#include "dcf_python.h"

typedef struct {
  PyThreadState* left; /* what give_interpreter saved */
  PyThreadState* kept; /* a library thread's own state, between callbacks */
  PyObject* raised;    /* by a callback on this thread, for its caller */
  bool interrupted;    /* a signal handler raised while this thread waited */
  bool holds;          /* it is in libdcf, and has not given the interpreter up */
} Thread;

enum { kOnCaller = 1, kKept = 2, kForeign = 3, kHeld = 4 };

static __thread Thread thread __attribute__((tls_model("initial-exec")));
static pthread_key_t kept_key;
static unsigned long main_thread;
static atomic_bool closed;
static atomic_bool forked;
static _Atomic(Drop*) dropped;

/* ---- Objects released elsewhere --------------------------------------------- */

static void drain_drops(void) {
  Drop* drop = atomic_exchange(&dropped, NULL);
  while (drop != NULL) {
    Drop* next = drop->next;
    Py_DECREF(drop->object);
    free(drop);
    drop = next;
  }
}

static int drain_pending(void* unused) {
  (void)unused;
  drain_drops();
  return 0;
}

void push_drop(Drop* drop) {
  if (atomic_load(&forked)) return;
  Drop* head = atomic_load(&dropped);
  do {
    drop->next = head;
  } while (!atomic_compare_exchange_weak(&dropped, &head, drop));
  /* Once the interpreter has ended nobody drains: the list is left to the process's end. */
  if (head == NULL && !atomic_load(&closed)) Py_AddPendingCall(drain_pending, NULL);
}

int drop_init(Drop** out, PyObject* owned) {
  Drop* drop = malloc(sizeof *drop);
  if (drop == NULL) {
    Py_DECREF(owned);
    PyErr_NoMemory();
    return -1;
  }
  drop->next = NULL;
  drop->object = owned;
  *out = drop;
  return 0;
}

static inline void drain_if_any(void) {
  if (atomic_load_explicit(&dropped, memory_order_relaxed) != NULL) drain_drops();
}

/* ---- Out of the interpreter and back ------------------------------------------ */

void give_interpreter(void) { thread.left = PyEval_SaveThread(); }

bool take_interpreter(void) {
  PyThreadState* state = thread.left;
  thread.left = NULL;
  PyEval_RestoreThread(state);
  if (!thread.interrupted) {
    drain_if_any(); /* destructors run, so not with an exception set */
    return true;
  }
  thread.interrupted = false;
  return !PyErr_Occurred();
}

void hold_interpreter(void) { thread.holds = true; }

void let_interpreter(void) {
  thread.holds = false;
  drain_if_any();
}

/* Runs about every 50 ms on a thread that waits inside libdcf. Only the main thread runs signal
 * handlers, so the others need not take the lock. */
static int32_t check_signals(void* unused) {
  (void)unused;
  if (thread.left == NULL || atomic_load(&closed)) return 0;
  if (PyThread_get_thread_ident() != main_thread) return 0;
  PyEval_RestoreThread(thread.left);
  int raised = PyErr_CheckSignals();
  if (raised) thread.interrupted = true;
  thread.left = PyEval_SaveThread();
  return raised;
}

/* ---- Callbacks ------------------------------------------------------------------ */

/* At the end of a library thread. */
static void forget_kept(void* state) {
  if (atomic_load(&closed) || atomic_load(&forked)) return;
  PyEval_RestoreThread(state);
  PyGILState_Release(PyGILState_UNLOCKED);
}

bool enter_interpreter(Entry* entry) {
  if (atomic_load_explicit(&closed, memory_order_relaxed)) return false;
  if (thread.holds) {
    thread.holds = false; /* what Python does meanwhile may give the interpreter up */
    entry->how = kHeld;
  } else if (thread.left != NULL) {
    PyThreadState* state = thread.left;
    thread.left = NULL;
    entry->how = kOnCaller;
    PyEval_RestoreThread(state);
  } else if (thread.kept != NULL) {
    entry->how = kKept;
    PyEval_RestoreThread(thread.kept);
  } else if (PyGILState_GetThisThreadState() == NULL) {
    entry->how = kKept;
    PyGILState_Ensure();
  } else {
    entry->how = kForeign;
    entry->gil = (int)PyGILState_Ensure();
  }
  drain_if_any();
  return true;
}

void leave_interpreter(const Entry* entry) {
  switch (entry->how) {
    case kHeld:
      thread.holds = true;
      break;
    case kOnCaller:
      thread.left = PyEval_SaveThread();
      break;
    case kKept: {
      PyThreadState* state = PyEval_SaveThread();
      if (thread.kept == NULL) pthread_setspecific(kept_key, state);
      thread.kept = state;
      break;
    }
    default:
      PyGILState_Release((PyGILState_STATE)entry->gil);
  }
}

bool entry_is_callers(const Entry* entry) { return entry->how == kOnCaller || entry->how == kHeld; }

void keep_raised(PyObject* exception) {
  PyObject* before = thread.raised;
  thread.raised = exception;
  Py_XDECREF(before);
}

PyObject* take_raised(void) {
  PyObject* exception = thread.raised;
  thread.raised = NULL;
  return exception;
}

/* ---- Beginning, end and fork ------------------------------------------------------ */

int interpreter_open(void) {
  PyObject* threading = PyImport_ImportModule("threading");
  if (threading == NULL) return -1;
  PyObject* main = PyObject_CallMethod(threading, "main_thread", NULL);
  Py_DECREF(threading);
  if (main == NULL) return -1;
  PyObject* ident = PyObject_GetAttrString(main, "ident");
  Py_DECREF(main);
  if (ident == NULL) return -1;
  main_thread = PyLong_AsUnsignedLong(ident);
  Py_DECREF(ident);
  if (PyErr_Occurred()) return -1;
  if (pthread_key_create(&kept_key, forget_kept) != 0) {
    PyErr_SetString(PyExc_ImportError, "dcf: no thread-specific key is left in this process");
    return -1;
  }
  dcf_set_interrupt(check_signals, NULL);
  return 0;
}

void interpreter_close(void) {
  atomic_store(&closed, true);
  if (!atomic_load(&forked)) dcf_set_interrupt(NULL, NULL);
}

void interpreter_forked(void) { atomic_store(&forked, true); }

bool interpreter_is_forked(void) { return atomic_load_explicit(&forked, memory_order_relaxed); }

bool refuse_forked(void) {
  if (!interpreter_is_forked()) return false;
  PyErr_SetString(
      module_state.forked_error != NULL ? module_state.forked_error : PyExc_RuntimeError,
      "this process was forked after dcf was imported, and the library's threads did not "
      "come along: start it with multiprocessing.get_context('spawn') or 'forkserver'");
  return true;
}
