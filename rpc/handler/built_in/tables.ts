/**
 * Where the runtime and Node's modules keep what they have written. Names that no
 * runtime knows do no harm. Each table has a row a line, in columns that a space
 * divides: objects take more room.
 *
 * @module
 */

/** The rows of a table, each with its columns. */
export function rowsOf(table: string): string[][] {
  return table.trim().split("\n").map((row) => row.split(" "));
}

/** Where Node's event emitters are, among them its streams, by module. */
export const EMITTERS: string = `
events EventEmitter EventEmitterAsyncResource
stream Stream Readable Writable Duplex Transform PassThrough
child_process ChildProcess
cluster Worker
crypto Cipheriv Decipheriv Hash Hmac Sign Verify
dgram Socket
fs ReadStream WriteStream
http Agent ClientRequest IncomingMessage OutgoingMessage Server ServerResponse
https Agent Server
http2 Http2ServerRequest Http2ServerResponse
inspector Session
net Server Socket
readline Interface
readline/promises Interface
repl REPLServer
tls Server TLSSocket
tty ReadStream WriteStream
worker_threads Worker
zlib BrotliCompress BrotliDecompress Deflate DeflateRaw Gunzip Gzip Inflate InflateRaw Unzip ZstdCompress ZstdDecompress`;

/**
 * The other classes of the runtime, by their own name: where one is, in which module
 * and under which name, and methods that those of programs seldom have, because the
 * search loads the module. "-" stands for classes that nothing leads to: they are
 * known by name and methods.
 */
export const CLASSES: string = `
ActiveChannel - bindStore runStores
Assert assert.Assert deepStrictEqual
AssertionError assert.AssertionError
AsyncLocalStorage async_hooks.AsyncLocalStorage
AsyncResource async_hooks.AsyncResource
BigIntStats - _checkModeProperty
BlockList net.BlockList
BroadcastChannel worker_threads.BroadcastChannel unref
CallTracker assert.CallTracker getCalls
Certificate crypto.Certificate verifySpkac
Channel diagnostics_channel.Channel bindStore runStores
ClientHttp2Session - request
Conn - read write closeWrite unref
Console console.Console timeLog
DatagramConn - joinMulticastV4
DefaultDeserializer v8.DefaultDeserializer _readHostObject
DefaultSerializer v8.DefaultSerializer _writeHostObject
Deserializer v8.Deserializer transferArrayBuffer
DiffieHellman crypto.DiffieHellman computeSecret
DiffieHellmanGroup crypto.DiffieHellmanGroup computeSecret
DiffieHellmanImpl - computeSecret
Dir fs.Dir readSync closeSync
Dirent fs.Dirent
Domain domain.Domain intercept
ECDH crypto.ECDH computeSecret
ELDHistogram - enable disable
EventLoopDelayHistogram - enable disable
FSWatcher - close ref unref
FileHandle - readFile writeFile truncate
FreeList - alloc free
FsWatcher - next return ref unref
GCProfiler v8.GCProfiler start stop
HTTPParser _http_common.HTTPParser unconsume
Http2Server - updateSettings
Http2SecureServer - updateSettings
Http2Session - setLocalWindowSize
Http2Stream - sendTrailers
Immediate - hasRef ref unref
Interface - setPrompt getCursorPos
IntervalHistogram - enable disable
JSStreamSocket - doShutdown
KeyObject crypto.KeyObject
LcovReporter - _transform
Listener - accept next return close ref unref
MIMEParams util.MIMEParams
MIMEType util.MIMEType
MockTimers test.mock.timers runAll
MockTracker test.mock getter setter
Module module.Module _compile
Module vm.Module link
NodeEnvironmentFlagsSet process.allowedNodeEnvironmentFlags
NodeEventTarget - listenerCount setMaxListeners
NodeWorker worker_threads.Worker
PerformanceNodeTiming perf_hooks.performance.nodeTiming
PerformanceObserver perf_hooks.PerformanceObserver
PrivateKeyObject - export
PublicKeyObject - export
ReadableStreamWithCollectors - arrayBuffer
Readline readline/promises.Readline clearScreenDown
RecordableHistogram - recordDelta
Resolver dns.Resolver resolveMx
Resolver dns/promises.Resolver resolveMx
Resolver - getServers setLocalAddress
ResolverBase - getServers setLocalAddress
Scheduler timers/promises.scheduler wait yield
SecretKeyObject - export
SecureContext _tls_common.SecureContext
Serializer v8.Serializer transferArrayBuffer
ServerHttp2Session - altsvc
Session inspector/promises.Session post
SocketAddress net.SocketAddress
SourceMap module.SourceMap findEntry
SourceTextModule vm.SourceTextModule
SpecReporter - _transform
StatWatcher - stop ref unref
Stats fs.Stats _checkModeProperty
StatsBase - isBlockDevice
StringDecoder string_decoder.StringDecoder
SyncWriteStream - destroySoon
SyntheticModule vm.SyntheticModule
TcpConn - setNoDelay setKeepAlive
Timeout - hasRef ref unref refresh
TlsConn - handshake
TracingChannel - traceSync tracePromise
Url url.Url resolveObject
Utf8Stream fs.Utf8Stream reopen
WASI wasi.WASI getImportObject
WritableState stream.Writable.WritableState getBuffer
ZlibBase - _processChunk`;

