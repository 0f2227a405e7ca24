package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/progrium/qtalk-go/mux"
	"github.com/progrium/qtalk-go/rpc"
)

// childGrace is how long a child on stdio may take to end after its stdin did.
const childGrace = 5 * time.Second

// endpoint says where the other side is.
type endpoint struct {
	network string   // tcp, unix, ws, stdio or exec
	address string   // of tcp, unix and ws
	command []string // of exec
}

// endpointFrom takes an endpoint off the front of words and returns the rest.
func endpointFrom(words, command []string) (endpoint, []string, error) {
	if len(words) == 0 {
		return endpoint{}, nil, errors.New("expected a transport: tcp, unix, ws, stdio or exec")
	}
	end, words := endpoint{network: words[0], command: command}, words[1:]
	if (end.network == "exec") != (len(command) > 0) {
		return end, nil, errors.New("exec, and nothing else, takes a command: exec -- CMD ARG...")
	}
	switch end.network {
	case "stdio", "exec":
	case "tcp", "unix", "ws":
		if len(words) > 0 {
			end.address, words = words[0], words[1:]
		}
	default:
		return end, nil, fmt.Errorf("unknown transport %q", end.network)
	}
	return end, words, nil
}

func (e endpoint) dial() (mux.Session, error) {
	switch e.network {
	case "tcp":
		return mux.DialTCP(e.address)
	case "unix":
		return mux.DialUnix(e.address)
	case "ws":
		return mux.DialWS(e.address)
	case "stdio":
		return mux.DialStdio()
	default:
		return startChild(e.command)
	}
}

func (e endpoint) listen() (mux.Listener, error) {
	if e.network == "unix" {
		return mux.ListenUnix(e.address)
	}
	address := e.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	if e.network == "ws" {
		return mux.ListenWS(address)
	}
	return mux.ListenTCP(address)
}

// serve answers calls until the listener closes or, on stdio and exec, until
// the one session ends.
func serve(end endpoint, opts options, service *rpc.RespondMux) error {
	srv := &rpc.Server{Handler: service, Codec: opts.codec}

	if end.network == "stdio" || end.network == "exec" {
		sess, err := end.dial()
		if err != nil {
			return err
		}
		srv.Respond(sess, nil)
		return errors.Join(sessionError(sess), sess.Close())
	}

	l, err := end.listen()
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	for {
		sess, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			srv.Respond(sess, nil)
			if err := sessionError(sess); err != nil {
				log.Print(err)
			}
		}()
	}
}

// sessionError waits for the session's end and says why it ended, unless one
// side simply closed it. The reference reports a breach of protocol nowhere
// else: its server returns from Respond as if all were well.
func sessionError(sess mux.Session) error {
	err := sess.Wait()
	if err == io.EOF || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return fmt.Errorf("session ended: %w", err)
}

// childSession is a session over a child's stdin and stdout, whose Close ends
// the child as well.
type childSession struct {
	mux.Session
	end func() error
}

func (s childSession) Close() error { return s.end() }

func startChild(command []string) (mux.Session, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	sess, err := mux.DialIO(in, out)
	if err != nil {
		return nil, err
	}
	// Ends the child through its stdin and reads on until it has ended: a child
	// that still writes would get a broken pipe. The reference's Respond closes
	// the session too, hence once.
	end := sync.OnceValue(func() error {
		in.Close()
		kill := time.AfterFunc(childGrace, func() {
			cmd.Process.Kill()
			sess.Close() // a child of the child may hold the pipes
		})
		sess.Wait()
		err := cmd.Wait()
		if !kill.Stop() {
			return fmt.Errorf("child did not end within %v of its stdin", childGrace)
		}
		if err != nil {
			return fmt.Errorf("child: %w", err)
		}
		return nil
	})
	return childSession{sess, end}, nil
}
