package udf

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// Output collects what one callback answers. It is reused from call to call: Clear empties it and
// keeps its memory. It is used by one goroutine.
type Output struct {
	// Part is the callback's part or result: Bytes (which may alias the output's own buffer, valid
	// until Clear) or a Batch that the output owns. HasPart false: the callback gave none,
	// and Part says nothing.
	Part    Value
	HasPart bool
	Spawns  []Spawn
	Effects []Effect
	// Failure is why the callback failed, or nil. Spawns and effects of a failed one are ignored.
	Failure *status.Error
	// NewID makes the id of a child without a name. The runner sets it.
	NewID func() vertex.ID
	// Log takes what the callback logs; nil: dropped. The runner sets it.
	Log func(level int, text string)

	buffer []byte
	block  []byte // see Adopt
	rare   bool   // there is more than a part in bytes that lies in buffer, or none
}

// Plain says that the callback gave a part in bytes, or none, and nothing else.
func (o *Output) Plain() bool { return !o.rare }

// AskedForMore says that the callback failed, spawned or has effects: its part alone is no answer.
func (o *Output) AskedForMore() bool {
	return o.Failure != nil || len(o.Effects) > 0 || len(o.Spawns) > 0
}

// Bytes makes part, which is copied, the answer.
func (o *Output) Bytes(part []byte) { copy(o.Reserve(len(part)), part) }

// Reserve makes size bytes the answer, for the callback to write in place.
func (o *Output) Reserve(size int) []byte {
	if o.rare || size > cap(o.buffer) {
		o.makeRoom(size)
	}
	part := o.buffer[:size]
	o.Part.Bytes, o.HasPart = part, true
	return part
}

func (o *Output) makeRoom(size int) {
	o.dropPart()
	o.buffer = slices.Grow(o.buffer[:0], size)
	o.rare = o.rare || cap(o.buffer) > MaxKeptBufferBytes
}

// Adopt makes the first size bytes of an arena block the answer, without copying them, and takes the
// block over.
func (o *Output) Adopt(block []byte, size int) {
	o.dropPart()
	o.rare = true
	o.block = block
	o.Part, o.HasPart = Value{Bytes: block[:size], OffHeap: true}, true
}

// Batch makes the batch the answer and takes over the caller's reference.
func (o *Output) Batch(part *vertex.Batch) {
	o.dropPart()
	o.rare = true
	o.Part, o.HasPart = Value{Batch: part}, true
}

// Spawn asks for another calculate. Arguments in bytes are copied; a batch's reference is taken over.
func (o *Output) Spawn(s Spawn) error {
	if len(o.Spawns) >= MaxSpawnsPerCalculate {
		releaseValue(&s.Arguments)
		return status.Errorf(status.Exhausted,
			"one calculate may spawn at most %d times (MaxSpawnsPerCalculate)", MaxSpawnsPerCalculate)
	}
	if s.Arguments.Batch == nil {
		s.Arguments = Value{Bytes: bytes.Clone(s.Arguments.Bytes)}
	}
	o.Spawns, o.rare = append(o.Spawns, s), true
	return nil
}

// SetValue replaces the running vertex's value and takes over the reference; nil: no value.
func (o *Output) SetValue(value *vertex.Batch) error {
	return o.effect(Effect{Kind: EffectSetValue, Value: value})
}

// AddChild makes a new vertex, owned here, with that name (empty: unnamed) and value (nil: none),
// and makes it the last child of the running one. It takes over the reference to value.
func (o *Output) AddChild(name string, value *vertex.Batch) (vertex.ID, error) {
	if len(name) > vertex.MaxNameBytes {
		release(value)
		return vertex.ID{}, status.Errorf(status.InvalidArgument,
			"a vertex name has at most %d bytes, this one has %d", vertex.MaxNameBytes, len(name))
	}
	id := vertex.NameID(name)
	if name == "" {
		id = o.NewID()
	}
	return id, o.effect(Effect{Kind: EffectAddChild, ID: id, Name: name, Value: value})
}

// AddChildAs is AddChild for a program that has given the id away already: id is vertex.NameID(name),
// or one that nobody was given before.
func (o *Output) AddChildAs(id vertex.ID, name string, value *vertex.Batch) error {
	return o.effect(Effect{Kind: EffectAddChild, ID: id, Name: name, Value: value})
}

// Link makes child the last child of the running vertex.
func (o *Output) Link(child vertex.ID) error {
	return o.effect(Effect{Kind: EffectLink, ID: child})
}

// Unlink removes child from the children of the running vertex.
func (o *Output) Unlink(child vertex.ID) error {
	return o.effect(Effect{Kind: EffectUnlink, ID: child})
}

// Remove drops the running vertex.
func (o *Output) Remove() error { return o.effect(Effect{Kind: EffectRemove}) }

// Fail makes the call fail with status.UDFFailed; the first failure stays.
func (o *Output) Fail(message, detail string) {
	o.FailWith(status.Errorf(status.UDFFailed, "%s", message).WithDetail(detail))
}

// FailWith makes the call fail with err; the first failure stays.
func (o *Output) FailWith(err *status.Error) {
	if o.Failure == nil {
		o.Failure, o.rare = err, true
	}
}

// Clear empties the output and releases what it still owns. What a runner takes out of it, it sets
// to nil first.
func (o *Output) Clear() {
	if o.rare {
		o.clearRare()
	}
	o.HasPart = false
}

func (o *Output) clearRare() {
	o.dropPart()
	for i := range o.Spawns {
		releaseValue(&o.Spawns[i].Arguments)
	}
	for i := range o.Effects {
		release(o.Effects[i].Value)
	}
	clear(o.Spawns)
	clear(o.Effects)
	o.Spawns, o.Effects, o.Failure, o.rare = o.Spawns[:0], o.Effects[:0], nil, false
}

func (o *Output) effect(e Effect) error {
	if len(o.Effects) >= MaxEffectsPerCalculate {
		release(e.Value)
		return status.Errorf(status.Exhausted,
			"one calculate may have at most %d effects (MaxEffectsPerCalculate)", MaxEffectsPerCalculate)
	}
	o.Effects, o.rare = append(o.Effects, e), true
	return nil
}

func (o *Output) dropPart() {
	if o.HasPart {
		releaseValue(&o.Part)
		o.Part, o.HasPart = Value{}, false
	}
	if o.block != nil {
		arena.Free(o.block)
		o.block = nil
	}
	if cap(o.buffer) > MaxKeptBufferBytes {
		o.buffer = nil
	}
}

func releaseValue(v *Value) {
	release(v.Batch)
	*v = Value{}
}

func release(b *vertex.Batch) {
	if b != nil {
		b.Release()
	}
}

// panicked records a panic of the user's code. The detail begins as Go prints a panic.
func (o *Output) panicked(value any) {
	text := fmt.Sprint(value)
	first, _, _ := strings.Cut(text, "\n")
	o.Fail("the function panicked: "+first, fmt.Sprintf("panic: %s\n\n%s", text, debug.Stack()))
}
