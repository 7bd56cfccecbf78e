package guard

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
)

// resolver answers every name with the given IPv4 addresses, one after the other; the last one stays.
func resolver(answers ...string) *net.Resolver {
	var mu sync.Mutex
	next := func() netip.Addr {
		mu.Lock()
		defer mu.Unlock()
		ip := netip.MustParseAddr(answers[0])
		if len(answers) > 1 {
			answers = answers[1:]
		}
		return ip
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serveDNS(theirs, next)
		return ours, nil
	}}
}

// serveDNS answers queries in DNS over TCP form (RFC 1035 §4.2.2): A with the next address, anything else with nothing.
func serveDNS(conn net.Conn, next func() netip.Addr) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, q); err != nil {
			return
		}
		end := 12 // after the header comes the one question: labels, type, class
		for q[end] != 0 {
			end += int(q[end]) + 1
		}
		end += 5
		reply := append([]byte{}, q[:end]...)
		reply[2], reply[3] = 0x81, 0x80 // response, recursion available, no error
		for i := 6; i < 12; i++ {
			reply[i] = 0
		}
		if typeA := q[end-3] == 1 && q[end-4] == 0; typeA {
			ip := next().As4()
			reply[7] = 1
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the question's name, A, IN, TTL 0, 4 bytes
			reply = append(reply, ip[:]...)
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}
