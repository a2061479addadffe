package native

// #include "native.h"
import "C"

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// Take turns a dcf_native_output that a caller in C filled into the output, which is clear.
func Take(from unsafe.Pointer, out *udf.Output) { take((*output)(from), out) }

// take turns what a callback left in C into the output.
func take(from *output, out *udf.Output) {
	if from.block != 0 {
		takeBlock(from, out)
	}
	if from.partKind == C.DCF_NATIVE_PART_BYTES && from.part != from.block {
		out.Bytes(unsafe.Slice((*byte)(pointer(&from.part)), from.partSize))
	}
	if from.rare != 0 || from.status != C.DCF_OK || from.partKind > C.DCF_NATIVE_PART_BYTES {
		takeRare(from, out)
	}
}

// takeBlock deals with a large part, which C wrote to an arena block of its own: the output takes
// the block over, unless the callback changed its mind.
func takeBlock(from *output, out *udf.Output) {
	block := unsafe.Slice((*byte)(pointer(&from.block)), from.blockSize)
	if from.partKind == C.DCF_NATIVE_PART_BYTES && from.part == from.block {
		out.Adopt(block, int(from.partSize))
	} else {
		arena.Free(block)
	}
}

// pointer reads an address that C stored: the memory lies outside the Go heap.
func pointer(address *uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(address)) }

func takeRare(from *output, out *udf.Output) {
	r := rare{(*C.dcf_native_rare)(pointer(&from.rare))}
	if r.c == nil {
		r.fail(status.Code(from.status), false, out)
		return
	}
	defer r.free()
	r.logs(out)
	if failed := r.failed(); failed || from.status != C.DCF_OK {
		r.fail(status.Code(from.status), failed, out)
	} else if err := r.answers(from, out); err != nil {
		out.FailWith(status.From(err))
	}
}

// rare reads a dcf_native_rare.
type rare struct{ c *C.dcf_native_rare }

func (r rare) free() {
	if r.c.owns != 0 {
		C.dcf_native_free_rare(C.uintptr_t(address(r.c)))
	}
}

func (r rare) failed() bool { return r.c.failed != 0 }

func (r rare) text(t C.dcf_native_text) string {
	if t.size == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(r.c.text), t.offset)), t.size))
}

func (r rare) logs(out *udf.Output) {
	for _, l := range unsafe.Slice(r.c.logs, r.c.log_count) {
		if out.Log != nil {
			out.Log(int(l.level), strings.ToValidUTF8(r.text(l.text), "\uFFFD"))
		}
	}
}

// fail records the failure of a callback: see dcf_output_api in dcf.h.
func (r rare) fail(code status.Code, said bool, out *udf.Output) {
	detail := ""
	if said {
		detail = strings.ToValidUTF8(r.text(r.c.failure), "\uFFFD")
	}
	message, _, more := strings.Cut(detail, "\n")
	if !more {
		detail = ""
	}
	switch {
	case message != "":
	case code == status.Cancelled && !said:
		message = "the call was cancelled"
	case code == status.Timeout && !said:
		message = "the call's deadline passed: give it a longer timeout"
	case code == status.OK:
		message = "the function failed and did not say why: give `fail` a message"
	default:
		message = "the function returned " + code.String() +
			" and did not say why: call `fail` with a message before"
	}
	if code <= status.Internal || code >= status.Count {
		code = status.UDFFailed
	}
	out.FailWith(status.Errorf(code, "%s", message).WithDetail(detail))
}

func (r rare) answers(from *output, out *udf.Output) error {
	if from.partKind == C.DCF_NATIVE_PART_ARRAY {
		batch, err := r.batch(r.c.part, "part")
		if err != nil {
			return err
		}
		out.Batch(batch)
	}
	for i := range unsafe.Slice(r.c.spawns, r.c.spawn_count) {
		if err := r.spawn(&unsafe.Slice(r.c.spawns, r.c.spawn_count)[i], out); err != nil {
			return err
		}
	}
	for i := range unsafe.Slice(r.c.effects, r.c.effect_count) {
		if err := r.effect(&unsafe.Slice(r.c.effects, r.c.effect_count)[i], out); err != nil {
			return err
		}
	}
	return nil
}

// batch imports a record batch that the callback gave; nil where it gave none.
func (r rare) batch(index C.size_t, what string) (*vertex.Batch, error) {
	if index == C.DCF_NATIVE_NO_ARROW {
		return nil, nil
	}
	a := &unsafe.Slice(r.c.arrows, r.c.arrow_count)[index]
	b, err := vertex.Import(unsafe.Pointer(&a.schema), unsafe.Pointer(&a.array))
	if err != nil {
		return nil, status.Errorf(status.UDFFailed,
			"the %s that the function gave is no usable record batch: %w", what, err)
	}
	return b, nil
}

func (r rare) name(t C.dcf_native_text, what string) (string, error) {
	name := r.text(t)
	if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
		return "", status.Errorf(status.UDFFailed,
			"the function gave %q as the name of a %s: names are UTF-8 without NUL", name, what)
	}
	return name, nil
}

func (r rare) spawn(s *C.dcf_native_spawn, out *udf.Output) error {
	name, err := r.name(s.udf, "function to spawn")
	if err != nil {
		return err
	}
	arguments, err := r.batch(s.arrow, "arguments of a spawn")
	if err != nil {
		return err
	}
	value := udf.Value{Batch: arguments}
	if arguments == nil {
		value.Bytes = unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(r.c.text), s.arguments.offset)),
			s.arguments.size)
	}
	return out.Spawn(udf.Spawn{Target: vertex.ID(idBytes(&s.target)), UDF: name, Arguments: value,
		Once: s.flags&C.DCF_SPAWN_ONCE != 0})
}

func (r rare) effect(e *C.dcf_native_effect, out *udf.Output) error {
	name, err := r.name(e.name, "child")
	if err != nil {
		return err
	}
	value, err := r.batch(e.arrow, "value of a vertex")
	if err != nil {
		return err
	}
	id := vertex.ID(idBytes(&e.id))
	switch e.kind {
	case C.DCF_NATIVE_SET_VALUE:
		return out.SetValue(value)
	case C.DCF_NATIVE_ADD_CHILD:
		return out.AddChildAs(id, name, value)
	case C.DCF_NATIVE_LINK:
		return out.Link(id)
	case C.DCF_NATIVE_UNLINK:
		return out.Unlink(id)
	default:
		return out.Remove()
	}
}

func idBytes(id *C.dcf_vertex_id) [16]byte { return *(*[16]byte)(unsafe.Pointer(&id.bytes)) }
