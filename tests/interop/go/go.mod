module qtalk-interop

go 1.22

require (
	github.com/fxamacker/cbor/v2 v2.4.0
	github.com/mitchellh/mapstructure v1.4.3
	github.com/progrium/qtalk-go v0.5.1-0.20231023224510-06b3c4414f64
	github.com/progrium/qtalk-go/x/cbor v0.0.0-20230306002123-cb3ad0c2cc62
)

require (
	github.com/rs/xid v1.3.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	golang.org/x/net v0.14.0 // indirect
)
