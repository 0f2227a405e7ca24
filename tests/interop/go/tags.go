package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// tagged is what a value with CBOR's tags is decoded into: variables with types.
type tagged struct {
	At     time.Time
	Text   string
	Tags   []string
	Sizes  map[string]int
	Sparse map[int]string
	Small  int
	Minus  int64
	Large  uint64
	Huge   *big.Int
	Bytes  []byte
}

// readTags decodes a value with the library of the reference's codec, once into
// variables with types and once without, and prints what came of it.
func readTags(in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var typed tagged
	if err := cbor.Unmarshal(data, &typed); err != nil {
		return err
	}
	var untyped map[string]interface{}
	if err := cbor.Unmarshal(data, &untyped); err != nil {
		return err
	}
	kinds := make(map[string]string)
	for name, value := range untyped {
		kinds[name] = fmt.Sprintf("%T", value)
	}
	return json.NewEncoder(out).Encode([]interface{}{typed, kinds})
}
