package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/progrium/qtalk-go/fn"
	"github.com/progrium/qtalk-go/rpc"
	"github.com/progrium/qtalk-go/talk"
)

// runState is the client of the reference's announcement, which synchronises
// state: it joins under a name, and is called with the list of who is there
// whenever that changes. Each list is a line of JSON on stdout. When stdin ends,
// it leaves: the announcement's waits for SIGINT.
func runState(end endpoint, opts options, words []string) error {
	if len(words) != 1 {
		return errors.New("expected one name to join by")
	}
	sess, err := end.dial()
	if err != nil {
		return err
	}
	client := talk.NewPeer(sess, opts.codec)
	defer client.Close()

	// The list is the value itself, and not the first of a list of arguments.
	lists := json.NewEncoder(os.Stdout)
	client.Handle("state", rpc.HandlerFunc(func(r rpc.Responder, c *rpc.Call) {
		var users interface{}
		if err := c.Receive(&users); err != nil {
			log.Println(err)
			return
		}
		if err := lists.Encode(users); err != nil {
			log.Println(err)
		}
	}))
	go client.Respond()

	ctx, cancel := context.WithTimeout(context.Background(), opts.timeout)
	defer cancel()
	if _, err := client.Call(ctx, "Join", fn.Args{words[0]}, nil); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(context.Background(), opts.timeout)
	defer cancel()
	_, err = client.Call(ctx, "Leave", fn.Args{words[0]}, nil)
	return err
}
