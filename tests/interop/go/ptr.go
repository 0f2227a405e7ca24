package main

// Functions among arguments and results, which are the reference's package exp,
// and streams of values as functions of the other side make and take them: what
// the service has of them, and the cases.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitchellh/mapstructure"
	"github.com/progrium/qtalk-go/exp"
	"github.com/progrium/qtalk-go/fn"
	"github.com/progrium/qtalk-go/rpc"
	"github.com/progrium/qtalk-go/talk"
)

// --- The service ---------------------------------------------------------------

func handlePtrs(m *rpc.RespondMux) {
	kept := &keptFunction{}
	numbers := &numberStreams{}
	m.Handle("Apply", fn.HandlerFrom(apply))
	m.Handle("Each", fn.HandlerFrom(each))
	m.Handle("Keep", fn.HandlerFrom(kept.keep))
	m.Handle("Kept", fn.HandlerFrom(kept.call))
	m.Handle("Adder", fn.HandlerFrom(func(n int) *exp.Ptr {
		// The reference has no way to hear that nobody wants it any more.
		adder := exp.Callback(func(m int) int { return n + m })
		exp.RegisterPtrs(m, []*exp.Ptr{adder})
		return adder
	}))
	m.Handle("Numbers", withArg(numbers.send))
	m.Handle("left", withArg(numbers.countLeft))
	m.Handle("Total", withArg(sum))
	m.Handle("Doubled", withArg(doubled))
}

func apply(f exp.Ptr, v any, c *rpc.Call) (any, error) {
	exp.SetCallers([]*exp.Ptr{&f}, c.Caller)
	var reply any
	_, err := f.Call(c.Context, fn.Args{v}, &reply)
	return reply, err
}

