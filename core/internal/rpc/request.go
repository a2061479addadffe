package rpc

import (
	"sync"
	"sync/atomic"

	"dcf/core/internal/transport"
	"dcf/wire"
)

// Request is one request of a peer. The message, and all that it refers to, is valid until Reply;
// batches that the handler wants to keep it takes out, setting their fields to nil. After Reply the
// request must not be touched.
type Request struct {
	From          wire.Identity
	Header        wire.SessionHeader
	Call          *wire.Call      // this or Operation is set
	Operation     *wire.Operation //
	Deadline      int64           // CLOCK_MONOTONIC nanoseconds; 0: none
	ReceivedBytes int             // of its frame

	link  *link
	in    transport.Inbound
	reply wire.Frame // while it is sent
	// inline says that Serve runs and that its goroutine will flush what is sent until then.
	inline atomic.Bool
	holds  atomic.Int32 // by Serve, until Reply, and by the watch while it looks

	// Under link.server.mu.
	entered   bool // in the table of open requests
	answered  bool
	cancelled bool
	cancel    func()
}

var requests = sync.Pool{New: func() any { return new(Request) }}

// Reply answers the request. It is called exactly once, by any goroutine. The reply is encoded
// before Reply returns; its batches belong to rpc, which releases them, all else stays the
// caller's.
func (r *Request) Reply(reply *wire.Reply) {
	l := r.link
	l.server.leave(r)
	r.reply.Header = wire.SessionHeader{Version: wire.Version, Kind: wire.KindReply,
		CallID: r.Header.CallID, TraceID: r.Header.TraceID}
	r.reply.Message = reply
	l.answer(&r.reply)
	r.reply.Message = nil
	// Looked at after the frame was sent: if Serve still runs, its flush is still to come.
	if !r.inline.Load() {
		_ = l.conn.Flush() // a failure ends the session, which its reader notices
	}
	transport.ReleaseBatches(reply)
	r.drop()
}

// OnCancel has cancel called, once, when the peer gives the request up or its session ends; at once
// if that was before. Reply ends this; a call may still be under way then.
func (r *Request) OnCancel(cancel func()) {
	if r.link.server.onCancel(r, cancel) {
		cancel()
	}
}

// Detach says that the work goes on elsewhere: the reply is not held back until Serve returns.
func (r *Request) Detach() { r.inline.Store(false) }

// hold keeps the request from being reused, unless it is free for reuse already.
func (r *Request) hold() bool {
	for {
		holds := r.holds.Load()
		if holds == 0 {
			return false
		}
		if r.holds.CompareAndSwap(holds, holds+1) {
			return true
		}
	}
}

// drop gives up one hold: the memory is reused once Serve returned and Reply was called.
func (r *Request) drop() {
	if r.holds.Add(-1) > 0 {
		return
	}
	r.in.Clear()
	r.Call, r.Operation, r.link, r.cancel = nil, nil, nil, nil
	r.entered, r.answered, r.cancelled = false, false, false
	requests.Put(r)
}
