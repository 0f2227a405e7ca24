// Command qtalk-quic lets this project's sessions over QUIC be tested, in both
// directions, against quic-go. The reference's own package for QUIC does not build
// with a current version of Go, so this follows what it does on the wire.
//
//	qtalk-quic serve quic CERT KEY
//	qtalk-quic client quic HOST:PORT CA CASE...
//
// The service and the cases are those of tests/interop/go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"
)

// limit is for each case; only a failure takes as long.
const limit = 30 * time.Second

var errUsage = errors.New("expected serve quic CERT KEY, or client quic HOST:PORT CA CASE...")

func main() {
	log.SetFlags(0)
	log.SetPrefix("qtalk-quic: ")
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) < 4 || args[1] != "quic" {
		return errUsage
	}
	switch args[0] {
	case "serve":
		return serve(args[2], args[3])
	case "client":
		return runCases(args[2], args[3], args[4:])
	default:
		return errUsage
	}
}

func newPeer(s *session, shared *state) *peer {
	p := &peer{session: s, handlers: map[string]handler{}}
	shared.register(p)
	return p
}

func serve(certFile, keyFile string) error {
	listener, err := listenSessions(certFile, keyFile)
	if err != nil {
		return err
	}
	fmt.Println("listening", listener.Addr())
	shared := &state{}
	for {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		p := newPeer(&session{conn}, shared)
		go func() {
			p.serve()
			if err := p.ended(); err != nil {
				log.Printf("session ended: %v", err)
			}
		}()
	}
}

// result is one line of the client's output.
type result struct {
	Case  string `json:"case"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func runCases(address, caFile string, names []string) error {
	s, err := dialSession(context.Background(), address, caFile)
	if err != nil {
		return err
	}
	p := newPeer(s, &state{})
	go p.serve()
	lines := json.NewEncoder(os.Stdout)
	for _, name := range names {
		c, ok := cases[name]
		if !ok {
			return fmt.Errorf("unknown case %q", name)
		}
		res := result{Case: name, OK: true}
		if err := within(c, p); err != nil {
			res.OK, res.Error = false, err.Error()
		}
		if err := lines.Encode(res); err != nil {
			return err
		}
	}
	return s.close()
}

func within(c testCase, p *peer) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c(ctx, p) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("it did not end in time")
	}
}
