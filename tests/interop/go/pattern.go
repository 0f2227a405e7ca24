package main

import (
	"bytes"
	"fmt"
	"io"
)

// A pattern is size bytes of which byte i is (i*31 + (i>>8)) & 255: cheap for
// either side to make, and a lost, doubled or swapped piece shows.
func pattern(size int64) io.Reader {
	return io.LimitReader(&patternReader{}, size)
}

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
	var (
		want patternReader
		got  = make([]byte, 64<<10)
		exp  = make([]byte, len(got))
		seen int64
	)
	for {
		n, err := r.Read(got)
		want.Read(exp[:n])
		if !bytes.Equal(got[:n], exp[:n]) {
			for i := range exp[:n] {
				if got[i] != exp[i] {
					return fmt.Errorf("byte %d is %#02x, expected %#02x", seen+int64(i), got[i], exp[i])
				}
			}
		}
		seen += int64(n)
		if seen > size {
			return fmt.Errorf("got more than %d bytes", size)
		}
		if err == io.EOF && seen < size {
			return fmt.Errorf("data ended after %d of %d bytes", seen, size)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", seen, size, err)
		}
	}
}
