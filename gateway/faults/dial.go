package faults

import (
	"context"
	"io"
	"net"

	"lastcall/domain/probe"
)

// Dialer opens connections.
type Dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// Dial returns a function that is asked before each connection to an edge function, where there is no HTTP transport to
// wrap: for mail, whose server speaks first. It answers with a dialer that fails as the fault says, or with nil.
func (b *Board) Dial(name probe.Name) func(ctx context.Context) Dialer {
	return func(ctx context.Context) Dialer {
		f, on := b.strike(ctx, name)
		if !on {
			return nil
		}
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			switch f.Kind {
			case probe.Timeout:
				return nil, await(ctx)
			case probe.Reset:
				return nil, reset()
			case probe.RateLimited:
				return greeting("421 4.7.0 Too many messages, try again later\r\n"), nil
			case probe.ServerError:
				return greeting("421 4.3.0 Service not available\r\n"), nil
			case probe.WrongBody:
				return greeting("HTTP/1.1 200 OK\r\n"), nil
			}
			if err := pause(ctx, f.Delay); err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}
}

// greeting is a connection to a server that says this, and then closes.
func greeting(line string) net.Conn {
	ours, theirs := net.Pipe()
	go func() {
		_, _ = io.WriteString(theirs, line)
		_ = theirs.Close()
	}()
	return ours
}
