package core

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"sync/atomic"
	"time"
	"unsafe"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/native"
	"dcf/vertex/arena"
)

// UDF is a handle on a registered function. It is safe for concurrent use.
type UDF struct {
	worker   *Worker
	function *exec.Function
	released atomic.Bool
}

// functions finds functions; it is replaced as a whole when one is registered or dropped.
type functions struct {
	byName map[string]*exec.Function
	byHash map[exec.Hash]*exec.Function
}

// Register makes a function callable here by its handle and its name, and, if it has a version,
// callable from other workers that registered the same.
func (w *Worker) Register(def udf.Definition) (*UDF, error) {
	if err := check(&def); err != nil {
		return nil, err
	}
	kind := kindOf(def.Kind)
	if kind == nil {
		return nil, status.Errorf(status.Unsupported, "function %q: there is no kind %d", def.Name, def.Kind)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing.Load() {
		return nil, errClosed()
	}
	old := w.functions.Load()
	if _, taken := old.byName[def.Name]; taken {
		return nil, status.Errorf(status.AlreadyExists,
			"a function %q is registered already: drop it first, or choose another name", def.Name)
	}
	if len(old.byName) >= MaxFunctions {
		return nil, status.Errorf(status.Exhausted, "%d functions are registered (MaxFunctions)", MaxFunctions)
	}
	program, err := kind.Load(&def)
	if err != nil {
		return nil, err
	}
	f := &exec.Function{Program: program, Builtin: def.Kind == udf.KindBuiltin, Name: def.Name, Flags: def.Flags,
		Shared:  def.Kind == udf.KindBuiltin || def.Version != "" && def.Flags&udf.CallerThread == 0,
		Merging: program.HasMerge(), Finishing: program.HasFinish(), Hash: w.identity(&def)}
	if len(def.Auxiliary) > 0 {
		f.Auxiliary = arena.Alloc(len(def.Auxiliary))
		copy(f.Auxiliary, def.Auxiliary)
	}
	f.Settle()
	next := &functions{maps.Clone(old.byName), maps.Clone(old.byHash)}
	next.byName[f.Name], next.byHash[f.Hash] = f, f
	w.functions.Store(next)
	return &UDF{worker: w, function: f}, nil
}

// check refuses a definition that no kind could load.
func check(def *udf.Definition) error {
	invalid := func(format string, args ...any) error {
		return status.Errorf(status.InvalidArgument, format, args...)
	}
	switch {
	case def.Name == "":
		return invalid("a function needs a name")
	case len(def.Name) > udf.MaxNameBytes:
		return invalid("a function's name has at most %d bytes, this one has %d", udf.MaxNameBytes, len(def.Name))
	case len(def.Version) > udf.MaxVersionBytes:
		return invalid("function %q: a version has at most %d bytes, this one has %d",
			def.Name, udf.MaxVersionBytes, len(def.Version))
	case len(def.Auxiliary) > udf.MaxAuxiliaryBytes:
		return invalid("function %q: auxiliary data has at most %d bytes, this has %d",
			def.Name, udf.MaxAuxiliaryBytes, len(def.Auxiliary))
	case def.Flags&^(udf.Updates|udf.Commutative|udf.Short|udf.CallerThread) != 0:
		return invalid("function %q: flags %#x are not known", def.Name, uint32(def.Flags))
	}
	return nil
}

// identity hashes what makes two functions one. A version is the user's promise that the code is the
// same, in whatever language: so a function in Go may be one in C. A function without a version is
// made unique to this start of this worker.
func (w *Worker) identity(def *udf.Definition) exec.Hash {
	h := sha256.New()
	word := func(n uint64) { _ = binary.Write(h, binary.LittleEndian, n) }
	text := func(s string) { word(uint64(len(s))); h.Write([]byte(s)) }
	kind := def.Kind
	if kind == udf.KindGo {
		kind = udf.KindNative
	}
	word(uint64(kind))
	word(uint64(def.Flags))
	text(def.Name)
	text(def.Version)
	text(string(def.Auxiliary))
	if def.Kind != udf.KindBuiltin && def.Version == "" {
		word(w.self.Node)
		word(uint64(w.self.Incarnation))
		word(w.registered.Add(1))
	}
	return exec.Hash(h.Sum(nil)[:len(exec.Hash{})])
}

// OpenUDF gives a handle on the function of that name.
func (w *Worker) OpenUDF(name string) (*UDF, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	f := w.functions.Load().byName[name]
	if f == nil {
		return nil, exec.NoFunction(name)
	}
	return &UDF{worker: w, function: f}, nil
}

// Name gives the function's name.
func (u *UDF) Name() string { return u.function.Name }

// Worker gives the worker that the function is registered with.
func (u *UDF) Worker() *Worker { return u.worker }

// Release gives the handle back; the function stays registered.
func (u *UDF) Release() { u.released.Store(true) }

// Direct gives the address by which C calls the function without Go, a dcf_native_program, or nil
// where it must not. It is good under a pin until Unregister.
func (u *UDF) Direct() unsafe.Pointer { return native.Direct(u.function.Program) }

// Is says whether both handles stand for one function.
func (u *UDF) Is(other *UDF) bool { return u.function == other.function }

// Gone says whether the function was unregistered.
func (u *UDF) Gone() bool { return u.function.Gone() }

// Drop unregisters the function: new calls do not find it. It waits for running ones and then frees
// what the function holds; if they outlast the timeout, that is left to the end of the process.
func (u *UDF) Drop(timeout time.Duration) error {
	if err := u.Unregister(); err != nil {
		return err
	}
	return u.Discard(timeout)
}

// Unregister is the first half of Drop: new calls do not find the function. Discard follows.
func (u *UDF) Unregister() error {
	w, f := u.worker, u.function
	if f.Builtin {
		return status.Errorf(status.Unsupported, "function %q is built in: it cannot be dropped", f.Name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.functions.Load()
	if old.byName[f.Name] != f {
		return status.Errorf(status.NotFound, "function %q was dropped already", f.Name)
	}
	next := &functions{maps.Clone(old.byName), maps.Clone(old.byHash)}
	delete(next.byName, f.Name)
	delete(next.byHash, f.Hash)
	w.functions.Store(next)
	f.Drop()
	return nil
}

// Discard is the second half of Drop: it waits for running calls and frees what the function holds.
func (u *UDF) Discard(timeout time.Duration) error {
	w := u.worker
	if !w.quiesce(clock.After(w.timeout(timeout))) {
		return status.Errorf(status.Timeout,
			"function %q is still running: what it holds is not freed", u.function.Name)
	}
	w.free(u.function)
	return nil
}

// free closes a function that nobody runs.
func (w *Worker) free(f *exec.Function) {
	f.Program.Close()
	arena.Free(f.Auxiliary)
	f.Auxiliary = nil
}
