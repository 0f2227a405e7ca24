package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/progrium/qtalk-go/fn"
	"github.com/progrium/qtalk-go/rpc"
	"github.com/progrium/qtalk-go/talk"
	cbor "github.com/progrium/qtalk-go/x/cbor/codec"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

type testCase struct {
	name  string
	run   func(context.Context, *talk.Peer) error
	fatal bool // ends the other side's process
}

var cases = []testCase{
	{name: "unary", run: unary},
	{name: "error", run: remoteErrors},
	{name: "not-found", run: notFound},
	{name: "multi", run: multiValues},
	{name: "none", run: noValue},
	{name: "stream-args", run: streamArgs},
	{name: "stream-replies", run: streamReplies},
	{name: "hijack-1", run: hijackBytes(1)},
	{name: "hijack-1k", run: hijackBytes(kib)},
	{name: "hijack-1m", run: hijackBytes(mib)},
	{name: "hijack-64m", run: hijackBytes(64 * mib)},
	{name: "sink-64m", run: sinkBytes(64 * mib)},
	{name: "source-64m", run: sourceBytes(64 * mib)},
	{name: "callback", run: callbacks},
	{name: "pass-function", run: passFunctions},
	{name: "keep-function", run: keepFunctions},
	{name: "receive-function", run: receiveFunctions},
	{name: "generator", run: generator},
	{name: "leave-generator", run: leaveGenerator},
	{name: "stream-to-function", run: streamToFunction},
	{name: "concurrent-100", run: concurrent(100)},
	{name: "concurrent-1000", run: concurrent(1000)},
	{name: "cancel", run: cancelCall},
	{name: "peer-dies", run: peerDies, fatal: true},
}

func unary(ctx context.Context, p *talk.Peer) error {
	values := []any{
		nil, true, false, 0, 1, -1, 255, 65536, 1<<53 - 1, 1.5, -0.25,
		"", "hello", "ünï 🦕 <&>\u2028\x00", strings.Repeat("x", mib),
		[]any{}, []any{1, "two", nil, []any{3.5, []any{}}},
		map[string]any{}, map[string]any{"a": 1, "nested": map[string]any{"list": []any{true, nil}}},
	}
	if _, ok := p.Codec.(cbor.CBORCodec); ok {
		values = append(values, []byte{}, []byte{0, 1, 254, 255})
	}
	for _, v := range values {
		if err := expectReply(ctx, p, "echo", v, v); err != nil {
			return err
		}
	}
	if err := expectReply(ctx, p, "Upper", fn.Args{"hello"}, "HELLO"); err != nil {
		return err
	}
	if err := expectReply(ctx, p, "/Upper", fn.Args{"slash"}, "SLASH"); err != nil {
		return err
	}
	return expectReply(ctx, p, "Add", fn.Args{19, 23}, 42)
}

func remoteErrors(ctx context.Context, p *talk.Peer) error {
	return errors.Join(
		expectError(ctx, p, "Fail", fn.Args{"boom"}, "boom"),
		expectError(ctx, p, "Fail", fn.Args{""}, ""),
		expectError(ctx, p, "Error", fn.Args{"user error"}, "user error [/Error]"),
		expectError(ctx, p, "Upper", fn.Args{"a", "b"}, "fn: expected 1 params, got 2"),
		expectError(ctx, p, "Add", fn.Args{}, "fn: expected 2 params, got 0"),
	)
}

func notFound(ctx context.Context, p *talk.Peer) error {
	return errors.Join(
		expectError(ctx, p, "no.such/selector", nil, "not found: /no/such/selector"),
		expectError(ctx, p, "", nil, "not found: /"),
		expectReply(ctx, p, "echo", "after", "after"),
	)
}

func multiValues(ctx context.Context, p *talk.Peer) error {
	var (
		one   int
		two   string
		three []int
	)
	if _, err := p.Call(ctx, "multi", nil, &one, &two, &three); err != nil {
		return err
	}
	return expect("multi", []any{one, two, len(three), three[0]}, []any{1, "two", 1, 3})
}

func noValue(ctx context.Context, p *talk.Peer) error {
	return expectReply(ctx, p, "none", "ignored", nil)
}

func streamArgs(ctx context.Context, p *talk.Peer) error {
	for _, n := range []int{0, 1, 1000} {
		args, want := make(chan any), 0
		go func() {
			defer close(args)
			args <- n
			for i := range n {
				args <- i - 10
			}
		}()
		for i := range n {
			want += i - 10
		}
		if err := expectReply(ctx, p, "sum", args, want); err != nil {
			return err
		}
	}
	return nil
}

