package core

import (
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/rpc"
	"dcf/core/status"
	"dcf/wire"
)

// operate sends an operation and waits for its reply, whose error becomes the error.
func (w *Worker) operate(peer *rpc.Peer, op *wire.Operation, deadline int64) (*rpc.Reply, error) {
	growStack()
	request := wire.Frame{Header: wire.SessionHeader{Kind: wire.KindOperation}, Message: op}
	reply := new(rpc.Reply)
	if err := peer.Do(&request, reply, deadline); err != nil {
		return nil, err
	}
	if reply.Error != nil {
		err := cloneError(reply.Error)
		if err.Node == 0 {
			err.Node = peer.Identity().Node
		}
		reply.Clear()
		return nil, err
	}
	return reply, nil
}

// operateOnce sends an update and, where its connection breaks, sends it again under the same
// sequence: it is applied once.
func (w *Worker) operateOnce(peer *rpc.Peer, op *wire.Operation, deadline int64) (reply *rpc.Reply, err error) {
	w.sequence.Lock()
	op.Sequence, err = w.sequences.Begin()
	op.Floor = w.sequences.Floor()
	w.sequence.Unlock()
	if err != nil {
		return nil, err
	}
	defer w.giveUp(op.Sequence)
	for try := 0; ; try++ {
		reply, err = w.operate(peer, op, deadline)
		if err == nil || try >= MaxResends || !lost(err) || clock.Until(deadline) <= 0 {
			return reply, err
		}
		pauseBefore(try, deadline)
		w.counts.resends.Add(1)
	}
}

// pauseBefore waits before a request is sent again: 1, 2, 4 ms and so on.
func pauseBefore(resend int, deadline int64) {
	time.Sleep(min(time.Millisecond<<resend, max(clock.Until(deadline), 0)))
}

// ask sends an operation on the handle's vertex to its owner. An owner that has it no longer is
// looked up anew, once.
func (v *Vertex) ask(op *wire.Operation, timeout time.Duration) (*rpc.Reply, error) {
	return v.send(op, timeout, v.worker.operate)
}

// update does the same for an operation that changes the vertex, exactly once.
func (v *Vertex) update(op *wire.Operation) (uint64, error) {
	reply, err := v.send(op, 0, v.worker.operateOnce)
	if err != nil {
		return 0, err
	}
	defer releaseReply(reply)
	return reply.Version, nil
}

func (v *Vertex) send(op *wire.Operation, timeout time.Duration,
	send func(*rpc.Peer, *wire.Operation, int64) (*rpc.Reply, error)) (*rpc.Reply, error) {
	w := v.worker
	op.ID, op.Birth = v.id, v.birth
	deadline := clock.After(w.timeout(timeout))
	owner, err := w.ownerOf(v.id, deadline)
	if err != nil {
		return nil, err
	}
	reply, err := send(w.peer(owner), op, deadline)
	if status.Of(err) != status.NotFound {
		return reply, err
	}
	if moved, lookErr := w.missed(v.id, owner, deadline); lookErr == nil && moved != owner {
		return send(w.peer(moved), op, deadline)
	}
	return nil, err
}

func releaseReply(r *rpc.Reply) {
	if r != nil {
		r.Clear()
	}
}

// cloneError copies an error out of a reply's memory.
func cloneError(e *status.Error) *status.Error {
	c := *e
	return &c
}
