# The receiving half, from a whole frame on: what it means, and whether it may be.

cdef struct Frame:
    uint8_t kind
    uint8_t flags
    uint32_t stream_id
    uint32_t size
    const uint8_t *payload


cdef inline int wrong(bint is_wrong, str reason, uint32_t code) except -1:
    if is_wrong:
        raise RemoteProtocolError(reason, code)
    return 0


cdef class Receiver(Sender):
    """What a session makes of the peer's frames."""

    cdef nghttp2_hd_inflater *inflater
    cdef Buffer block  # a head of which not all has come
    cdef Frame block_frame
    cdef uint32_t block_depends_on
    cdef int64_t block_parts  # frames that it has come in; 0 if there is none

    cdef size_t max_header_list_size
    cdef size_t max_streams
    cdef int64_t max_continuations
    cdef int max_informational
    cdef bint connect_protocol

    cdef int64_t receive_window
    cdef int64_t owed
    cdef bint settings_acked

    def __cinit__(self, role, limits):
        if nghttp2_hd_inflate_new(&self.inflater):
            raise MemoryError
        self.max_header_list_size = limits.max_header_list_size
        self.max_streams = limits.max_concurrent_streams
        self.max_continuations = limits.max_continuations
        self.max_informational = limits.max_informational
        self.connect_protocol = limits.connect_protocol
        self.receive_window = self.window

    def __dealloc__(self):
        nghttp2_hd_inflate_del(self.inflater)
        PyMem_Free(self.block.at)

    cdef int on_frame(self, Frame *frame, bytes body, list events) except -1:
        """Handle a frame; `body` is its payload as an object, if there is one."""
        if not self.peer_settings_seen and frame.kind != SETTINGS:
            raise RemoteProtocolError("the first frame is not SETTINGS", CODE_PROTOCOL_ERROR)
        if self.block_parts:
            if frame.kind != CONTINUATION or frame.stream_id != self.block_frame.stream_id:
                raise RemoteProtocolError("a frame in the middle of a head", CODE_PROTOCOL_ERROR)
            return self.on_continuation(frame, events)
        if frame.kind == HEADERS:
            return self.on_headers(frame, events)
        if frame.kind == DATA:
            return self.on_data(frame, body, events)
        if frame.kind == WINDOW_UPDATE:
            return self.on_window_update(frame, events)
        if frame.kind == RST_STREAM:
            return self.on_rst_stream(frame, events)
        if frame.kind == SETTINGS:
            return self.on_settings(frame, events)
        if frame.kind == PING:
            return self.on_ping(frame, events)
        if frame.kind == GOAWAY:
            return self.on_goaway(frame, events)
        if frame.kind == PRIORITY:
            return self.on_priority(frame)
        if frame.kind == PUSH_PROMISE or frame.kind == CONTINUATION:
            raise RemoteProtocolError("an unexpected PUSH_PROMISE or CONTINUATION", CODE_PROTOCOL_ERROR)
        return self.on_other(frame)

    # -- heads -------------------------------------------------------------------------------------------------------

    cdef int on_headers(self, Frame *frame, list events) except -1:
        cdef const uint8_t *at = frame.payload
        cdef size_t size = frame.size
        cdef size_t padding = 0
        cdef size_t before = 0
        cdef uint32_t depends_on = 0
        if frame.flags & PADDED:
            wrong(size < 1, "HEADERS without its padding's length", CODE_FRAME_SIZE_ERROR)
            padding = at[0]
            at += 1
            size -= 1
        if frame.flags & HAS_PRIORITY:
            wrong(size < 5, "HEADERS without its priority", CODE_FRAME_SIZE_ERROR)
            depends_on = read_u32(at) & 0x7FFFFFFF
            before = 5
        wrong(padding and padding >= size, "padding is too long", CODE_PROTOCOL_ERROR)
        at += before
        size = size - padding - before if size > padding + before else 0
        if frame.flags & END_HEADERS:
            return self.on_head(frame, depends_on, at, size, events)
        self.block_frame = frame[0]
        self.block_depends_on = depends_on
        return self.keep_part(at, size)

    cdef int on_continuation(self, Frame *frame, list events) except -1:
        if not frame.flags & END_HEADERS:
            return self.keep_part(frame.payload, frame.size)
        append(&self.block, frame.payload, frame.size)
        self.block_parts = 0
        self.on_head(&self.block_frame, self.block_depends_on, self.block.at, self.block.size, events)
        clear(&self.block, 0)
        return 0

    cdef int keep_part(self, const uint8_t *at, size_t size) except -1:
        """Keep a part of a head that is not the last."""
        append(&self.block, at, size)
        self.block_parts += 1
        return wrong(
            self.block_parts > 1 + self.max_continuations
            or self.block.size > self.max_header_list_size * HARD_HEAD_FACTOR,
            "a head comes in too many parts, or is far too large",
            CODE_ENHANCE_YOUR_CALM,
        )

    cdef int on_head(
        self, Frame *frame, uint32_t depends_on, const uint8_t *block, size_t size, list events
    ) except -1:
        cdef Section section
        cdef list fields = self.decompress(block, size, &section)
        cdef object key = frame.stream_id
        cdef Stream stream = self.find(key)
        cdef bint end_stream = frame.flags & END_STREAM
        if stream is None:
            if not self.admits(key, frame.stream_id):
                return count_overhead(&self.conduct, size)
            if len(fields) <= MANY_FIELDS:
                count_useful(&self.conduct)
            else:
                count_overhead(&self.conduct, section.size)
            stream = self.new_stream(key, frame.stream_id)
        if section.size > self.max_header_list_size:
            return self.fail(stream, CODE_ENHANCE_YOUR_CALM, events, 1 + section.size // OVERSIZE_UNIT)
        if depends_on == stream.stream_id:
            return self.fail(stream, CODE_PROTOCOL_ERROR, events)
        if stream.remote_ended:
            return self.fail(stream, CODE_STREAM_CLOSED, events)
        if stream.head_received:
            return self.on_trailers(stream, fields, &section, end_stream, events)
        if self.server:
            return self.on_request(stream, fields, &section, end_stream, events)
        return self.on_response(stream, fields, &section, end_stream, events)

    cdef list decompress(self, const uint8_t *at, size_t size, Section *section):
        """Decompress a head: every one that comes, wanted or not, since the next depends on it."""
        cdef list fields = []
        cdef nghttp2_nv pair
        cdef int flags = 0
        cdef ssize_t taken
        memset(section, 0, sizeof(Section))
        while not flags & NGHTTP2_HD_INFLATE_FINAL:
            flags = 0
            taken = nghttp2_hd_inflate_hd2(self.inflater, &pair, &flags, at, size, 1)
            if taken < 0 or not flags:
                raise RemoteProtocolError("a head does not decompress", CODE_COMPRESSION_ERROR)
            at += taken
            size -= taken
            if flags & NGHTTP2_HD_INFLATE_EMIT:
                section.size += pair.namelen + pair.valuelen + 32
                if section.size > self.max_header_list_size * HARD_HEAD_FACTOR:
                    raise RemoteProtocolError("a head is far too large", CODE_ENHANCE_YOUR_CALM)
                fields.append(read_field(&pair, section))
        nghttp2_hd_inflate_end_headers(self.inflater)
        return fields

    cdef bint admits(self, object key, uint32_t stream_id) except -1:
        """Say whether a head on a stream that is not open opens it."""
        if not self.server:
            self.require_used(stream_id)
            return False
        if stream_id > self.last_accepted:
            return False
        if stream_id % 2 == 0 or stream_id <= self.last_seen:
            if self.was_reset(key):
                return False
            raise RemoteProtocolError("a head on a stream that cannot be opened", CODE_PROTOCOL_ERROR)
        self.last_seen = stream_id
        if <size_t>len(self.streams) < self.max_streams and not self.backlogged():
            return True
        self.refuse(key, stream_id, CODE_REFUSED_STREAM)
        count_reply(&self.conduct)
        return False

    cdef inline bint was_reset(self, object key) except -1:
        return self.resets is not None and key in self.resets

    cdef int require_used(self, uint32_t stream_id) except -1:
        """Raise if the stream has never been opened."""
        cdef int64_t highest = self.last_seen if self.server else self.last_opened
        return wrong(
            stream_id % 2 == 0 or stream_id > highest,
            "a frame on a stream that was never opened",
            CODE_PROTOCOL_ERROR,
        )

    cdef int on_request(
        self, Stream stream, list fields, Section *section, bint end_stream, list events
    ) except -1:
        stream.head_received = True
        if not is_request(section) or (has(section, PROTOCOL) and not self.connect_protocol):
            return self.fail(stream, CODE_PROTOCOL_ERROR, events)
        if section.has_length and <bytes>section.values[METHOD] != b"CONNECT":
            stream.remaining = section.length
        return self.on_final_head(stream, fields, end_stream, events)

    cdef int on_response(
        self, Stream stream, list fields, Section *section, bint end_stream, list events
    ) except -1:
        cdef bytes status
        if not is_response(section):
            return self.fail(stream, CODE_PROTOCOL_ERROR, events)
        status = <bytes>section.values[STATUS]
        if status[0] == b"1":
            if end_stream:
                return self.fail(stream, CODE_PROTOCOL_ERROR, events)
            stream.informational += 1
            if stream.informational > self.max_informational:
                return self.fail(stream, CODE_ENHANCE_YOUR_CALM, events)
            events.append(Informational(stream.key, fields))
            return 0
        stream.head_received = True
        if stream.bodyless or status == b"204" or status == b"304":
            stream.remaining = 0
        elif section.has_length and not (stream.connect and status[0] == b"2"):
            stream.remaining = section.length
        return self.on_final_head(stream, fields, end_stream, events)

    cdef int on_final_head(self, Stream stream, list fields, bint end_stream, list events) except -1:
        if not stream.count(0, end_stream):
            return self.fail(stream, CODE_PROTOCOL_ERROR, events)
        events.append(make_head(stream.key, fields, end_stream))
        if end_stream:
            self.end_remote(stream)
        return 0

    cdef int on_trailers(
        self, Stream stream, list fields, Section *section, bint end_stream, list events
    ) except -1:
        if not end_stream or not is_trailer(section) or not stream.count(0, True):
            return self.fail(stream, CODE_PROTOCOL_ERROR, events)
        events.append(Trailers(stream.key, fields))
        return self.end_remote(stream)

    # -- bodies ------------------------------------------------------------------------------------------------------

    cdef int on_data(self, Frame *frame, bytes body, list events) except -1:
        cdef int64_t flow = frame.size
        cdef const uint8_t *at = frame.payload
        cdef int64_t size = flow
        cdef bint end_stream = frame.flags & END_STREAM
        cdef object key = frame.stream_id
        cdef Stream stream
        if frame.flags & PADDED:
            wrong(size < 1, "DATA without its padding's length", CODE_FRAME_SIZE_ERROR)
            wrong(at[0] >= size, "padding is too long", CODE_PROTOCOL_ERROR)
            size -= 1 + at[0]
            at += 1
        self.take_connection_window(flow)
        if not size and not end_stream:
            count_overhead(&self.conduct, flow)
        stream = self.find(key)
        if stream is None:
            return self.on_late_data(key, frame.stream_id, flow)
        if stream.remote_ended:
            return self.fail(stream, CODE_STREAM_CLOSED, events)
        stream.receive_window -= flow
        if stream.receive_window < 0 and flow:
            return self.fail(stream, CODE_FLOW_CONTROL_ERROR, events)
        if not stream.head_received or not stream.count(size, end_stream):
            return self.fail(stream, CODE_PROTOCOL_ERROR, events)
        if flow or end_stream:
            if body is None:
                body = PyBytes_FromStringAndSize(<const char *>at, size)
            events.append(make_data(stream.key, body, flow, end_stream))
        if end_stream:
            self.end_remote(stream)
        return 0

    cdef inline int take_connection_window(self, int64_t flow) except -1:
        """Count DATA against the connection's window, and give it back in steps of a quarter."""
        if flow > self.receive_window:
            raise RemoteProtocolError("more DATA than the connection's window", CODE_FLOW_CONTROL_ERROR)
        self.receive_window -= flow
        self.owed += flow
        if self.owed * 4 >= self.window:
            self.write_number(WINDOW_UPDATE, 0, self.owed)
            self.receive_window += self.owed
            self.owed = 0
        return 0

    cdef int on_late_data(self, object key, uint32_t stream_id, int64_t flow) except -1:
        if stream_id > self.last_accepted and self.server:
            return 0
        self.require_used(stream_id)
        if self.server and not self.was_reset(key):
            self.refuse(key, stream_id, CODE_STREAM_CLOSED)
            count_reply(&self.conduct)
            count_overhead(&self.conduct, 0)
            return 0
        self.late -= max(flow, LATE_UNIT)
        if self.late < 0:
            raise RemoteProtocolError("too much DATA for streams that are gone", CODE_ENHANCE_YOUR_CALM)
        return 0

    # -- the other frames --------------------------------------------------------------------------------------------

    cdef int on_rst_stream(self, Frame *frame, list events) except -1:
        cdef Stream stream
        cdef uint32_t code
        wrong(frame.size != 4, "RST_STREAM of a wrong size", CODE_FRAME_SIZE_ERROR)
        stream = self.find(frame.stream_id)
        if stream is not None:
            self.drop(stream)
            code = read_u32(frame.payload)
            events.append(Reset(stream.key, code, code != CODE_REFUSED_STREAM))
            return count_reset(&self.conduct, 1)
        count_overhead(&self.conduct, 0)
        if self.server and frame.stream_id > self.last_accepted:
            return 0
        return self.require_used(frame.stream_id)

    cdef int on_window_update(self, Frame *frame, list events) except -1:
        cdef Stream stream
        cdef int64_t increment
        wrong(frame.size != 4, "WINDOW_UPDATE of a wrong size", CODE_FRAME_SIZE_ERROR)
        increment = read_u32(frame.payload)
        wrong(not 0 < increment <= MAX_WINDOW, "WINDOW_UPDATE by nothing", CODE_PROTOCOL_ERROR)
        count_overhead(&self.conduct, 0)
        if not frame.stream_id:
            wrong(
                self.send_window + increment > MAX_WINDOW,
                "the connection's window overflows",
                CODE_FLOW_CONTROL_ERROR,
            )
            self.send_window += increment
            return 0
        stream = self.find(frame.stream_id)
        if stream is not None:
            if stream.send_window + increment > MAX_WINDOW:
                return self.fail(stream, CODE_FLOW_CONTROL_ERROR, events)
            stream.send_window += increment
            return self.schedule(stream)
        if self.server and frame.stream_id > self.last_accepted:
            return 0
        return self.require_used(frame.stream_id)

    cdef int on_settings(self, Frame *frame, list events) except -1:
        cdef dict values = {}
        cdef size_t at
        cdef int64_t old_window
        wrong(
            frame.flags & ACK and frame.size, "an acknowledgement with a payload", CODE_PROTOCOL_ERROR
        )
        wrong(frame.size % 6 != 0, "SETTINGS of a wrong size", CODE_FRAME_SIZE_ERROR)
        count_overhead(&self.conduct, frame.size)
        if frame.flags & ACK:
            return self.on_settings_ack()
        for at in range(0, frame.size, 6):
            values[read_u16(frame.payload + at)] = read_u32(frame.payload + at + 2)
        for code, value in values.items():
            self.check_setting(code, value)
        old_window = self.peer_window
        for code, value in values.items():
            self.take_setting(code, value)
        self.peer_settings_seen = True
        self.resize_encoder(min(<size_t>self.peer_table, ENCODER_TABLE))
        self.write_frame(SETTINGS, ACK, 0, b"", 0)
        count_reply(&self.conduct)
        if self.peer_window != old_window:
            self.shift_send_windows(self.peer_window - old_window)
        events.append(Settings(values))
        return 0

    cdef int check_setting(self, uint32_t code, uint32_t value) except -1:
        cdef bint bad = False
        if code == SETTING_ENABLE_PUSH:
            bad = value > (1 if self.server else 0)
        elif code == SETTING_INITIAL_WINDOW_SIZE:
            wrong(value > MAX_WINDOW, "a window that is too large", CODE_FLOW_CONTROL_ERROR)
        elif code == SETTING_MAX_FRAME_SIZE:
            bad = not 16_384 <= value <= 16_777_215
        elif code == SETTING_ENABLE_CONNECT_PROTOCOL:
            bad = value > 1
        return wrong(bad, "a setting has a value that it cannot have", CODE_PROTOCOL_ERROR)

    cdef int take_setting(self, uint32_t code, uint32_t value) except -1:
        if code == SETTING_HEADER_TABLE_SIZE:
            self.peer_table = value
        elif code == SETTING_MAX_CONCURRENT_STREAMS:
            self.peer_max_streams = value
        elif code == SETTING_INITIAL_WINDOW_SIZE:
            self.peer_window = value
        elif code == SETTING_MAX_FRAME_SIZE:
            self.peer_max_frame = value
        elif code == SETTING_ENABLE_CONNECT_PROTOCOL:
            self.peer_connect = value == 1
        return 0

    cdef int shift_send_windows(self, int64_t delta) except -1:
        """Apply a change of the peer's SETTINGS_INITIAL_WINDOW_SIZE to the open streams (RFC 9113 §6.9.2)."""
        cdef Stream stream
        for stream in self.streams.values():
            stream.send_window += delta
            wrong(stream.send_window > MAX_WINDOW, "a stream's window overflows", CODE_FLOW_CONTROL_ERROR)
            self.schedule(stream)
        return 0

    cdef int on_settings_ack(self) except -1:
        """The peer knows our windows now: a smaller one than the default is binding from here on."""
        cdef Stream stream
        cdef int64_t delta
        if not self.settings_acked:
            self.settings_acked = True
            delta = self.stream_limit - self.stream_window
            self.stream_window += delta
            for stream in self.streams.values():
                stream.receive_window += delta
        return 0

    cdef int on_ping(self, Frame *frame, list events) except -1:
        wrong(frame.size != 8, "PING of a wrong size", CODE_FRAME_SIZE_ERROR)
        count_overhead(&self.conduct, 0)
        if frame.flags & ACK:
            events.append(PingAck(frame.payload[:8]))
            return 0
        self.write_frame(PING, ACK, 0, frame.payload, 8)
        return count_reply(&self.conduct)

    cdef int on_goaway(self, Frame *frame, list events) except -1:
        cdef Stream stream
        cdef uint32_t last
        wrong(frame.size < 8, "GOAWAY of a wrong size", CODE_FRAME_SIZE_ERROR)
        count_overhead(&self.conduct, frame.size)
        last = read_u32(frame.payload) & 0x7FFFFFFF
        self.closed_to_new = True
        events.append(Goaway(last, read_u32(frame.payload + 4), frame.payload[8 : frame.size]))
        if not self.server:
            for stream in list(self.streams.values()):
                if stream.stream_id > last:
                    self.drop(stream)
                    events.append(Reset(stream.key, CODE_REFUSED_STREAM, False))
        return 0

    cdef int on_priority(self, Frame *frame) except -1:
        wrong(frame.size != 5, "PRIORITY of a wrong size", CODE_FRAME_SIZE_ERROR)
        count_overhead(&self.conduct, 0)
        return wrong(
            read_u32(frame.payload) & 0x7FFFFFFF == frame.stream_id,
            "a stream depends on itself",
            CODE_PROTOCOL_ERROR,
        )

    cdef int on_other(self, Frame *frame) except -1:
        """A frame that means nothing to us (RFC 9113 §5.5)."""
        return count_overhead(&self.conduct, frame.size)

    # -- ends --------------------------------------------------------------------------------------------------------

    cdef int fail(self, Stream stream, uint32_t code, list events, size_t cost=1) except -1:
        """End a stream because of what the peer sent on it."""
        self.reset_stream(stream, code)
        events.append(Reset(stream.key, code, True, True))
        count_reply(&self.conduct)
        return count_reset(&self.conduct, cost)

    cdef inline int end_remote(self, Stream stream) except -1:
        stream.remote_ended = True
        if stream.local_ended:
            self.drop(stream)
        return 0
