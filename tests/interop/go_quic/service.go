package main

// The service of tests/interop/go/service.go, which says what each method does.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dieBytes  = 1000
	dieStatus = 3
)

type digest struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// A function of the other side.
type pointer struct {
	ID string `json:"$fnptr"`
}

func (f pointer) call(p *peer, args ...any) (any, error) {
	var reply any
	_, err := p.call(context.Background(), f.ID, args, &reply)
	return reply, remoteText(err)
}

// state is what the handlers of one process share.
type state struct {
	cancelled, left, adders atomic.Int64
	mu                      sync.Mutex
	kept                    func(v any) (any, error)
}

// withArg makes a handler of a function that takes its argument decoded.
func withArg[T any](h func(*call, T) error) handler {
	return func(c *call) error {
		var arg T
		if err := c.receive(&arg); err != nil {
			return c.respond(fmt.Errorf("argument: %w", err))
		}
		return h(c, arg)
	}
}

// fn makes a handler of a function with so many parameters; nil for no result.
func fn(params int, f func(c *call, args []any) any) handler {
	return withArg(func(c *call, args []any) error {
		if len(args) != params {
			return c.respond(fmt.Errorf("fn: expected %d params, got %d", params, len(args)))
		}
		return c.respond(f(c, args))
	})
}

// hijack makes a handler of a function that takes the channel over.
func hijack(h func(*call) error) handler {
	return withArg(func(c *call, _ any) error {
		if err := c.goOn(nil); err != nil {
			return err
		}
		if err := h(c); err != nil {
			return err
		}
		return c.CloseWrite()
	})
}

func orError(v any, err error) any {
	if err != nil {
		return err
	}
	return v
}

func pointerIn(v any) pointer {
	object, _ := v.(map[string]any)
	id, _ := object["$fnptr"].(string)
	return pointer{id}
}

func (s *state) register(p *peer) {
	p.handle("Upper", fn(1, func(_ *call, args []any) any { return strings.ToUpper(args[0].(string)) }))
	p.handle("Add", fn(2, func(_ *call, args []any) any { return args[0].(float64) + args[1].(float64) }))
	p.handle("Fail", fn(1, func(_ *call, args []any) any { return errors.New(args[0].(string)) }))
	p.handle("Error", fn(1, func(c *call, args []any) any {
		return fmt.Errorf("%s [%s]", args[0], c.selector)
	}))
	p.handle("Apply", fn(2, func(c *call, args []any) any {
		return orError(pointerIn(args[0]).call(c.peer, args[1]))
	}))
	p.handle("Each", fn(1, each))
	p.handle("Keep", fn(1, s.keep))
	p.handle("Kept", fn(1, s.callKept))
	p.handle("Adder", fn(1, s.adder))
	p.handle("Numbers", withArg(s.numbers))
	p.handle("left", withArg(func(c *call, _ any) error { return c.respond(s.left.Load()) }))
	p.handle("Total", withArg(sum))
	p.handle("Doubled", withArg(doubled))

	p.handle("echo", withArg(func(c *call, v any) error { return c.respond(v) }))
	p.handle("multi", withArg(func(c *call, _ any) error { return c.respond(1, "two", []int{3}) }))
	p.handle("none", withArg(func(c *call, _ any) error { return c.respond() }))
	p.handle("sum", withArg(sum))
	p.handle("callback", withArg(callback))
	p.handle("slow", withArg(s.slow))
	p.handle("cancelled", withArg(func(c *call, _ any) error { return c.respond(s.cancelled.Load()) }))
	p.handle("count", withArg(count))
	p.handle("bytes", hijack(func(c *call) error { _, err := io.Copy(c.channel, c.channel); return err }))
	p.handle("sink", hijack(sink))
	p.handle("source", withArg(source))
	p.handle("die", hijack(die))
}

func each(c *call, args []any) any {
	options, _ := args[0].(map[string]any)
	items, _ := options["items"].([]any)
	replies := make([]any, len(items))
	for i, item := range items {
		reply, err := pointerIn(options["fn"]).call(c.peer, item)
		if err != nil {
			return err
		}
		replies[i] = reply
	}
	return replies
}

func (s *state) keep(c *call, args []any) any {
	f, p := pointerIn(args[0]), c.peer
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = func(v any) (any, error) { return f.call(p, v) }
	return nil
}

func (s *state) callKept(_ *call, args []any) any {
	s.mu.Lock()
	kept := s.kept
	s.mu.Unlock()
	if kept == nil {
		return errors.New("there is no function")
	}
	return orError(kept(args[0]))
}

func (s *state) adder(c *call, args []any) any {
	id := fmt.Sprintf("adder%d", s.adders.Add(1))
	n := args[0].(float64)
	c.peer.handle(id, fn(1, func(_ *call, args []any) any { return n + args[0].(float64) }))
	return pointer{id}
}

func (s *state) numbers(c *call, args []int) error {
	if args[0] < 0 {
		return c.respond(errors.New("there are no negative counts"))
	}
	if err := c.goOn(nil); err != nil {
		return err
	}
	for i := range args[0] {
		if err := c.send(i); err != nil {
			s.left.Add(1)
			return nil
		}
	}
	return c.CloseWrite()
}

func sum(c *call, n int) error {
	var total int64
	for i := range n {
		var v int64
		if err := c.receive(&v); err != nil {
			return c.respond(fmt.Errorf("number %d of %d: %w", i, n, err))
		}
		total += v
	}
	return c.respond(total)
}

func doubled(c *call, n int) error {
	if err := c.goOn(nil); err != nil {
		return err
	}
	for range n {
		var v int64
		if err := c.receive(&v); err != nil {
			return err
		}
		if err := c.send(2 * v); err != nil {
			return err
		}
	}
	return c.CloseWrite()
}

func callback(c *call, arg []any) error {
	selector, _ := arg[0].(string)
	var reply any
	_, err := c.peer.call(context.Background(), selector, arg[1], &reply)
	return c.respond(orError(reply, remoteText(err)))
}

// slow is not told that its call was cancelled, but its reads end, and then it
// cannot write.
func (s *state) slow(c *call, ms int) error {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, c.channel)
		close(ended)
	}()
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return c.respond(ms)
	case <-ended:
		time.Sleep(20 * time.Millisecond)
		if c.respond(errors.New("slow: the caller's data ended")) != nil {
			s.cancelled.Add(1)
		}
		return nil
	}
}

func count(c *call, n int) error {
	if err := c.goOn(n); err != nil {
		return err
	}
	for i := range n {
		if err := c.send(i); err != nil {
			return err
		}
	}
	return nil
}

func sink(c *call) error {
	hash := sha256.New()
	n, err := io.Copy(hash, c.channel)
	if err != nil {
		return err
	}
	return c.send(digest{n, hex.EncodeToString(hash.Sum(nil))})
}

func source(c *call, n int64) error {
	if err := c.goOn(n); err != nil {
		return err
	}
	if _, err := io.Copy(c.channel, pattern(n)); err != nil {
		return err
	}
	return c.CloseWrite()
}

func die(c *call) error {
	if _, err := io.Copy(c.channel, pattern(dieBytes)); err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond)
	os.Exit(dieStatus)
	return nil
}
