// Command interop lets this project's Deno implementation be tested, in both
// directions, against the reference implementation in Go.
//
//	interop serve  tcp [HOST:PORT] | unix PATH | ws [HOST:PORT] | stdio | exec -- CMD ARG...
//	interop client tcp HOST:PORT | unix PATH | ws HOST:PORT | stdio | exec  [CASE...] [-- CMD ARG...]
//	interop interop tcp [HOST:PORT] | unix PATH | ws [HOST:PORT] | stdio
//	interop check  tcp HOST:PORT | unix PATH | ws HOST:PORT | exec  [CASE...] [-- CMD ARG...]
//	interop state-client tcp HOST:PORT | unix PATH | ws HOST:PORT  NAME
//	interop bench-server tcp [HOST:PORT] | unix PATH | ws [HOST:PORT]
//	interop bench-client tcp HOST:PORT | unix PATH | ws HOST:PORT  [--mode unary|bytes] ...
//	interop tags  (reads a value in CBOR from stdin, see tags.go)
//
// "stdio" runs the session over this process's own stdin and stdout, "exec"
// over those of a child that it starts. Flags may stand anywhere before "--".
//
// The service that both sides serve is described in service.go, the cases of
// the client in cases.go. "interop" and "check" are the reference's own commands
// of these names, see check.go; their codec is CBOR unless QTALK_CODEC says json.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/progrium/qtalk-go/codec"
	cbor "github.com/progrium/qtalk-go/x/cbor/codec"
)

// errFailed ends the process with status 1 when what went wrong has been
// printed already.
var errFailed = errors.New("failed")

type options struct {
	codecName string
	codec     codec.Codec
	timeout   time.Duration
	bench     benchOptions
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("interop: ")
	if err := run(os.Args[1:]); err != nil {
		if err != errFailed {
			log.Print(err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("expected a command: serve, client, interop, check, state-client, bench-server or bench-client")
	}
	if args[0] == "tags" {
		return readTags(os.Stdin, os.Stdout)
	}
	opts, words, command, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	end, words, err := endpointFrom(words, command)
	if err != nil {
		return err
	}
	switch args[0] {
	case "serve", "bench-server":
		return serve(end, opts, newService())
	case "client":
		return runClient(end, opts, suite{cases, newService}, words)
	case "interop":
		return serve(end, opts, interopService())
	case "check":
		return runClient(end, opts, suite{checks, callbackService}, words)
	case "state-client":
		return runState(end, opts, words)
	case "bench-client":
		return runBench(end, opts)
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
}

// parse separates flags, words and the command after "--". The flag package
// alone stops at the first word and would eat the "--".
func parse(name string, args []string) (opts options, words, command []string, err error) {
	for i, arg := range args {
		if arg == "--" {
			args, command = args[:i], args[i+1:]
			break
		}
	}

	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	codecName := os.Getenv("QTALK_CODEC") // the variable that the reference's own commands read
	if codecName == "" {
		codecName = "json"
		if name == "interop" || name == "check" {
			codecName = "cbor"
		}
	}
	flags.StringVar(&opts.codecName, "codec", codecName, "json or cbor")
	flags.DurationVar(&opts.timeout, "timeout", time.Minute, "limit for each case")
	flags.StringVar(&opts.bench.mode, "mode", "unary", "unary or bytes")
	flags.IntVar(&opts.bench.inflight, "inflight", 1, "unary calls at a time")
	flags.Float64Var(&opts.bench.seconds, "seconds", 5, "how long to call")
	flags.Float64Var(&opts.bench.warmup, "warmup", 1, "seconds of calls before those that count")
	flags.Int64Var(&opts.bench.total, "total", 1<<30, "bytes to send")
	flags.IntVar(&opts.bench.chunk, "chunk", 64<<10, "bytes in each write")

	for {
		if err := flags.Parse(args); err != nil {
			return opts, nil, nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}

	switch opts.codecName {
	case "json":
		opts.codec = codec.JSONCodec{}
	case "cbor":
		opts.codec = cbor.CBORCodec{}
	default:
		return opts, nil, nil, fmt.Errorf("unknown codec %q: expected json or cbor", opts.codecName)
	}
	return opts, words, command, nil
}
