package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	protocol  = "qtalk-quic"
	closeCode = 42
	// idleTime is how long it takes to notice that the other process has died.
	idleTime = 8 * time.Second
)

// config allows as many streams as the case with a thousand calls needs.
var config = &quic.Config{
	MaxIdleTimeout:     idleTime,
	KeepAlivePeriod:    idleTime / 4,
	MaxIncomingStreams: 5000,
}

// A session is a connection, whose channels are its bidirectional streams.
type session struct{ conn *quic.Conn }

func dialSession(ctx context.Context, address, caFile string) (*session, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", caFile)
	}
	conn, err := quic.DialAddr(ctx, address, &tls.Config{
		RootCAs:    roots,
		NextProtos: []string{protocol},
	}, config)
	if err != nil {
		return nil, err
	}
	return &session{conn}, nil
}

func listenSessions(certFile, keyFile string) (*quic.Listener, error) {
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return quic.ListenAddr("127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{protocol},
	}, config)
}

// open makes a channel: the other side sees it by its first byte.
func (s *session) open(ctx context.Context) (*channel, error) {
	stream, err := s.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write([]byte{'!'}); err != nil {
		return nil, err
	}
	return &channel{Stream: stream}, nil
}

// accept waits for a channel of the other side and drops its first byte. The
// reading of that byte would hold up other channels, so the caller does it.
func (s *session) accept() (*channel, error) {
	stream, err := s.conn.AcceptStream(context.Background())
	if err != nil {
		return nil, err
	}
	return &channel{Stream: stream}, nil
}

func (s *session) close() error {
	return s.conn.CloseWithError(closeCode, "close connection")
}

// ended says why the session has ended, unless one side simply closed it.
func (s *session) ended() error {
	<-s.conn.Context().Done()
	err := context.Cause(s.conn.Context())
	var closed *quic.ApplicationError
	if errors.As(err, &closed) && closed.ErrorCode == closeCode {
		return nil
	}
	return err
}

// A channel is a stream. Its end of reading is io.EOF.
type channel struct{ *quic.Stream }

func (c *channel) begin() error {
	first := make([]byte, 1)
	if _, err := io.ReadFull(c.Stream, first); err != nil {
		return err
	}
	if first[0] != '!' {
		return fmt.Errorf("a channel began with %q", first)
	}
	return nil
}

// CloseWrite ends this direction.
func (c *channel) CloseWrite() error { return c.Stream.Close() }

// Close ends both directions.
func (c *channel) Close() error {
	c.Stream.CancelRead(closeCode)
	return c.CloseWrite()
}
