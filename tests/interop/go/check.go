package main

// The reference's interop check (its command line's "interop" and "check"),
// rebuilt on its package interop. It prints what comes back; here it is compared.

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/progrium/qtalk-go/fn"
	"github.com/progrium/qtalk-go/interop"
	"github.com/progrium/qtalk-go/rpc"
	"github.com/progrium/qtalk-go/talk"
)

func interopService() *rpc.RespondMux {
	return fn.HandlerFrom(interop.InteropService{}).(*rpc.RespondMux)
}

func callbackService() *rpc.RespondMux {
	return fn.HandlerFrom(interop.CallbackService{}).(*rpc.RespondMux)
}

var checks = []testCase{
	{name: "error", run: checkError},
	{name: "bad-selector", run: checkBadSelector},
	{name: "unary", run: checkUnary},
	{name: "stream", run: checkStream},
	{name: "bytes-1", run: checkBytes(1)},
	{name: "bytes-1k", run: checkBytes(kib)},
	{name: "bytes-1m", run: checkBytes(mib)},
}

// checkValues are what is sent, and must come back.
var checkValues = []any{
	100,
	true,
	"hello",
	map[string]any{"foo": "bar"},
	[]any{1, 2, 3},
}

func checkError(ctx context.Context, p *talk.Peer) error {
	return expectError(ctx, p, "Error", "test", "test")
}

func checkBadSelector(ctx context.Context, p *talk.Peer) error {
	_, err := p.Call(ctx, "BadSelector", "test", nil)
	var remote rpc.RemoteError
	if !errors.As(err, &remote) {
		return fmt.Errorf("BadSelector: ended with %v, expected a remote error", err)
	}
	return nil
}

func checkUnary(ctx context.Context, p *talk.Peer) error {
	for _, v := range checkValues {
		if err := expectReply(ctx, p, "Unary", v, v); err != nil {
			return err
		}
	}
	return nil
}

func checkStream(ctx context.Context, p *talk.Peer) error {
	resp, err := continued(ctx, p, "Stream", nil)
	if err != nil {
		return err
	}
	defer resp.Channel.Close()
	sent := make(chan error, 1)
	go func() {
		var err error
		for _, v := range checkValues {
			err = errors.Join(err, resp.Send(v))
		}
		sent <- errors.Join(err, resp.Channel.CloseWrite())
	}()
	for i, v := range checkValues {
		var got any
		if err := resp.Receive(&got); err != nil {
			return fmt.Errorf("value %d of %d: %w", i, len(checkValues), err)
		}
		if err := expect(fmt.Sprintf("value %d", i), got, v); err != nil {
			return err
		}
	}
	return errors.Join(<-sent, expectEnd(resp))
}

func checkBytes(size int64) func(context.Context, *talk.Peer) error {
	return func(ctx context.Context, p *talk.Peer) error {
		resp, err := continued(ctx, p, "Bytes", nil)
		if err != nil {
			return err
		}
		defer resp.Channel.Close()
		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(resp.Channel, pattern(size))
			sent <- errors.Join(err, resp.Channel.CloseWrite())
		}()
		if err := verifyPattern(resp.Channel, size); err != nil {
			return err
		}
		return <-sent
	}
}