func streamReplies(ctx context.Context, p *talk.Peer) error {
	for _, n := range []int{0, 1, 1000} {
		var first int
		resp, err := continued(ctx, p, "count", n, &first)
		if err != nil {
			return err
		}
		defer resp.Channel.Close()
		if err := expect("count", first, n); err != nil {
			return err
		}
		for i := range n {
			got := -1
			if err := resp.Receive(&got); err != nil {
				return fmt.Errorf("value %d of %d: %w", i, n, err)
			}
			if got != i {
				return fmt.Errorf("value %d of %d is %d", i, n, got)
			}
		}
		if err := expectEnd(resp); err != nil {
			return err
		}
	}
	return nil
}

// hijackBytes writes and reads at once, as a peer with a small window needs,
// and ends its writing long before it has read everything.
func hijackBytes(size int64) func(context.Context, *talk.Peer) error {
	return func(ctx context.Context, p *talk.Peer) error {
		resp, err := continued(ctx, p, "bytes", nil)
		if err != nil {
			return err
		}
		defer resp.Channel.Close()
		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(resp.Channel, pattern(size))
			if err == nil {
				err = resp.Channel.CloseWrite()
			}
			sent <- err
		}()
		if err := verifyPattern(resp.Channel, size); err != nil {
			return err
		}
		return <-sent
	}
}

func sinkBytes(size int64) func(context.Context, *talk.Peer) error {
	return func(ctx context.Context, p *talk.Peer) error {
		resp, err := continued(ctx, p, "sink", nil)
		if err != nil {
			return err
		}
		defer resp.Channel.Close()
		hash := sha256.New()
		if _, err := io.Copy(io.MultiWriter(resp.Channel, hash), pattern(size)); err != nil {
			return err
		}
		if err := resp.Channel.CloseWrite(); err != nil {
			return err
		}
		var got digest
		if err := resp.Receive(&got); err != nil {
			return fmt.Errorf("digest: %w", err)
		}
		if want := (digest{size, hex.EncodeToString(hash.Sum(nil))}); got != want {
			return fmt.Errorf("sink got %+v, expected %+v", got, want)
		}
		return expectEnd(resp)
	}
}

func sourceBytes(size int64) func(context.Context, *talk.Peer) error {
	return func(ctx context.Context, p *talk.Peer) error {
		var announced int64
		resp, err := continued(ctx, p, "source", size, &announced)
		if err != nil {
			return err
		}
		defer resp.Channel.Close()
		if err := expect("source", announced, size); err != nil {
			return err
		}
		return verifyPattern(resp.Channel, size)
	}
}

// callbacks has the other side call this one while it is being called: once,
// several levels deep, and failing.
func callbacks(ctx context.Context, p *talk.Peer) error {
	upper := []any{"Upper", []any{"back"}}
	value := map[string]any{"n": 21, "list": []any{1, nil}}
	return errors.Join(
		expectReply(ctx, p, "callback", upper, "BACK"),
		expectReply(ctx, p, "callback", []any{"echo", value}, value),
		expectReply(ctx, p, "callback", []any{"none", nil}, nil),
		expectReply(ctx, p, "callback", []any{"callback", []any{"callback", upper}}, "BACK"),
		expectError(ctx, p, "callback", []any{"Fail", []any{"boom"}}, "remote: boom"),
		expectError(ctx, p, "callback", []any{"nobody", nil}, "remote: not found: /nobody"),
	)
}

// concurrent makes n calls at once. With n = 1000 the reference deadlocks
// against itself over a Unix socket, always, and over pipes, at times: the one
// side's read loop waits to write an answering CLOSE, the other's to write a
// CONFIRM, and neither reads. It cannot happen with a peer that never stops
// reading, and that ours does not is what the case is for.
func concurrent(n int) func(context.Context, *talk.Peer) error {
	return func(ctx context.Context, p *talk.Peer) error {
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if i%2 == 0 {
					errs[i] = expectReply(ctx, p, "echo", i, i)
				} else {
					errs[i] = expectReply(ctx, p, "Add", fn.Args{i, n}, i+n)
				}
			}()
		}
		wg.Wait()
		// One is enough to tell what went wrong; a thousand would not be read.
		failed, last := 0, error(nil)
		for _, err := range errs {
			if err != nil {
				failed, last = failed+1, err
			}
		}
		if failed > 0 {
			return fmt.Errorf("%d of %d calls failed, one with: %w", failed, n, last)
		}
		return nil
	}
}