/**
 * Classes of which a module only makes instances, or exports a wrapper: how it makes
 * one, by the name of the class.
 */
export const MADE_BY_NODE: Readonly<
  Record<string, readonly [module: string, fn: string, ...args: unknown[]]>
> = {
  AsyncHook: ["async_hooks", "createHook", {}],
  ECDHImpl: ["crypto", "createECDH", "prime256v1"],
  Hash: ["crypto", "createHash", "sha256"],
  HmacImpl: ["crypto", "createHmac", "sha256", ""],
  Script: ["vm", "createScript", "0"],
  Tracing: ["trace_events", "createTracing", { categories: ["v8"] }],
  SignImpl: ["crypto", "createSign", "sha256"],
  VerifyImpl: ["crypto", "createVerify", "sha256"],
};

/**
 * Where objects with functions are, in which module and under which name: by a
 * function of each whose name is seldom that of another.
 */
export const LIBRARIES: string = `
DatabaseSync sqlite
REPLServer repl
ReadableStreamTee stream/web
TLSSocket tls _tls_wrap
_checkInvalidHeaderChar _http_common
addAbortSignal stream
addDeserializeCallback v8.startupSnapshot
arrayBuffer stream/consumers
basename path path/posix path/win32
beforeEach test
buildConnector undici
callback bun:ffi.native
clearLine readline
clearScreenDown readline
copyFile fs fs/promises
countReset inspector.console
cpus os
crc32 zlib
createDomain domain
createHash crypto
createHistogram perf_hooks
createHook async_hooks
createInterface readline/promises readline.promises
createRequire module
createSecureContext tls _tls_common
createServer https _tls_wrap
createSocket dgram
createTracing trace_events
createWebSocketStream ws
deepStrictEqual assert assert/strict
dlopen bun:ffi
drainMicrotasks bun:jsc
eventLoopUtilization perf_hooks
execFile child_process
fileURLToPath url
getEventListeners events
getHeapStatistics v8
getPackedSettings http2
hasSubscribers diagnostics_channel
httpServerPreClose _http_server
isIPv6 net
isRegExp util/types
isSea sea
isUtf8 buffer
isValidSyntax repl
isatty tty
junit test/reporters
lcov test/reporters
loadingFailed inspector.Network
lookupService dns dns/promises
nextTick process
onSettled v8.promiseHooks
onTestFinished bun:test
parseUniqueHeadersOption _http_outgoing
pipeline stream/promises
promisify util
readStart _http_incoming
receiveMessageOnPort worker_threads
registerBeforeExit process.finalization
restoreAll test.mock
runAll test.mock.timers
runInThisContext vm
setGlobalAgent _http_agent
setInterval timers timers/promises
setupPrimary cluster
shouldUseEnvProxy _http_agent
toUnicode punycode
translatePeerCertificate _tls_common
u8 bun:ffi.read
unescape querystring
validateHeaderName http _http_outgoing
waitForDebugger inspector inspector/promises
writeReport process.report`;

/**
 * The other modules with objects that are named above, or with nothing to offer.
 * A module that the runtime lists and that is in neither table is a newer one.
 */
export const OTHER_MODULES: string = `
_http_client
_stream_duplex
_stream_passthrough
_stream_readable
_stream_transform
_stream_wrap
_stream_writable
bun
bun:sqlite
console
constants
string_decoder
sys
wasi`;

/** The same for global objects, by the name of the object. */
export const GLOBAL_LIBRARIES: string = `
countReset console
allocUnsafe Bun
readTextFileSync Deno`;
