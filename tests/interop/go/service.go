package main

// The service, served alike by this program and by its Deno mirror. This is
// the contract between them.
//
// "Argument" is the one value after the call header; "continues with" is a
// response with Continue set; "value" is a framed value in the session's
// codec. A selector not listed fails with "not found: /the/selector".
//
// Functions, whose argument is an array of parameters of the right length,
// else they fail with "fn: expected N params, got M":
//
//	Upper(s)      returns s in upper case
//	Add(a, b)     returns a + b, all three integers
//	Fail(text)    fails with text, which may be empty
//	Error(text)   fails with "text [/Error]": text and the cleaned selector
//
// Plain calls:
//
//	echo       returns its argument unchanged, whatever it is
//	multi      returns three values: 1, "two", [3]
//	none       responds nothing, so the caller gets null
//	sum        its argument is a number n; reads n further values, integers,
//	           and returns their sum. (A caller cannot mark the end of its
//	           arguments while it waits for the response, hence the count.)
//	callback   its argument is [selector, value]: calls that selector of the
//	           caller with value, and returns what it returned. If that call
//	           fails, fails with the text the caller of a call sees, which is
//	           "remote: " and the remote text
//	slow       waits as many milliseconds as its argument says and returns the
//	           argument. Stops at once when the channel, or the session, is
//	           closed under it. Must not be called by who ends its own writing
//	           after the argument: to this side that looks the same, and it
//	           fails with "slow: the caller's data ended"
//	cancelled  returns how many calls of slow this process has seen closed
//
// Functions that take or give functions (ptr.go). Where one is called and fails,
// so does the call, with the text that the caller of a call sees. f is a function
// of the caller, {"$fnptr": id}:
//
//	Apply(f, v)     returns what f returns for v
//	Each(options)   options is {"items": list, "fn": f}: calls f for each item, and
//	                returns the list of what it returned
//	Keep(f)         keeps f for Kept, beyond this call
//	Kept(v)         returns what the function that was kept last returns for v
//	Adder(n)        returns a function that adds n to its one integer
//
// Streams of values that functions make or take (ptr.go):
//
//	Numbers(n)  continues with null, sends n values 0 … n-1, ends its writing and
//	            closes. Fails with "there are no negative counts" if n is negative
//	left        a plain call: returns how often the caller of Numbers closed the
//	            channel before all was sent
//	Total       as sum, by a function that is given the stream of arguments
//	Doubled     as sum, but continues with null, sends each number times two, ends
//	            its writing and closes
//
// Calls that keep the channel. Pattern bytes are those of pattern.go:
//
//	count      continues with its argument n, sends n values 0 … n-1, then
//	           closes the channel, with no EOF before the CLOSE
//	bytes      continues with null, echoes all bytes until the caller's EOF,
//	           then ends its writing and closes
//	sink       continues with null, reads all bytes until EOF, sends one value
//	           {"bytes": count, "sha256": lower-case hex}, ends its writing and
//	           closes
//	discard    as sink, but the value is the bare count: for benchmarks, where
//	           hashing would be what is measured
//	source     continues with its argument n, sends n pattern bytes, ends its
//	           writing and closes
//	die        continues with null, sends 1000 pattern bytes, and its process
//	           exits with status 3 without ending or closing anything

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/progrium/qtalk-go/fn"
	"github.com/progrium/qtalk-go/mux"
	"github.com/progrium/qtalk-go/rpc"
)

const (
	dieBytes  = 1000
	dieStatus = 3
)

// digest is what sink answers.
type digest struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func newService() *rpc.RespondMux {
	m := fn.HandlerFrom(functions{}).(*rpc.RespondMux)
	s := &slowCalls{}

	m.Handle("echo", withArg(echo))
	m.Handle("multi", withArg(multi))
	m.Handle("none", rpc.HandlerFunc(none))
	m.Handle("sum", withArg(sum))
	m.Handle("callback", withArg(callback))
	m.Handle("slow", withArg(s.slow))
	m.Handle("cancelled", withArg(s.cancelled))

	m.Handle("count", withArg(count))
	m.Handle("bytes", hijack(echoBytes))
	m.Handle("sink", hijack(sink))
	m.Handle("discard", hijack(discard))
	m.Handle("source", withArg(source))
	m.Handle("die", hijack(die))

	handlePtrs(m)
	return m
}

// functions are served through the reference's reflection.
type functions struct{}

func (functions) Upper(s string) string { return strings.ToUpper(s) }

// Add takes integers so that JSON's float64 goes through the reference's
// conversion to int.
func (functions) Add(a, b int) int { return a + b }

func (functions) Fail(text string) error { return errors.New(text) }

func (functions) Error(text string, c *rpc.Call) error {
	return fmt.Errorf("%s [%s]", text, c.Selector)
}

