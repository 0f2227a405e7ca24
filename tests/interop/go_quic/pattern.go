package main

import (
	"fmt"
	"io"
)

// pattern gives so many bytes, each of which depends on where it is.
func pattern(size int64) io.Reader { return io.LimitReader(&patternReader{}, size) }

type patternReader struct{ next int64 }

func (p *patternReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.next*31 + p.next>>8)
		p.next++
	}
	return len(b), nil
}

// verifyPattern reads r to its end and compares every byte.
func verifyPattern(r io.Reader, size int64) error {
	want := &patternReader{}
	got, expected := make([]byte, 64<<10), make([]byte, 64<<10)
	var seen int64
	for {
		n, err := r.Read(got)
		want.Read(expected[:n])
		for i := range got[:n] {
			if got[i] != expected[i] {
				return fmt.Errorf("byte %d is %#02x, expected %#02x", seen+int64(i), got[i], expected[i])
			}
		}
		seen += int64(n)
		switch {
		case seen > size:
			return fmt.Errorf("got more than %d bytes", size)
		case err == io.EOF && seen < size:
			return fmt.Errorf("data ended after %d of %d bytes", seen, size)
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("after %d of %d bytes: %w", seen, size, err)
		}
	}
}
