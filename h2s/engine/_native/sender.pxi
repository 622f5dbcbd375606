# The sending half, as in `h2s.engine.sender`: whose frame is next, and how large it may be.
#
# Everything but DATA and trailers goes to `control` at once, in the order in which it was compressed; `pull` empties
# that first, and writes each byte of DATA once, from the caller's object into the one that it returns.

cdef class Sender:
    """What a session has to send, by stream. Whoever receives the peer's frames opens its windows."""

    cdef readonly object role
    cdef readonly object limits
    cdef bint server
    cdef bint closed_to_new
    cdef Buffer control
    cdef nghttp2_hd_deflater *deflater
    cdef size_t encoder_table
    cdef dict streams
    cdef object resets  # the streams last reset by a server, a deque, or None
    cdef int64_t late  # bytes of DATA that the peer may still send for streams that are gone
    cdef int64_t last_opened
    cdef int64_t last_seen
    cdef int64_t last_accepted

    # What the peer has set.
    cdef bint peer_settings_seen
    cdef bint peer_connect
    cdef uint32_t peer_table
    cdef int64_t peer_window
    cdef int64_t peer_max_frame
    cdef int64_t peer_max_streams

    cdef int64_t send_window
    cdef int64_t window  # of the connection, ours
    cdef int64_t stream_window  # of a new stream, ours, as the peer knows it
    cdef int64_t stream_limit  # the same once it has acknowledged our SETTINGS
    cdef int64_t queue_high
    cdef int64_t queue_low
    cdef size_t max_backlog
    cdef Line urgent_ready
    cdef Line urgent_aside
    cdef Line ready
    cdef Line aside
    cdef int64_t waiting  # bytes of bodies in all queues
    cdef list drained_streams
    cdef Conduct conduct
    cdef int64_t moved

    def __cinit__(self, role, limits):
        self.role = role
        self.limits = limits
        self.server = role is Role.SERVER
        if nghttp2_hd_deflate_new(&self.deflater, ENCODER_TABLE):
            raise MemoryError
        self.encoder_table = self.peer_table = ENCODER_TABLE
        self.streams = {}
        self.last_opened = -1
        self.last_accepted = MAX_ID
        self.peer_window = self.send_window = DEFAULT_WINDOW
        self.peer_max_frame = DEFAULT_FRAME
        self.peer_max_streams = MAX_ID
        self.window = max(<int64_t>DEFAULT_WINDOW, <int64_t>limits.connection_window)
        self.late = LATE_GRACE
        self.stream_limit = limits.stream_window
        self.stream_window = max(<int64_t>DEFAULT_WINDOW, self.stream_limit)
        self.queue_high = limits.queue_high
        self.queue_low = limits.queue_low
        self.max_backlog = limits.max_backlog
        self.urgent_ready = Line()
        self.urgent_aside = Line()
        self.ready = Line()
        self.aside = Line()
        begin_conduct(&self.conduct, limits)
        self.greet()

    def __dealloc__(self):
        nghttp2_hd_deflate_del(self.deflater)
        PyMem_Free(self.control.at)

    cdef int greet(self) except -1:
        limits = self.limits
        values = {
            SETTING_MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
            SETTING_INITIAL_WINDOW_SIZE: limits.stream_window,
            SETTING_MAX_FRAME_SIZE: limits.max_frame_size,
            SETTING_MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
        }
        if not self.server:
            append(&self.control, <const char *>PREFACE, len(PREFACE))
            values[SETTING_ENABLE_PUSH] = 0
        elif limits.connect_protocol:
            values[SETTING_ENABLE_CONNECT_PROTOCOL] = 1
        values.update(limits.extra_settings)
        payload = b"".join(
            code.to_bytes(2, "big") + value.to_bytes(4, "big") for code, value in values.items()
        )
        self.write_frame(SETTINGS, 0, 0, <const char *>payload, len(payload))
        if self.window > DEFAULT_WINDOW:
            self.write_number(WINDOW_UPDATE, 0, self.window - DEFAULT_WINDOW)
        return 0

    # -- frames ----------------------------------------------------------------------------------------------------

    cdef int write_frame(
        self, uint8_t kind, uint8_t flags, uint32_t stream_id, const void *payload, size_t size
    ) except -1:
        reserve(&self.control, 9 + size)
        write_frame(self.control.at + self.control.size, size, kind, flags, stream_id)
        memcpy(self.control.at + self.control.size + 9, payload, size)
        self.control.size += 9 + size
        return 0

    cdef inline int write_number(self, uint8_t kind, uint32_t stream_id, uint32_t number) except -1:
        """Write a frame whose payload is one number: RST_STREAM, WINDOW_UPDATE."""
        cdef uint8_t payload[4]
        write_u32(payload, number)
        return self.write_frame(kind, 0, stream_id, payload, 4)

    cdef int write_goaway(self, uint32_t last_stream_id, uint32_t code, bytes debug) except -1:
        cdef uint8_t numbers[8]
        write_u32(numbers, last_stream_id)
        write_u32(numbers + 4, code)
        payload = numbers[:8] + debug
        return self.write_frame(GOAWAY, 0, 0, <const char *>payload, len(payload))

    cdef int write_head(self, uint32_t stream_id, object fields, bint end_stream) except -1:
        """Compress a head or trailers, as HEADERS and as many CONTINUATION frames as it takes."""
        cdef nghttp2_nv few[FEW_FIELDS]
        cdef nghttp2_nv *pairs = few
        cdef list items = fields if type(fields) is list else list(fields)
        cdef size_t count = len(items)
        cdef size_t bound
        cdef ssize_t size
        if count > FEW_FIELDS:
            pairs = <nghttp2_nv *>PyMem_Malloc(count * sizeof(nghttp2_nv))
            if pairs == NULL:
                raise MemoryError
        try:
            self.fill_pairs(pairs, items)
            bound = nghttp2_hd_deflate_bound(self.deflater, pairs, count)
            reserve(&self.control, 9 + bound)
            size = nghttp2_hd_deflate_hd(
                self.deflater, self.control.at + self.control.size + 9, bound, pairs, count
            )
        finally:
            if pairs != few:
                PyMem_Free(pairs)
        if size < 0:
            raise MemoryError
        if size > self.peer_max_frame:
            return self.split_head(stream_id, size, end_stream)
        write_frame(
            self.control.at + self.control.size,
            size,
            HEADERS,
            END_HEADERS | (END_STREAM if end_stream else 0),
            stream_id,
        )
        self.control.size += 9 + size
        return 0

    cdef inline int fill_pairs(self, nghttp2_nv *pairs, list items) except -1:
        cdef Name *known
        cdef object field
        for field in items:
            name, value = <tuple?>field
            pairs.name = <uint8_t *>PyBytes_AsString(name)
            pairs.value = <uint8_t *>PyBytes_AsString(value)
            pairs.namelen = PyBytes_GET_SIZE(name)
            pairs.valuelen = PyBytes_GET_SIZE(value)
            known = find_name(<const char *>pairs.name, pairs.namelen)
            pairs.flags = (
                NGHTTP2_NV_FLAG_NO_INDEX if known != NULL and known.never_indexed else NGHTTP2_NV_FLAG_NONE
            )
            pairs += 1
        return 0

    cdef int split_head(self, uint32_t stream_id, size_t size, bint end_stream) except -1:
        """Put frame headers into a compressed head that lies behind room for the first one."""
        cdef size_t piece = self.peer_max_frame
        cdef size_t last = (size - 1) // piece
        cdef size_t number, length
        cdef uint8_t *start
        reserve(&self.control, 9 * (last + 1) + size)
        start = self.control.at + self.control.size
        for number in range(last, -1, -1):
            length = min(piece, size - number * piece)
            memmove(start + number * (piece + 9) + 9, start + 9 + number * piece, length)
            write_frame(
                start + number * (piece + 9),
                length,
                CONTINUATION if number else HEADERS,
                (END_HEADERS if number == last else 0) | (END_STREAM if end_stream and not number else 0),
                stream_id,
            )
        self.control.size += 9 * (last + 1) + size
        return 0

    # -- turns -----------------------------------------------------------------------------------------------------

    def pull(self, Py_ssize_t limit):
        """Return what is due, then DATA by turns until `limit` is reached."""
        cdef size_t due = self.control.size
        cdef Output output
        cdef Stream stream
        cdef int64_t body
        if not self.has_turns():
            if not due:
                return b""
            data = PyBytes_FromStringAndSize(<char *>self.control.at, due)
            self.control_taken()
            return data
        body = min(self.waiting, <int64_t>limit)
        begin_output(&output, due + body + 9 * (body // DEFAULT_FRAME + 8))
        try:
            if due:
                memcpy(room_in(&output, due), self.control.at, due)
                self.control_taken()
            while output.size < limit:
                stream = self.next_turn()
                if stream is None:
                    break
                self.turn(stream, &output)
        except:
            drop_output(&output)
            raise
        return finished_output(&output)

    @property
    def has_output(self):
        """Whether `pull` has something to return."""
        return self.control.size > 0 or self.has_turns()

    cdef inline int control_taken(self) except -1:
        clear(&self.control, KEPT_CONTROL)
        self.conduct.replies = 0
        return 0

    cdef inline bint has_turns(self) noexcept:
        return (
            self.ready.first is not None
            or self.urgent_ready.first is not None
            or (self.send_window > 0 and (self.aside.first is not None or self.urgent_aside.first is not None))
        )

    cdef inline Stream next_turn(self):
        cdef Stream stream = self.next_in(self.urgent_ready, self.urgent_aside)
        return stream if stream is not None else self.next_in(self.ready, self.aside)

    cdef Stream next_in(self, Line ready, Line aside):
        """Return the next stream that has something it can send now, no longer in line."""
        cdef bint window_open = self.send_window > 0
        cdef Line line
        cdef Stream stream
        while True:
            line = aside if window_open and aside.first is not None else ready
            stream = line.first
            if stream is None:
                return None
            line.remove(stream)
            if not stream.sendable():
                continue
            if window_open or not stream.queued:
                return stream
            aside.append(stream)

    cdef int turn(self, Stream stream, Output *output) except -1:
        """Add one frame of the stream to the output."""
        cdef int64_t size = 0
        cdef bint end
        cdef uint8_t *at
        if stream.trailers is not None and not stream.queued:
            self.write_head(stream.stream_id, stream.trailers, True)
            memcpy(room_in(output, self.control.size), self.control.at, self.control.size)
            clear(&self.control, KEPT_CONTROL)
            return self.end_local(stream)
        if stream.queued:
            size = min(min(stream.queued, stream.send_window), min(self.send_window, <int64_t>TURN))
        end = stream.ending and size == stream.queued and stream.trailers is None
        at = room_in(output, 9 + size)
        write_frame(at, size, DATA, END_STREAM if end else 0, stream.stream_id)
        if size:
            if size >= CRUMB or size == stream.queued:
                count_useful(&self.conduct)
            stream.take(at + 9, size)
            self.waiting -= size
            self.send_window -= size
            self.moved += size
        if stream.above_high and stream.queued <= self.queue_low:
            stream.above_high = False
            if self.drained_streams is None:
                self.drained_streams = []
            self.drained_streams.append(stream.key)
        if end:
            return self.end_local(stream)
        return self.schedule(stream)

    cdef inline int schedule(self, Stream stream) except -1:
        if stream.line is None and stream.sendable():
            (self.urgent_ready if stream.urgent else self.ready).append(stream)
        return 0

    def drained(self):
        """Return the open streams whose queue has become short, once each."""
        if self.drained_streams is None:
            return []
        drained, self.drained_streams = self.drained_streams, None
        return [stream_id for stream_id in drained if stream_id in self.streams]

    def stalled(self, least):
        """Return the streams that the peer does not read."""
        cdef bint connection_stalls = self.moved < least
        cdef Stream stream
        self.moved = 0
        return [stream.key for stream in self.streams.values() if stream.stalls(least, connection_stalls)]

    # -- what callers ask for ----------------------------------------------------------------------------------------

    cdef inline Stream find(self, object stream_id):
        cdef PyObject *found = PyDict_GetItemWithError(self.streams, stream_id)
        if found == NULL:
            return None
        return <Stream>found

    def open(self, fields, *, bint end_stream, bint urgent=False):
        """Open a stream with a request head; raises NoFreeStream, LocalProtocolError on a server."""
        cdef Stream stream
        if self.server:
            raise LocalProtocolError("a server opens no streams")
        if self.count_free() <= 0:
            raise NoFreeStream("no stream can be opened now")
        self.last_opened += 2
        count_useful(&self.conduct)
        stream = self.new_stream(self.last_opened, self.last_opened)
        stream.urgent = urgent
        for name, value in fields:
            if name == b":method":
                stream.bodyless = value == b"HEAD"
                stream.connect = value == b"CONNECT"
                break
        self.send_final_head(stream, fields, end_stream)
        return stream.key

    def make_urgent(self, stream_id):
        """Put the stream ahead of others."""
        cdef Stream stream = self.find(stream_id)
        if stream is not None:
            stream.urgent = True

    def send_informational(self, stream_id, fields):
        """Send a 1xx head."""
        cdef Stream stream = self.find(stream_id)
        if stream is None:
            return
        if stream.head_sent or not self.server:
            raise LocalProtocolError("a 1xx head goes from the server, before the final head")
        self.write_head(stream.stream_id, fields, False)

    def send_head(self, stream_id, fields, *, bint end_stream):
        """Send the final response head."""
        cdef Stream stream = self.find(stream_id)
        if stream is None:
            return
        if stream.head_sent:
            raise LocalProtocolError("a stream has one final head")
        self.send_final_head(stream, fields, end_stream)

    cdef int send_final_head(self, Stream stream, object fields, bint end_stream) except -1:
        self.write_head(stream.stream_id, fields, end_stream)
        stream.head_sent = True
        if end_stream:
            stream.ending = True
            self.end_local(stream)
        return 0

    def send_data(self, stream_id, data, *, bint end_stream):
        """Queue a piece of a body."""
        cdef Stream stream = self.find(stream_id)
        cdef bytes piece
        if stream is None:
            return
        require_body(stream)
        piece = data if PyBytes_CheckExact(data) else bytes(data)
        if piece:
            stream.push(piece)
            self.waiting += PyBytes_GET_SIZE(piece)
            if stream.queued > self.queue_high:
                stream.above_high = True
        stream.ending = end_stream
        self.schedule(stream)

    def send_trailers(self, stream_id, fields):
        """Queue the trailer section; an empty one is only an end."""
        cdef Stream stream = self.find(stream_id)
        if stream is None:
            return
        require_body(stream)
        stream.trailers = list(fields) or None
        stream.ending = True
        self.schedule(stream)

    def reset(self, stream_id, code):
        """End the stream at once."""
        cdef Stream stream = self.find(stream_id)
        if stream is not None:
            self.reset_stream(stream, code)

    cdef int reset_stream(self, Stream stream, uint32_t code) except -1:
        if not stream.remote_ended and stream.receive_window > 0:
            self.late += stream.receive_window
        self.drop(stream)
        return self.refuse(stream.key, stream.stream_id, code)

    cdef int refuse(self, object key, uint32_t stream_id, uint32_t code) except -1:
        self.write_number(RST_STREAM, stream_id, code)
        if self.server:
            if self.resets is None:
                self.resets = deque(maxlen=REMEMBERED_RESETS)
            self.resets.append(key)
        return 0

    def credit(self, stream_id, int64_t size):
        """Give back `size` bytes of the stream's window, in steps of a quarter."""
        cdef Stream stream = self.find(stream_id)
        if stream is None or stream.remote_ended:
            return
        stream.owed += size
        if stream.owed * 4 >= stream.window and stream.owed:
            self.enlarge(stream, stream.owed)
            stream.owed = 0

    def widen(self, stream_id, int64_t size):
        """Enlarge the stream's window, up to 2**31-1."""
        cdef Stream stream = self.find(stream_id)
        if stream is None or stream.remote_ended:
            return
        size = min(size, <int64_t>MAX_WINDOW - stream.window)
        if size > 0:
            stream.window += size
            self.enlarge(stream, size)

    cdef int enlarge(self, Stream stream, int64_t size) except -1:
        stream.receive_window += size
        return self.write_number(WINDOW_UPDATE, stream.stream_id, size)

    def queued(self, stream_id):
        """Return how many bytes of body wait in the stream's queue."""
        cdef Stream stream = self.find(stream_id)
        return 0 if stream is None else stream.queued

    def ping(self, bytes payload):
        """Send a PING."""
        if len(payload) != 8:
            raise LocalProtocolError("a PING holds 8 bytes")
        self.write_frame(PING, 0, 0, <const char *>payload, 8)

    def goaway(self, code, *, last_stream_id=None, bytes debug=b""):
        """Send GOAWAY; the streams it names go on."""
        cdef Stream stream
        cdef int64_t last = self.last_seen if last_stream_id is None else last_stream_id
        self.last_accepted = min(last, self.last_accepted)
        self.write_goaway(self.last_accepted, code, debug)
        if self.server:
            for stream in list(self.streams.values()):
                if stream.stream_id > self.last_accepted:
                    self.drop(stream)

    @property
    def open_streams(self):
        """How many streams are open."""
        return len(self.streams)

    @property
    def free_streams(self):
        """How many streams may be opened now."""
        return self.count_free()

    cdef int64_t count_free(self) except -1:
        cdef int64_t limit
        if self.server or self.closed_to_new or self.backlogged():
            return 0
        limit = self.peer_max_streams if self.peer_settings_seen else ASSUMED_PEER_STREAMS
        return max(<int64_t>0, min(limit - <int64_t>len(self.streams), (MAX_ID - self.last_opened) // 2))

    @property
    def peer_connect_protocol(self):
        """Whether the peer takes extended CONNECT."""
        return bool(self.peer_connect)

    # -- shared with the receiving half ------------------------------------------------------------------------------

    cdef Stream new_stream(self, object key, uint32_t stream_id):
        cdef Stream stream = Stream.__new__(Stream)
        stream.key = key
        stream.stream_id = stream_id
        stream.send_window = self.peer_window
        stream.receive_window = self.stream_window
        stream.window = self.stream_limit
        stream.remaining = -1
        self.streams[key] = stream
        return stream

    cdef inline int end_local(self, Stream stream) except -1:
        stream.local_ended = True
        if stream.remote_ended:
            self.drop(stream)
        return 0

    cdef inline int drop(self, Stream stream) except -1:
        """Let go of a stream that is over."""
        del self.streams[stream.key]
        self.waiting -= stream.queued
        return stream.drop_queue()

    cdef inline bint backlogged(self) noexcept:
        """Say whether so much waits for the peer to read that it gets no more streams."""
        return self.control.size > self.max_backlog

    cdef int resize_encoder(self, size_t size) except -1:
        """Take another size of the compression table; of several, the next head names the least and the last."""
        if size != self.encoder_table:
            self.encoder_table = size
            if nghttp2_hd_deflate_change_table_size(self.deflater, size):
                raise MemoryError
        return 0


cdef inline int require_body(Stream stream) except -1:
    if not stream.head_sent or stream.ending:
        raise LocalProtocolError("a body comes after the head and before the end")
    return 0


# What `pull` returns, while it is written: an object of bytes that is as large as it will probably have to be.

cdef struct Output:
    PyObject *data
    Py_ssize_t size
    Py_ssize_t room


cdef int begin_output(Output *output, Py_ssize_t room) except -1:
    data = PyBytes_FromStringAndSize(NULL, room)
    Py_INCREF(data)
    output.data = <PyObject *>data
    output.size = 0
    output.room = room
    return 0


cdef inline uint8_t *room_in(Output *output, Py_ssize_t size) except NULL:
    """Return where to write the next `size` bytes."""
    cdef uint8_t *at
    if output.size + size > output.room:
        output.room = 2 * output.room + size
        _PyBytes_Resize(&output.data, output.room)
    at = <uint8_t *>PyBytes_AS_STRING(<object>output.data) + output.size
    output.size += size
    return at


cdef int drop_output(Output *output) except -1:
    Py_XDECREF(output.data)
    return 0


cdef bytes finished_output(Output *output):
    if output.size != output.room:
        _PyBytes_Resize(&output.data, output.size)
    data = <object>output.data
    Py_DECREF(data)
    return data
