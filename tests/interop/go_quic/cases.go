package main

// The cases of tests/interop/go/cases.go and ptr.go, which say what each is about.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"
)

const (
	kib  = 1 << 10
	mib  = 1 << 20
	soon = 5 * time.Second
)

type testCase func(context.Context, *peer) error

type object = map[string]any
type list = []any

var cases = map[string]testCase{
	"unary":              unary,
	"error":              remoteErrors,
	"not-found":          notFound,
	"multi":              multiValues,
	"none":               func(ctx context.Context, p *peer) error { return reply(ctx, p, "none", "ignored", nil) },
	"stream-args":        streamArgs,
	"stream-replies":     streamReplies,
	"hijack-1":           hijackBytes(1),
	"hijack-1k":          hijackBytes(kib),
	"hijack-1m":          hijackBytes(mib),
	"hijack-64m":         hijackBytes(64 * mib),
	"sink-64m":           sinkBytes(64 * mib),
	"source-64m":         sourceBytes(64 * mib),
	"callback":           callbacks,
	"pass-function":      passFunctions,
	"keep-function":      keepFunctions,
	"receive-function":   receiveFunctions,
	"generator":          generator,
	"leave-generator":    leaveGenerator,
	"stream-to-function": streamToFunction,
	"concurrent-1000":    concurrent(1000),
	"peer-dies":          peerDies,
}

func unary(ctx context.Context, p *peer) error {
	values := list{
		nil, true, false, 0, 1, -1, 255, 65536, 1<<53 - 1, 1.5, -0.25,
		"", "hello", "ünï 🦕 <&>\u2028\x00", strings.Repeat("x", mib),
		list{}, list{1, "two", nil, list{3.5, list{}}},
		object{}, object{"a": 1, "nested": object{"list": list{true, nil}}},
	}
	for _, v := range values {
		if err := reply(ctx, p, "echo", v, v); err != nil {
			return err
		}
	}
	return errors.Join(
		reply(ctx, p, "Upper", list{"hello"}, "HELLO"),
		reply(ctx, p, "/Upper", list{"slash"}, "SLASH"),
		reply(ctx, p, "Add", list{19, 23}, 42),
	)
}

func remoteErrors(ctx context.Context, p *peer) error {
	return errors.Join(
		failure(ctx, p, "Fail", list{"boom"}, "boom"),
		failure(ctx, p, "Fail", list{""}, ""),
		failure(ctx, p, "Error", list{"user error"}, "user error [/Error]"),
		failure(ctx, p, "Upper", list{"a", "b"}, "fn: expected 1 params, got 2"),
		failure(ctx, p, "Add", list{}, "fn: expected 2 params, got 0"),
	)
}

func notFound(ctx context.Context, p *peer) error {
	return errors.Join(
		failure(ctx, p, "no.such/selector", nil, "not found: /no/such/selector"),
		failure(ctx, p, "", nil, "not found: /"),
		reply(ctx, p, "echo", "after", "after"),
	)
}

func multiValues(ctx context.Context, p *peer) error {
	var one, two, three any
	if _, err := p.call(ctx, "multi", nil, &one, &two, &three); err != nil {
		return err
	}
	return expect("multi", list{one, two, three}, list{1, "two", list{3}})
}

func streamArgs(ctx context.Context, p *peer) error {
	for _, n := range []int{0, 1, 1000} {
		if err := reply(ctx, p, "sum", numbersAfter(n, -10), n*(n-1)/2-10*n); err != nil {
			return err
		}
	}
	return nil
}

// numbersAfter gives n, and then n numbers from first on.
func numbersAfter(n, first int) chan any {
	args := make(chan any)
	go func() {
		defer close(args)
		args <- n
		for i := range n {
			args <- first + i
		}
	}()
	return args
}

func streamReplies(ctx context.Context, p *peer) error {
	for _, n := range []int{0, 1, 1000} {
		var first any
		resp, err := continued(ctx, p, "count", n, &first)
		if err != nil {
			return err
		}
		defer resp.Close()
		if err := errors.Join(expect("count", first, n), expectNumbers(resp, n, 1), expectEnd(resp)); err != nil {
			return err
		}
	}
	return nil
}

func hijackBytes(size int64) testCase {
	return func(ctx context.Context, p *peer) error {
		resp, err := continued(ctx, p, "bytes", nil)
		if err != nil {
			return err
		}
		defer resp.Close()
		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(resp.channel, pattern(size))
			sent <- errors.Join(err, resp.CloseWrite())
		}()
		if err := verifyPattern(resp.channel, size); err != nil {
			return err
		}
		return <-sent
	}
}

