package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/progrium/qtalk-go/mux"
	"github.com/progrium/qtalk-go/rpc"
	"github.com/progrium/qtalk-go/talk"
)

// result is one line of the client's output.
type result struct {
	Case  string `json:"case"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	MS    int64  `json:"ms"`
}

// A suite is what a client runs, and what it answers meanwhile.
type suite struct {
	cases   []testCase
	service func() *rpc.RespondMux
}

// runClient runs the named cases, one after another on one session: that a
// case leaves the session usable is part of what is tested.
func runClient(end endpoint, opts options, s suite, names []string) error {
	selected, err := selectCases(s.cases, names)
	if err != nil {
		return err
	}
	peer, err := connect(end, opts, s.service())
	if err != nil {
		return err
	}

	var out io.Writer = os.Stdout
	if end.network == "stdio" {
		out = os.Stderr // stdout carries the session
	}
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	failed, fatal := false, false
	var stuck string
	for _, c := range selected {
		res := result{Case: c.name}
		start := time.Now()
		err := fmt.Errorf("not run: case %q did not end", stuck)
		if stuck == "" {
			err = c.runWithin(opts.timeout, peer)
		}
		res.MS = time.Since(start).Milliseconds()
		if err != nil {
			failed, res.Error = true, err.Error()
		}
		if errors.Is(err, errStuck) {
			stuck = c.name
		}
		fatal = fatal || c.fatal
		res.OK = err == nil
		if err := lines.Encode(res); err != nil {
			return err
		}
	}

	// Close reports how a child ended; one told to die may do so.
	if err := peer.Close(); err != nil && !fatal {
		return err
	}
	if failed {
		return errFailed
	}
	return nil
}

// connect returns a peer that calls and also serves: the callback case, and an
// implementation that calls back on its own, find a service here.
func connect(end endpoint, opts options, service *rpc.RespondMux) (*talk.Peer, error) {
	sess, err := end.dial()
	if err != nil {
		return nil, err
	}
	peer := talk.NewPeer(sess, opts.codec)
	peer.RespondMux = service
	go peer.Respond()
	go func(sess mux.Session) {
		if err := sessionError(sess); err != nil {
			log.Print(err)
		}
	}(sess)
	return peer, nil
}

// selectCases finds cases by name. "all", and no name, stands for every case
// that leaves the other side alive.
func selectCases(cases []testCase, names []string) ([]testCase, error) {
	if len(names) == 0 {
		names = []string{"all"}
	}
	var selected []testCase
	for _, name := range names {
		before := len(selected)
		for _, c := range cases {
			if c.name == name || name == "all" && !c.fatal {
				selected = append(selected, c)
			}
		}
		if len(selected) == before {
			var known []string
			for _, c := range cases {
				known = append(known, c.name)
			}
			return nil, fmt.Errorf("unknown case %q: expected all, %s", name, strings.Join(known, ", "))
		}
	}
	return selected, nil
}

var errStuck = errors.New("did not end in time")

// runWithin does not trust the case to end: a channel's Read takes no context.
func (c testCase) runWithin(limit time.Duration, peer *talk.Peer) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.run(ctx, peer) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %v", errStuck, limit)
	}
}