// cancelCall expects a cancelled call to return soon, the session to go on
// working and the other side to notice.
func cancelCall(ctx context.Context, p *talk.Peer) error {
	const wait, soon = 30_000, 5 * time.Second

	var before int
	if _, err := p.Call(ctx, "cancelled", nil, &before); err != nil {
		return err
	}
	// Cancelled only when the arguments have long been sent: the reference may
	// send DATA after its own CLOSE otherwise.
	callCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	time.AfterFunc(200*time.Millisecond, cancel)
	start := time.Now()
	_, err := p.Call(callCtx, "slow", wait, nil)
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("cancelled call ended with %v, expected %v", err, context.Canceled)
	}
	if took := time.Since(start); took > soon {
		return fmt.Errorf("cancelled call took %v", took)
	}
	if err := expectReply(ctx, p, "slow", 1, 1); err != nil {
		return err
	}
	for deadline := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		var after int
		if _, err := p.Call(ctx, "cancelled", nil, &after); err != nil {
			return err
		}
		if after > before {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the other side saw no cancelled call within %v", soon)
		}
	}
}

// peerDies expects what was sent before the death, then the end of the data or
// an error, and no call to hang afterwards.
func peerDies(ctx context.Context, p *talk.Peer) error {
	resp, err := continued(ctx, p, "die", nil)
	if err != nil {
		return err
	}
	if err := verifyPattern(resp.Channel, dieBytes); err != nil {
		return err
	}
	p.Session.Wait()
	if _, err := p.Call(ctx, "echo", 1, nil); err == nil {
		return errors.New("a call succeeded after the other side's death")
	}
	return nil
}

// continued calls a selector that must keep the channel open.
func continued(ctx context.Context, p *talk.Peer, selector string, arg any, reply ...any) (*rpc.Response, error) {
	resp, err := p.Call(ctx, selector, arg, reply...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", selector, err)
	}
	if !resp.Continue {
		return nil, fmt.Errorf("%s: the response does not continue", selector)
	}
	return resp, nil
}

func expectReply(ctx context.Context, p *talk.Peer, selector string, arg, want any) error {
	// Empty, for CBOR's null leaves what is here as it is. That no value came at
	// all shows as an error.
	var got any
	if _, err := p.Call(ctx, selector, arg, &got); err != nil {
		return fmt.Errorf("%s: %w", selector, err)
	}
	return expect(selector, got, want)
}

func expectError(ctx context.Context, p *talk.Peer, selector string, arg any, text string) error {
	_, err := p.Call(ctx, selector, arg, nil)
	var remote rpc.RemoteError
	if !errors.As(err, &remote) {
		return fmt.Errorf("%s: ended with %v, expected a remote error", selector, err)
	}
	if string(remote) != text {
		return fmt.Errorf("%s: failed with %q, expected %q", selector, string(remote), text)
	}
	return nil
}

// expectEnd expects the other side to have sent its last value.
func expectEnd(resp *rpc.Response) error {
	n, err := resp.Channel.Read(make([]byte, 1))
	if n > 0 {
		return errors.New("more data after the last value")
	}
	if err != io.EOF {
		return fmt.Errorf("after the last value: %w", err)
	}
	return nil
}

func expect(what string, got, want any) error {
	got, want = plain(got), plain(want)
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: got %s, expected %s", what, brief(got), brief(want))
	}
	return nil
}

func brief(v any) string {
	s := fmt.Sprintf("%#v", v)
	if len(s) > 200 {
		s = fmt.Sprintf("%s… (%d bytes)", s[:200], len(s))
	}
	return s
}

// plain brings a value to the one form in which equal values are equal: the
// codecs decode numbers into float64 or several integers, and CBOR maps have
// keys of any type.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for k, e := range v {
			object[k] = plain(e)
		}
		return object
	case map[any]any:
		object := make(map[string]any, len(v))
		for k, e := range v {
			key, ok := k.(string)
			if !ok {
				key = fmt.Sprintf("%T %v", k, k) // equal to no key we send
			}
			object[key] = plain(e)
		}
		return object
	}
	switch rv := reflect.ValueOf(v); {
	case v == nil:
		return nil
	case rv.CanInt():
		return float64(rv.Int())
	case rv.CanUint():
		return float64(rv.Uint())
	case rv.CanFloat():
		return rv.Float()
	}
	return v
}
