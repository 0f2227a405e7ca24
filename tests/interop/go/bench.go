package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/progrium/qtalk-go/talk"
)

type benchOptions struct {
	mode     string
	inflight int
	seconds  float64
	warmup   float64
	total    int64
	chunk    int
}

type unaryResult struct {
	Mode           string  `json:"mode"`
	Codec          string  `json:"codec"`
	Inflight       int     `json:"inflight"`
	Seconds        float64 `json:"seconds"`
	Calls          int     `json:"calls"`
	CallsPerSecond float64 `json:"callsPerSecond"`
	P50            float64 `json:"p50us"`
	P99            float64 `json:"p99us"`
}

type bytesResult struct {
	Mode         string  `json:"mode"`
	Total        int64   `json:"total"`
	Chunk        int     `json:"chunk"`
	Seconds      float64 `json:"seconds"`
	MiBPerSecond float64 `json:"mibPerSecond"`
}

func runBench(end endpoint, opts options) error {
	b := opts.bench
	if b.inflight < 1 || b.chunk < 1 || b.total < 0 {
		return fmt.Errorf("bench: --inflight and --chunk must be at least 1, --total at least 0")
	}
	peer, err := connect(end, opts, newService())
	if err != nil {
		return err
	}
	defer peer.Close()

	var res any
	switch b.mode {
	case "unary":
		if _, _, err = callFor(peer, b.inflight, b.warmup); err == nil {
			res, err = benchUnary(peer, opts)
		}
	case "bytes":
		res, err = benchBytes(peer, opts)
	default:
		err = fmt.Errorf("bench: unknown mode %q: expected unary or bytes", b.mode)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

func benchUnary(peer *talk.Peer, opts options) (any, error) {
	b := opts.bench
	times, took, err := callFor(peer, b.inflight, b.seconds)
	if err != nil {
		return nil, err
	}
	slices.Sort(times)
	at := func(q float64) float64 {
		return float64(times[int(q*float64(len(times)-1))].Nanoseconds()) / 1e3
	}
	return unaryResult{
		Mode: b.mode, Codec: opts.codecName, Inflight: b.inflight,
		Seconds: took.Seconds(), Calls: len(times), CallsPerSecond: float64(len(times)) / took.Seconds(),
		P50: at(.5), P99: at(.99),
	}, nil
}

// callFor keeps inflight calls of echo going and returns the time of each.
// Every worker makes at least one call.
func callFor(peer *talk.Peer, inflight int, seconds float64) ([]time.Duration, time.Duration, error) {
	var (
		wg    sync.WaitGroup
		times = make([][]time.Duration, inflight)
		errs  = make([]error, inflight)
		start = time.Now()
		until = start.Add(time.Duration(seconds * float64(time.Second)))
	)
	for w := range inflight {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for begin := time.Now(); ; {
				var got int
				if _, err := peer.Call(context.Background(), "echo", 42, &got); err != nil || got != 42 {
					errs[w] = fmt.Errorf("echo: got %d, error %v", got, err)
					return
				}
				now := time.Now()
				times[w] = append(times[w], now.Sub(begin))
				if now.After(until) {
					return
				}
				begin = now
			}
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, 0, err
		}
	}
	return slices.Concat(times...), time.Since(start), nil
}

// benchBytes measures from the first byte sent until the other side has
// counted the last.
func benchBytes(peer *talk.Peer, opts options) (any, error) {
	b := opts.bench
	resp, err := continued(context.Background(), peer, "discard", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Channel.Close()

	chunk := make([]byte, b.chunk)
	start := time.Now()
	for left := b.total; left > 0; left -= int64(len(chunk)) {
		if left < int64(len(chunk)) {
			chunk = chunk[:left]
		}
		if _, err := resp.Channel.Write(chunk); err != nil {
			return nil, err
		}
	}
	if err := resp.Channel.CloseWrite(); err != nil {
		return nil, err
	}
	var counted int64
	if err := resp.Receive(&counted); err != nil {
		return nil, err
	}
	took := time.Since(start)
	if counted != b.total {
		return nil, fmt.Errorf("discard counted %d bytes of %d", counted, b.total)
	}
	return bytesResult{
		Mode: b.mode, Total: b.total, Chunk: b.chunk,
		Seconds: took.Seconds(), MiBPerSecond: float64(b.total) / mib / took.Seconds(),
	}, nil
}
