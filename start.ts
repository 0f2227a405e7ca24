/**
 * The modules that `mod.ts` starts with and that no face names, so that all are
 * known at once and none has to be discovered in another one: see
 * ARCHITECTURE.md, "Modules are named at once".
 *
 * @module
 */
import "./abort_listeners.ts";
import "./abort_reason.ts";
import "./call_hook.ts";
import "./check_option.ts";
import "./codec/json/rewriting.ts";
import "./codec/json/scan.ts";
import "./codec/key_counter.ts";
import "./mux/channel/channel.ts";
import "./mux/channel/channel_state.ts";
import "./mux/channel/channel_streams.ts";
import "./mux/channel/receive_buffer.ts";
import "./mux/flow/deferred_writes.ts";
import "./mux/flow/window_budget.ts";
import "./mux/flow/windows.ts";
import "./mux/table/accept_queue.ts";
import "./mux/table/channel_map.ts";
import "./mux/transport/duplex.ts";
import "./mux/transport/node/builtin.ts";
import "./mux/wire/frame.ts";
import "./mux/wire/frame_queue.ts";
import "./queue.ts";
import "./rpc/callback/lent_callbacks.ts";
import "./rpc/callback/lent_stream.ts";
import "./rpc/callback/pointers.ts";
import "./rpc/client/call_context.ts";
import "./rpc/client/pending_call.ts";
import "./rpc/client/pending_call_state.ts";
import "./rpc/client/streamed_arguments.ts";
import "./rpc/handler/built_in/classes.ts";
import "./rpc/handler/built_in/libraries.ts";
import "./rpc/handler/built_in/namespaces.ts";
import "./rpc/handler/built_in/runtime_members.ts";
import "./rpc/handler/built_in/tables.ts";
import "./rpc/wire/headers/call_header.ts";
import "./rpc/wire/headers/header.ts";
import "./rpc/wire/headers/header_cache.ts";
import "./rpc/wire/headers/response_header.ts";
import "./rpc/wire/message_writer.ts";
import "./rpc/wire/value_iterator.ts";
import "./rpc/wire/value_source.ts";
import "./state_machine.ts";
import "./talk/address.ts";
import "./talk/close_options.ts";
import "./talk/observe/option.ts";
import "./talk/peer_keys.ts";
import "./talk/scheme_options.ts";
import "./time_limit.ts";
import "./uint32.ts";
import "./view.ts";
