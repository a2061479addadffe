package core

import (
	"time"

	"dcf/core/internal/exec"
	"dcf/core/internal/rpc"
	"dcf/core/status"
	"dcf/wire"
)

// brought is a vertex on its way here.
type brought struct {
	worker  *Worker
	item    exec.Item
	peer    *rpc.Peer
	op      wire.Operation
	request wire.Frame
	pending rpc.Pending
	reply   rpc.Reply
	err     error
}

// bring asks for a vertex's data.
func (w *Worker) bring(t *exec.Task, item exec.Item, owner wire.Identity) *brought {
	b := &brought{worker: w, item: item}
	b.op = wire.Operation{Op: wire.OpFetch, ID: item.Target, Birth: item.Birth}
	b.request = wire.Frame{Header: wire.SessionHeader{Kind: wire.KindOperation, TraceID: t.TraceID},
		Message: &b.op}
	b.peer = w.peer(owner)
	b.err = b.peer.Send(&b.request, &b.pending, t.Deadline)
	return b
}

// Wait gives the item back, with its data.
func (b *brought) Wait(t *exec.Task) (a exec.Answer) {
	err := b.err
	if err == nil {
		err = b.pending.WaitUntil(&b.reply, t.Cancelled())
	}
	r := &b.reply
	if err == nil && r.Error != nil {
		err = cloneError(r.Error)
	}
	if err != nil {
		b.item.Release()
		a.Err = status.From(err)
		return a
	}
	defer r.Clear()
	data := &exec.Brought{Group: r.Group}
	data.Version, data.Batch = r.Version, r.Value.Batch
	r.Value.Batch = nil
	data.Children = append(data.Children, r.IDs...)
	b.item.Prefix, b.item.Brought = b.item.Indexes(), data
	a.Items = []exec.Item{b.item}
	a.Moved = uint64(r.Sent + r.Received)
	if data.Batch != nil {
		a.Fetched = uint64(r.Received)
	}
	a.Version = r.Version
	return a
}

// Flush makes the request leave.
func (b *brought) Flush() { b.pending.Flush() }

// Ready says whether the data is here.
func (b *brought) Ready() bool { return b.err != nil || b.pending.Ready() }

// Poll waits for it for a while.
func (b *brought) Poll(d time.Duration) { b.pending.Poll(d) }

// Drop gives the data up.
func (b *brought) Drop() {
	if b.err == nil {
		b.pending.Cancel()
	}
	b.item.Release()
}