func sinkBytes(size int64) testCase {
	return func(ctx context.Context, p *peer) error {
		resp, err := continued(ctx, p, "sink", nil)
		if err != nil {
			return err
		}
		defer resp.Close()
		hash := sha256.New()
		if _, err := io.Copy(io.MultiWriter(resp.channel, hash), pattern(size)); err != nil {
			return err
		}
		if err := resp.CloseWrite(); err != nil {
			return err
		}
		var got digest
		if err := resp.receive(&got); err != nil {
			return fmt.Errorf("digest: %w", err)
		}
		if want := (digest{size, hex.EncodeToString(hash.Sum(nil))}); got != want {
			return fmt.Errorf("sink got %+v, expected %+v", got, want)
		}
		return expectEnd(resp)
	}
}

func sourceBytes(size int64) testCase {
	return func(ctx context.Context, p *peer) error {
		var announced any
		resp, err := continued(ctx, p, "source", size, &announced)
		if err != nil {
			return err
		}
		defer resp.Close()
		return errors.Join(expect("source", announced, size), verifyPattern(resp.channel, size))
	}
}

func callbacks(ctx context.Context, p *peer) error {
	upper := list{"Upper", list{"back"}}
	value := object{"n": 21, "list": list{1, nil}}
	return errors.Join(
		reply(ctx, p, "callback", upper, "BACK"),
		reply(ctx, p, "callback", list{"echo", value}, value),
		reply(ctx, p, "callback", list{"none", nil}, nil),
		reply(ctx, p, "callback", list{"callback", list{"callback", upper}}, "BACK"),
		failure(ctx, p, "callback", list{"Fail", list{"boom"}}, "remote: boom"),
		failure(ctx, p, "callback", list{"nobody", nil}, "remote: not found: /nobody"),
	)
}

// pass lends a function for the time of a call.
func pass(p *peer, id string, f func(arg any) any, use func(f pointer) error) error {
	p.handle(id, fn(1, func(_ *call, args []any) any { return f(args[0]) }))
	defer p.remove(id)
	return use(pointer{id})
}

func passFunctions(ctx context.Context, p *peer) error {
	double := func(n any) any { return 2 * n.(float64) }
	err := pass(p, "double", double, func(f pointer) error {
		return errors.Join(
			reply(ctx, p, "Apply", list{f, 21}, 42),
			reply(ctx, p, "Apply", list{f, 21}, 42),
		)
	})
	if err != nil {
		return err
	}
	err = failure(ctx, p, "Apply", list{pointer{"double"}, 21}, "remote: not found: /double")
	if err != nil {
		return err
	}
	fail := func(text any) any { return errors.New(text.(string)) }
	err = pass(p, "fail", fail, func(f pointer) error {
		return failure(ctx, p, "Apply", list{f, "boom"}, "remote: boom")
	})
	if err != nil {
		return err
	}
	seen := list{}
	length := func(name any) any {
		seen = append(seen, name)
		return len(name.(string))
	}
	return pass(p, "length", length, func(f pointer) error {
		options := object{"items": list{"Ann", "Bo"}, "fn": f}
		return errors.Join(
			reply(ctx, p, "Each", list{options}, list{3, 2}),
			expect("Each", seen, list{"Ann", "Bo"}),
		)
	})
}

func keepFunctions(ctx context.Context, p *peer) error {
	next := func(n any) any { return n.(float64) + 1 }
	err := pass(p, "next", next, func(f pointer) error {
		return errors.Join(
			reply(ctx, p, "Keep", list{f}, nil),
			reply(ctx, p, "Kept", list{1}, 2),
			reply(ctx, p, "Kept", list{2}, 3),
		)
	})
	if err != nil {
		return err
	}
	if _, err := p.call(ctx, "Kept", list{3}); err == nil {
		return errors.New("a function was called that was taken away")
	}
	return nil
}

func receiveFunctions(ctx context.Context, p *peer) error {
	var add, more pointer
	if _, err := p.call(ctx, "Adder", list{20}, &add); err != nil {
		return err
	}
	if _, err := p.call(ctx, "Adder", list{-1}, &more); err != nil {
		return err
	}
	return errors.Join(
		reply(ctx, p, add.ID, list{22}, 42),
		reply(ctx, p, more.ID, list{1}, 0),
		reply(ctx, p, add.ID, list{0}, 20),
	)
}

func generator(ctx context.Context, p *peer) error {
	for _, n := range []int{0, 1, 1000} {
		resp, err := continued(ctx, p, "Numbers", list{n})
		if err != nil {
			return err
		}
		defer resp.Close()
		if err := errors.Join(expectNumbers(resp, n, 1), expectEnd(resp)); err != nil {
			return err
		}
	}
	return failure(ctx, p, "Numbers", list{-1}, "there are no negative counts")
}

