package main

// RPC by JSON, as far as the cases need it: a call is a channel on which each
// value has a length before it.

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
)

type callHeader struct{ Selector string }

type responseHeader struct {
	Error    *string
	Continue bool
}

// A remoteError is what the other side said.
type remoteError string

func (e remoteError) Error() string { return "remote: " + string(e) }

func encode(values ...any) ([]byte, error) {
	var all bytes.Buffer
	for _, v := range values {
		var one bytes.Buffer
		encoder := json.NewEncoder(&one)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return nil, err
		}
		binary.Write(&all, binary.BigEndian, uint32(one.Len()))
		all.Write(one.Bytes())
	}
	return all.Bytes(), nil
}

func send(w io.Writer, values ...any) error {
	encoded, err := encode(values...)
	if err != nil {
		return err
	}
	_, err = w.Write(encoded)
	return err
}

func receive(r io.Reader, v any) error {
	var size uint32
	if err := binary.Read(r, binary.BigEndian, &size); err != nil {
		return err
	}
	encoded := make([]byte, size)
	if _, err := io.ReadFull(r, encoded); err != nil {
		return err
	}
	return json.Unmarshal(encoded, v)
}

// A call is one of the other side, as its handler sees it.
type call struct {
	*channel
	peer      *peer
	selector  string
	continued bool
}

func (c *call) receive(v any) error { return receive(c.channel, v) }

func (c *call) send(values ...any) error { return send(c.channel, values...) }

// respond answers with values, or with an error; null stands for none.
func (c *call) respond(values ...any) error {
	var header responseHeader
	if len(values) == 1 {
		if err, ok := values[0].(error); ok {
			text := err.Error()
			header.Error, values = &text, nil
		}
	}
	if len(values) == 0 {
		values = []any{nil}
	}
	return c.send(append([]any{header}, values...)...)
}

// goOn answers with a first value and keeps the channel.
func (c *call) goOn(value any) error {
	c.continued = true
	return c.send(responseHeader{Continue: true}, value)
}

type handler func(*call) error

// A peer calls and answers calls on one session.
type peer struct {
	*session
	mu       sync.Mutex
	handlers map[string]handler
}

func (p *peer) handle(selector string, h handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[clean(selector)] = h
}

func (p *peer) remove(selector string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.handlers, clean(selector))
}

func clean(selector string) string {
	return "/" + strings.TrimPrefix(strings.ReplaceAll(selector, ".", "/"), "/")
}

// serve answers calls until the session ends.
func (p *peer) serve() {
	for {
		channel, err := p.accept()
		if err != nil {
			return
		}
		go p.answer(channel)
	}
}

func (p *peer) answer(channel *channel) {
	defer channel.Close()
	var header callHeader
	if channel.begin() != nil || receive(channel, &header) != nil {
		return // a channel that was opened ahead of need, and was not needed
	}
	c := &call{channel: channel, peer: p, selector: clean(header.Selector)}
	p.mu.Lock()
	h := p.handlers[c.selector]
	p.mu.Unlock()
	if h == nil {
		c.respond(fmt.Errorf("not found: %s", c.selector))
		return
	}
	if err := h(c); err != nil && err != io.EOF && !c.continued {
		log.Printf("%s: %v", c.selector, err)
	}
}

// A response is what a call was answered with.
type response struct {
	*channel
	continued bool
}

func (r *response) receive(v any) error { return receive(r.channel, v) }

// call calls a selector. The argument may be a channel of values, of which the
// last is followed by nothing, as the reference does it.
func (p *peer) call(ctx context.Context, selector string, arg any, replies ...any) (*response, error) {
	channel, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { channel.Close() })
	defer stop()
	resp, err := exchange(channel, selector, arg, replies)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil || !resp.continued {
		channel.Close()
	}
	return resp, err
}

func exchange(channel *channel, selector string, arg any, replies []any) (*response, error) {
	args, isStream := arg.(chan any)
	if isStream {
		if err := send(channel, callHeader{selector}); err != nil {
			return nil, err
		}
		go func() {
			for v := range args {
				if send(channel, v) != nil {
					for range args { // lets the sender end
					}
				}
			}
		}()
	} else if err := send(channel, callHeader{selector}, arg); err != nil {
		return nil, err
	}
	var header responseHeader
	if err := receive(channel, &header); err != nil {
		return nil, err
	}
	if header.Error != nil {
		return nil, remoteError(*header.Error)
	}
	if len(replies) == 0 {
		replies = []any{new(any)}
	}
	for _, reply := range replies {
		if reply == nil {
			reply = new(any)
		}
		if err := receive(channel, reply); err != nil {
			return nil, err
		}
	}
	return &response{channel, header.Continue}, nil
}

// remoteText is what the caller of a call sees of its error.
func remoteText(err error) error {
	var remote remoteError
	if errors.As(err, &remote) {
		return remote
	}
	return err
}
