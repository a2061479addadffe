package rpc

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/wire"
)

// Somebody who talks another protocol is told off, and disturbs nobody.
func TestForeignDialer(t *testing.T) {
	_, address := listening(t, "tcp", newHandler(echo))
	for _, input := range []string{
		"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello", "DCF1",
	} {
		raw, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
		require.NoError(t, err)
		_, err = raw.Write([]byte(input))
		require.NoError(t, err)
		if input == "DCF1" {
			require.NoError(t, raw.(*net.TCPConn).CloseWrite())
		}
		for err == nil {
			_, err = raw.Read(make([]byte, 512))
		}
		require.NoError(t, raw.Close())
	}
	_, p := dialled(t, address, nil)
	var reply Reply
	defer reply.Clear()
	require.NoError(t, p.Do(operationFrame(1, nil), &reply, soon()))
}

func TestForeignListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = c.Write([]byte("220 mail.example.org ESMTP\r\n"))
			_, _ = c.Read(make([]byte, 1<<16))
			_ = c.Close()
		}
	}()
	n := open(t, config(2, newHandler(nil)))
	_, err = n.Dial("tcp://"+l.Addr().String(), soon())
	requireCode(t, err, status.Unavailable)
	require.ErrorContains(t, err, "this is not a dcf node")
}

func TestRefusals(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		cfg := config(1, newHandler(echo))
		cfg.Admit = func(hello *wire.Hello) error {
			if hello.Identity.Node == 3 {
				return status.Errorf(status.AlreadyExists, "node 3 is here already")
			}
			return nil
		}
		server := open(t, cfg)
		address, err := server.Listen(anyAddress(t, scheme))
		require.NoError(t, err)

		n := open(t, config(3, newHandler(nil)))
		_, err = n.Dial(address, soon())
		requireCode(t, err, status.AlreadyExists)
		require.ErrorContains(t, err, "node 3 is here already")
		require.ErrorContains(t, err, address)

		same := open(t, config(1, newHandler(nil)))
		_, err = same.Dial(address, soon())
		requireCode(t, err, status.InvalidArgument)

		// An incarnation that is not there any more is not mistaken for the one that is.
		other := open(t, config(4, newHandler(nil)))
		old := other.Peer(wire.Identity{Node: 1, Incarnation: 9}, []string{address})
		var reply Reply
		err = old.Do(operationFrame(1, nil), &reply, soon())
		requireCode(t, err, status.Unavailable)
		require.ErrorContains(t, err, "incarnation 1 now")
		require.False(t, Sent(err))

		// Nobody at all.
		lost := other.Peer(wire.Identity{Node: 5, Incarnation: 1}, nil)
		err = lost.Do(operationFrame(1, nil), &reply, soon())
		requireCode(t, err, status.Unavailable)
		require.ErrorContains(t, err, "no address")
	})
}