// withArg makes a handler of a function that takes its argument decoded.
func withArg[T any](h func(rpc.Responder, *rpc.Call, T) error) rpc.Handler {
	return rpc.HandlerFunc(func(r rpc.Responder, c *rpc.Call) {
		var arg T
		err := c.Receive(&arg)
		if err != nil {
			err = r.Return(fmt.Errorf("argument: %w", err))
		} else {
			err = h(r, c, arg)
		}
		// Past the response there is nobody to tell but the log. EOF is the usual
		// end: the caller had the reply and closed first, or it cancelled.
		if err != nil && err != io.EOF {
			log.Printf("%s: %v", c.Selector, err)
		}
	})
}

// hijack makes a handler of a function that takes over the channel after a
// null response. An error leaves the channel to be closed with no EOF.
func hijack(h func(rpc.Responder, mux.Channel) error) rpc.Handler {
	return withArg(func(r rpc.Responder, c *rpc.Call, _ any) error {
		ch, err := r.Continue(nil)
		if err != nil {
			return err
		}
		defer ch.Close()
		if err := h(r, ch); err != nil {
			return err
		}
		return ch.CloseWrite()
	})
}

func echo(r rpc.Responder, _ *rpc.Call, v any) error { return r.Return(v) }

func multi(r rpc.Responder, _ *rpc.Call, _ any) error { return r.Return(1, "two", []int{3}) }

// none leaves the response to the reference's server. Receive(nil) decodes
// into a []byte and so fails for most values, but the value has been read.
func none(_ rpc.Responder, c *rpc.Call) { c.Receive(nil) }

func sum(r rpc.Responder, c *rpc.Call, n int) error {
	var total int64
	for i := 0; i < n; i++ {
		var v int64
		if err := c.Receive(&v); err != nil {
			return r.Return(fmt.Errorf("number %d of %d: %w", i, n, err))
		}
		total += v
	}
	return r.Return(total)
}

func callback(r rpc.Responder, c *rpc.Call, arg []any) error {
	if len(arg) != 2 {
		return r.Return(fmt.Errorf("callback: expected [selector, value], got %d values", len(arg)))
	}
	selector, ok := arg[0].(string)
	if !ok {
		return r.Return(errors.New("callback: the selector is not a string"))
	}
	var reply any
	if _, err := c.Caller.Call(c.Context, selector, arg[1], &reply); err != nil {
		return r.Return(err)
	}
	return r.Return(reply)
}

type slowCalls struct{ closed atomic.Int64 }

// The reference does not tell a handler that its call was cancelled, but the
// handler's reads end.
func (s *slowCalls) slow(r rpc.Responder, c *rpc.Call, ms int) error {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, c)
		close(ended)
	}()
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return r.Return(ms)
	case <-ended:
		// On CLOSE the reference wakes readers a moment before it refuses
		// writes. A response in between would be DATA after CLOSE, for which a
		// caller in Go ends its session; the server responds even if this
		// handler does not.
		time.Sleep(20 * time.Millisecond)
		if r.Return(errors.New("slow: the caller's data ended")) != nil {
			s.closed.Add(1)
		}
		return nil
	}
}

func (s *slowCalls) cancelled(r rpc.Responder, _ *rpc.Call, _ any) error {
	return r.Return(s.closed.Load())
}

func count(r rpc.Responder, _ *rpc.Call, n int) error {
	ch, err := r.Continue(n)
	if err != nil {
		return err
	}
	defer ch.Close()
	for i := 0; i < n; i++ {
		if err := r.Send(i); err != nil {
			return err
		}
	}
	return nil
}

func echoBytes(_ rpc.Responder, ch mux.Channel) error {
	_, err := io.Copy(ch, ch)
	return err
}

func sink(r rpc.Responder, ch mux.Channel) error {
	hash := sha256.New()
	n, err := io.Copy(hash, ch)
	if err != nil {
		return err
	}
	return r.Send(digest{n, hex.EncodeToString(hash.Sum(nil))})
}

func discard(r rpc.Responder, ch mux.Channel) error {
	// A buffer as large as the sender's usual write; io.Discard's own is 8 KiB,
	// and the reference sends a WINDOW_ADJUST for every read.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, ch, make([]byte, 64<<10))
	if err != nil {
		return err
	}
	return r.Send(n)
}

func source(r rpc.Responder, _ *rpc.Call, n int64) error {
	ch, err := r.Continue(n)
	if err != nil {
		return err
	}
	defer ch.Close()
	if _, err := io.Copy(ch, pattern(n)); err != nil {
		return err
	}
	return ch.CloseWrite()
}

func die(_ rpc.Responder, ch mux.Channel) error {
	if _, err := io.Copy(ch, pattern(dieBytes)); err != nil {
		return err
	}
	// Exiting with unread input resets a TCP connection, and the bytes just
	// sent could be lost with it. Give the caller's last adjusts time to come.
	time.Sleep(100 * time.Millisecond)
	os.Exit(dieStatus)
	return nil
}