func leaveGenerator(ctx context.Context, p *peer) error {
	var before, after int
	if _, err := p.call(ctx, "left", nil, &before); err != nil {
		return err
	}
	resp, err := continued(ctx, p, "Numbers", list{1_000_000})
	if err != nil {
		return err
	}
	if err := expectNumbers(resp, 10, 1); err != nil {
		return err
	}
	resp.Close()
	for deadline := time.Now().Add(soon); after != before+1; time.Sleep(20 * time.Millisecond) {
		if _, err := p.call(ctx, "left", nil, &after); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the other side's producer was not let go within %v", soon)
		}
	}
	return nil
}

func streamToFunction(ctx context.Context, p *peer) error {
	for _, n := range []int{0, 1, 1000} {
		if err := reply(ctx, p, "Total", numbersAfter(n, 0), n*(n-1)/2); err != nil {
			return err
		}
		resp, err := continued(ctx, p, "Doubled", numbersAfter(n, 0))
		if err != nil {
			return err
		}
		defer resp.Close()
		if err := errors.Join(expectNumbers(resp, n, 2), expectEnd(resp)); err != nil {
			return err
		}
	}
	return nil
}

func concurrent(n int) testCase {
	return func(ctx context.Context, p *peer) error {
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if i%2 == 0 {
					errs[i] = reply(ctx, p, "echo", i, i)
				} else {
					errs[i] = reply(ctx, p, "Add", list{i, n}, i+n)
				}
			}()
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				return fmt.Errorf("call %d of %d: %w", i, n, err)
			}
		}
		return nil
	}
}

func peerDies(ctx context.Context, p *peer) error {
	resp, err := continued(ctx, p, "die", nil)
	if err != nil {
		return err
	}
	received := make([]byte, dieBytes)
	if _, err := io.ReadFull(resp.channel, received); err != nil {
		return err
	}
	if n, err := resp.Read(make([]byte, 1)); err == io.EOF {
		return fmt.Errorf("after the death, read %d bytes and the end of the data", n)
	}
	if p.ended() == nil {
		return errors.New("the session ended as if it had been closed")
	}
	if _, err := p.call(ctx, "echo", 1); err == nil {
		return errors.New("a call succeeded after the other side's death")
	}
	return nil
}

func continued(ctx context.Context, p *peer, selector string, arg any, replies ...any) (*response, error) {
	resp, err := p.call(ctx, selector, arg, replies...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", selector, err)
	}
	if !resp.continued {
		return nil, fmt.Errorf("%s: the response does not continue", selector)
	}
	return resp, nil
}

func reply(ctx context.Context, p *peer, selector string, arg, want any) error {
	var got any = "not replaced"
	if _, err := p.call(ctx, selector, arg, &got); err != nil {
		return fmt.Errorf("%s: %w", selector, err)
	}
	return expect(selector, got, want)
}

func failure(ctx context.Context, p *peer, selector string, arg any, text string) error {
	_, err := p.call(ctx, selector, arg)
	var remote remoteError
	if !errors.As(err, &remote) {
		return fmt.Errorf("%s: ended with %v, expected a remote error", selector, err)
	}
	if string(remote) != text {
		return fmt.Errorf("%s: failed with %q, expected %q", selector, string(remote), text)
	}
	return nil
}

// expectNumbers receives 0, factor, 2*factor and so on.
func expectNumbers(resp *response, n, factor int) error {
	for i := range n {
		got := -1
		if err := resp.receive(&got); err != nil {
			return fmt.Errorf("value %d of %d: %w", i, n, err)
		}
		if got != i*factor {
			return fmt.Errorf("value %d of %d is %d", i, n, got)
		}
	}
	return nil
}

func expectEnd(resp *response) error {
	n, err := resp.Read(make([]byte, 1))
	if n > 0 {
		return errors.New("more data after the last value")
	}
	if err != io.EOF {
		return fmt.Errorf("after the last value: %w", err)
	}
	return nil
}

// expect compares values as JSON has them, so that all numbers are of one type.
func expect(what string, got, want any) error {
	encoded, err := json.Marshal(want)
	if err != nil {
		return err
	}
	var plain any
	json.Unmarshal(encoded, &plain)
	encoded, _ = json.Marshal(got)
	json.Unmarshal(encoded, &got)
	if !reflect.DeepEqual(got, plain) {
		return fmt.Errorf("%s: got %.200v, expected %.200v", what, got, plain)
	}
	return nil
}
