package rpc

import (
	"errors"

	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// lateReply is a reply that waits for the dialer to open the bulk connection.
type lateReply struct{ frame wire.Frame }

func (r *lateReply) release() { transport.ReleaseBatches(r.frame.Message) }

// answer sends a reply over the right connection, without flushing.
func (l *link) answer(f *wire.Frame) {
	if l.purpose != wire.PurposeBulk && l.conn.SplitsBulk() &&
		transport.BulkBytes(f.Message) > BulkBytes && l.session.answerBulk(l, f) {
		return
	}
	l.sendReply(f)
}

// sendReply sends a reply. One that cannot be sent becomes an error, so that its requester learns
// of it.
func (l *link) sendReply(f *wire.Frame) {
	_, _, err := l.conn.Send(f)
	if err == nil || l.session.down.Load() {
		return
	}
	if !errors.Is(err, status.Unavailable) {
		reply := f.Message.(*wire.Reply)
		short := wire.Reply{Error: status.From(err), Effects: reply.Effects}
		_, _, err = l.conn.Send(&wire.Frame{Header: f.Header, Message: &short})
	}
	if err != nil {
		l.session.fail(err)
	}
}

// answerBulk sends a large reply over the bulk connection, or keeps it until there is one. False:
// the reply is to go where it would without.
func (s *session) answerBulk(arrival *link, f *wire.Frame) bool {
	bulk := s.bulk.Load()
	if s.dialled {
		if bulk != nil {
			bulk.sendReply(f)
		}
		return bulk != nil
	}
	if err := arrival.control(kindElsewhere, f.Header.CallID); err != nil {
		s.fail(err)
		return true
	}
	if arrival.purpose == wire.PurposeCall && bulk == nil && s.keep(f) {
		return true
	}
	s.bulk.Load().sendReply(f)
	return true
}

// keep keeps a reply until the bulk connection is there, if it still is not.
func (s *session) keep(f *wire.Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		return true // nobody waits for it
	}
	if s.bulk.Load() != nil {
		return false
	}
	message, _ := transport.Copy(f.Message)
	s.late = append(s.late, &lateReply{wire.Frame{Header: f.Header, Message: message}})
	return true
}

// sendLate sends what waited for the bulk connection.
func (s *session) sendLate(bulk *link) {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, r := range late {
		bulk.sendReply(&r.frame)
		r.release()
	}
	_ = bulk.conn.Flush() // a failure ends the session, which its reader notices
}