// each finds its function in a map, as package exp says to.
func each(options map[string]any, c *rpc.Call) ([]any, error) {
	if ids := exp.SetCallers(options, c.Caller); len(ids) != 1 {
		return nil, fmt.Errorf("each: expected 1 function, got %d", len(ids))
	}
	var opts struct {
		Items []any
		Fn    *exp.Ptr
	}
	if err := mapstructure.Decode(options, &opts); err != nil {
		return nil, err
	}
	replies := make([]any, len(opts.Items))
	for i, item := range opts.Items {
		if _, err := opts.Fn.Call(c.Context, fn.Args{item}, &replies[i]); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

type keptFunction struct {
	mu sync.Mutex
	f  *exp.Ptr
}

func (k *keptFunction) keep(f exp.Ptr, c *rpc.Call) {
	f.Caller = c.Caller
	k.mu.Lock()
	defer k.mu.Unlock()
	k.f = &f
}

func (k *keptFunction) call(v any, c *rpc.Call) (any, error) {
	k.mu.Lock()
	f := k.f
	k.mu.Unlock()
	if f == nil {
		return nil, errors.New("there is no function")
	}
	var reply any
	_, err := f.Call(c.Context, fn.Args{v}, &reply)
	return reply, err
}

type numberStreams struct{ left atomic.Int64 }

func (s *numberStreams) send(r rpc.Responder, _ *rpc.Call, args []int) error {
	if len(args) != 1 {
		return r.Return(fmt.Errorf("fn: expected 1 params, got %d", len(args)))
	}
	if args[0] < 0 {
		return r.Return(errors.New("there are no negative counts"))
	}
	ch, err := r.Continue(nil)
	if err != nil {
		return err
	}
	defer ch.Close()
	for i := range args[0] {
		if err := r.Send(i); err != nil {
			s.left.Add(1)
			return nil
		}
	}
	return ch.CloseWrite()
}

func (s *numberStreams) countLeft(r rpc.Responder, _ *rpc.Call, _ any) error {
	return r.Return(s.left.Load())
}

func doubled(r rpc.Responder, c *rpc.Call, n int) error {
	ch, err := r.Continue(nil)
	if err != nil {
		return err
	}
	defer ch.Close()
	for range n {
		var v int64
		if err := c.Receive(&v); err != nil {
			return err
		}
		if err := r.Send(2 * v); err != nil {
			return err
		}
	}
	return ch.CloseWrite()
}

// --- The cases -------------------------------------------------------------------

// pass registers the functions in args, calls, and takes them away again.
func pass(p *talk.Peer, args fn.Args, call func() error) error {
	exp.RegisterPtrs(p.RespondMux, args)
	defer exp.UnregisterPtrs(p.RespondMux, args)
	return call()
}

func passFunctions(ctx context.Context, p *talk.Peer) error {
	double := exp.Callback(func(n int) int { return 2 * n })
	args := fn.Args{double, 21}
	err := pass(p, args, func() error {
		// As often as one likes while it is registered.
		return errors.Join(
			expectReply(ctx, p, "Apply", args, 42),
			expectReply(ctx, p, "Apply", args, 42),
		)
	})
	if err != nil {
		return err
	}
	// The other side has no right to it any more.
	if err := expectError(ctx, p, "Apply", args, "remote: not found: /"+double.Ptr); err != nil {
		return err
	}

	args = fn.Args{exp.Callback(func(text string) error { return errors.New(text) }), "boom"}
	err = pass(p, args, func() error {
		return expectError(ctx, p, "Apply", args, "remote: boom")
	})
	if err != nil {
		return err
	}

	var seen []string
	args = fn.Args{map[string]any{
		"items": []any{"Ann", "Bo"},
		"fn": exp.Callback(func(name string) int {
			seen = append(seen, name)
			return len(name)
		}),
	}}
	return pass(p, args, func() error {
		return errors.Join(
			expectReply(ctx, p, "Each", args, []any{3, 2}),
			expect("Each", fmt.Sprint(seen), "[Ann Bo]"),
		)
	})
}

func keepFunctions(ctx context.Context, p *talk.Peer) error {
	args := fn.Args{exp.Callback(func(n int) int { return n + 1 })}
	err := pass(p, args, func() error {
		return errors.Join(
			expectReply(ctx, p, "Keep", args, nil),
			expectReply(ctx, p, "Kept", fn.Args{1}, 2),
			expectReply(ctx, p, "Kept", fn.Args{2}, 3),
		)
	})
	if err != nil {
		return err
	}
	_, err = p.Call(ctx, "Kept", fn.Args{3}, nil)
	if err == nil {
		return errors.New("a function was called that was taken away")
	}
	return nil
}

func receiveFunctions(ctx context.Context, p *talk.Peer) error {
	var add, more exp.Ptr
	if _, err := p.Call(ctx, "Adder", fn.Args{20}, &add); err != nil {
		return err
	}
	if _, err := p.Call(ctx, "Adder", fn.Args{-1}, &more); err != nil {
		return err
	}
	exp.SetCallers([]*exp.Ptr{&add, &more}, p.Client)
	for _, call := range []struct {
		f       *exp.Ptr
		n, want int
	}{{&add, 22, 42}, {&more, 1, 0}, {&add, 0, 20}} {
		var got int
		if _, err := call.f.Call(ctx, fn.Args{call.n}, &got); err != nil {
			return err
		}
		if err := expect("Adder", got, call.want); err != nil {
			return err
		}
	}
	return nil
}

// numberStream calls Numbers and returns the response, whose one value is null.
func numberStream(ctx context.Context, p *talk.Peer, n int) (*rpc.Response, error) {
	var null any = "not replaced"
	resp, err := continued(ctx, p, "Numbers", fn.Args{n}, &null)
	if err != nil {
		return nil, err
	}
	return resp, expect("Numbers", null, nil)
}

func generator(ctx context.Context, p *talk.Peer) error {
	for _, n := range []int{0, 1, 1000} {
		resp, err := numberStream(ctx, p, n)
		if err != nil {
			return err
		}
		defer resp.Channel.Close()
		if err := expectNumbers(resp, n, 1); err != nil {
			return err
		}
		if err := expectEnd(resp); err != nil {
			return err
		}
	}
	return expectError(ctx, p, "Numbers", fn.Args{-1}, "there are no negative counts")
}

// expectNumbers receives 0, factor, 2*factor and so on.
func expectNumbers(resp *rpc.Response, n, factor int) error {
	for i := range n {
		got := -1
		if err := resp.Receive(&got); err != nil {
			return fmt.Errorf("value %d of %d: %w", i, n, err)
		}
		if got != i*factor {
			return fmt.Errorf("value %d of %d is %d", i, n, got)
		}
	}
	return nil
}

func leaveGenerator(ctx context.Context, p *talk.Peer) error {
	const soon = 5 * time.Second
	var before int
	if _, err := p.Call(ctx, "left", nil, &before); err != nil {
		return err
	}
	resp, err := numberStream(ctx, p, 1_000_000)
	if err != nil {
		return err
	}
	if err := expectNumbers(resp, 10, 1); err != nil {
		return err
	}
	if err := resp.Channel.Close(); err != nil {
		return err
	}
	for deadline := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		var after int
		if _, err := p.Call(ctx, "left", nil, &after); err != nil {
			return err
		}
		if after == before+1 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the other side's producer was not let go within %v", soon)
		}
	}
}

// channelOfArgs returns a channel that gives n and then n numbers.
func channelOfArgs(n int) chan any {
	args := make(chan any)
	go func() {
		defer close(args)
		args <- n
		for i := range n {
			args <- i
		}
	}()
	return args
}

func streamToFunction(ctx context.Context, p *talk.Peer) error {
	for _, n := range []int{0, 1, 1000} {
		if err := expectReply(ctx, p, "Total", channelOfArgs(n), n*(n-1)/2); err != nil {
			return err
		}
		resp, err := continued(ctx, p, "Doubled", channelOfArgs(n))
		if err != nil {
			return err
		}
		defer resp.Channel.Close()
		if err := expectNumbers(resp, n, 2); err != nil {
			return err
		}
		if _, err := resp.Channel.Read(make([]byte, 1)); err != io.EOF {
			return fmt.Errorf("after the last value: %v", err)
		}
	}
	return nil
}
