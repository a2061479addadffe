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
	holds  atomic.Int32 // by Serve, and until Reply

	// Under link.server.mu.
	entered   bool // in the table of open requests
	answered  bool
	cancelled bool
	canceller Canceller
}

// Canceller is told that nobody wants the answer to a request any more. It must not block, nor call
// back into rpc.
type Canceller interface{ Cancel() }

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

// OnCancel has c told, once, when the peer gives the request up or its session ends; at once if that
// was before. After Reply it is told no more.
func (r *Request) OnCancel(c Canceller) { r.link.server.onCancel(r, c) }

// Detach says that the work goes on elsewhere: the reply is not held back until Serve returns.
func (r *Request) Detach() { r.inline.Store(false) }

// drop gives up one hold: the memory is reused once Serve returned and Reply was called.
func (r *Request) drop() {
	if r.holds.Add(-1) == 0 {
		r.recycle()
	}
}

func (r *Request) recycle() {
	r.clear()
	requests.Put(r)
}

// clear makes the request ready for another.
func (r *Request) clear() {
	r.in.Clear()
	r.Call, r.Operation, r.link, r.canceller = nil, nil, nil, nil
	r.entered, r.answered, r.cancelled = false, false, false
}
