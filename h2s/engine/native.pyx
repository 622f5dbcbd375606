# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: embedsignature=False, always_allow_keywords=True
"""The fast engine: HTTP/2 in C by way of Cython, on the header compression of libnghttp2.

It is the portable engine over again (`portable` and `sender`, whose explanations hold here too): the same state, the
same accounts, the same answers to whatever a peer may send, which one contract suite checks on both. Of libnghttp2 it
takes HPACK alone; `docs/decisions` says why not its sessions.

What makes it fast. Frames are read where they lie in the bytes that came, and written once into the bytes that go. A
head is checked while it is decompressed, and names that HTTP uses every day are not made anew. A body is copied once
on its way in (into the `Data` that carries it, even when its frame comes in several reads) and once on its way out.

This file takes bytes apart into frames; the rest is in what it includes, `_native/`.
"""

cimport cython
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_AsString,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
    _PyBytes_Resize,
)
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.dict cimport PyDict_GetItemWithError
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove, memset

from collections import deque

from ..errors import ErrorCode, LocalProtocolError, NoFreeStream, RemoteProtocolError
from ..fields import CONNECTION_SPECIFIC as CONNECTION_SPECIFIC_FIELDS
from . import figures
from .figures import NEVER_INDEXED, REMEMBERED_RESETS
from .session import (
    EARNED,
    Data,
    Goaway,
    Head,
    Informational,
    PingAck,
    Reset,
    Role,
    Session,
    Settings,
    Terminated,
    Trailers,
)

__all__ = ["NativeSession"]

cdef bytes PREFACE = figures.PREFACE
cdef int64_t MAX_ID = figures.MAX_ID
cdef int64_t MAX_WINDOW = figures.MAX_WINDOW
cdef int64_t DEFAULT_WINDOW = figures.DEFAULT_WINDOW
cdef int64_t DEFAULT_FRAME = figures.DEFAULT_FRAME
cdef int64_t TURN = figures.TURN
cdef int64_t CRUMB = figures.CRUMB
cdef int64_t ASSUMED_PEER_STREAMS = figures.ASSUMED_PEER_STREAMS
cdef size_t ENCODER_TABLE = figures.ENCODER_TABLE
cdef size_t HARD_HEAD_FACTOR = figures.HARD_HEAD_FACTOR
cdef int64_t LATE_GRACE = figures.LATE_GRACE
cdef int64_t LATE_UNIT = figures.LATE_UNIT
cdef Py_ssize_t MANY_FIELDS = figures.MANY_FIELDS
cdef size_t OVERSIZE_UNIT = figures.OVERSIZE_UNIT
cdef size_t UNIT_OF_OVERHEAD = figures.OVERHEAD_UNIT
cdef int EARNED_BY_USE = EARNED

cdef enum:
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    ALTSVC = 10

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    HAS_PRIORITY = 0x20

    SETTING_HEADER_TABLE_SIZE = 1
    SETTING_ENABLE_PUSH = 2
    SETTING_MAX_CONCURRENT_STREAMS = 3
    SETTING_INITIAL_WINDOW_SIZE = 4
    SETTING_MAX_FRAME_SIZE = 5
    SETTING_MAX_HEADER_LIST_SIZE = 6
    SETTING_ENABLE_CONNECT_PROTOCOL = 8

    CODE_PROTOCOL_ERROR = 0x1
    CODE_FLOW_CONTROL_ERROR = 0x3
    CODE_STREAM_CLOSED = 0x5
    CODE_FRAME_SIZE_ERROR = 0x6
    CODE_REFUSED_STREAM = 0x7
    CODE_COMPRESSION_ERROR = 0x9
    CODE_ENHANCE_YOUR_CALM = 0xB

    FEW_FIELDS = 64  # of a head that needs no memory of its own while it is compressed
    KEPT_CONTROL = 4096  # bytes of buffer for frames that a session keeps when it has sent them

include "_native/nghttp2.pxi"
include "_native/octets.pxi"
include "_native/fields.pxi"
include "_native/stream.pxi"
include "_native/conduct.pxi"
include "_native/sender.pxi"
include "_native/receiver.pxi"


@cython.final
cdef class NativeSession(Receiver):
    """One end of an HTTP/2 connection in C. See `Session` for the contract."""

    cdef size_t max_frame_size
    cdef size_t preface_seen
    cdef Buffer partial  # a frame of which not all has come
    cdef bytes body  # the payload of such a frame if it is DATA without padding
    cdef size_t body_size
    cdef Frame body_frame
    cdef bint terminated

    def __cinit__(self, role, limits):
        self.max_frame_size = limits.max_frame_size
        self.preface_seen = 0 if self.server else len(PREFACE)

    def __dealloc__(self):
        PyMem_Free(self.partial.at)

    def receive(self, data, double now=0.0):
        """Take bytes from the peer and return what they mean."""
        cdef list events = []
        cdef Py_buffer view
        if self.terminated:
            return events
        self.conduct.now = now
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.read(<const uint8_t *>view.buf, view.len, events)
        except RemoteProtocolError as error:
            self.terminate(error.code, str(error), events)
        finally:
            PyBuffer_Release(&view)
        return events

    cdef int terminate(self, uint32_t code, str reason, list events) except -1:
        cdef Stream stream
        self.terminated = self.closed_to_new = True
        for stream in self.streams.values():
            stream.drop_queue()
        self.streams.clear()
        self.waiting = 0
        self.body = None
        clear(&self.partial, 0)
        clear(&self.block, 0)
        self.write_goaway(min(self.last_seen, self.last_accepted), code, b"")
        events.append(Terminated(code, reason))
        return 0

    # -- from bytes to frames ----------------------------------------------------------------------------------------

    cdef int read(self, const uint8_t *at, size_t size, list events) except -1:
        """Handle every whole frame, and keep what is left."""
        cdef const uint8_t *end = at + size
        cdef Frame frame
        at += self.read_preface(at, size)
        while at < end:
            if self.body is not None:
                at += self.continue_body(at, end - at, events)
            elif self.partial.size:
                at += self.continue_frame(at, end - at, events)
            elif end - at < 9:
                append(&self.partial, at, end - at)
                break
            else:
                self.read_header(at, &frame)
                at += 9
                if <size_t>(end - at) < frame.size:
                    self.begin_frame(&frame, at, end - at)
                    break
                frame.payload = at
                self.on_frame(&frame, None, events)
                at += frame.size
        return 0

    cdef size_t read_preface(self, const uint8_t *at, size_t size) except? 0:
        cdef size_t some = min(size, <size_t>len(PREFACE) - self.preface_seen)
        if some:
            wrong(
                memcmp(<const char *>PREFACE + self.preface_seen, at, some) != 0,
                "the preface is not HTTP/2's",
                CODE_PROTOCOL_ERROR,
            )
            self.preface_seen += some
        return some

    cdef inline int read_header(self, const uint8_t *at, Frame *frame) except -1:
        frame.size = read_u24(at)
        frame.kind = at[3]
        frame.flags = at[4]
        frame.stream_id = read_u32(at + 5) & 0x7FFFFFFF
        if frame.size > self.max_frame_size:
            raise RemoteProtocolError("a frame is larger than allowed", CODE_FRAME_SIZE_ERROR)
        if frame.kind <= CONTINUATION and frame.kind != WINDOW_UPDATE:
            wrong(
                (frame.stream_id == 0) != (frame.kind in (SETTINGS, PING, GOAWAY)),
                "a frame on a stream that it cannot be on",
                CODE_PROTOCOL_ERROR,
            )
        return 0

    cdef int begin_frame(self, Frame *frame, const uint8_t *payload, size_t size) except -1:
        """Keep the beginning of a frame, of which the header and `size` bytes have come."""
        cdef uint8_t header[9]
        if frame.kind == DATA and not frame.flags & PADDED and frame.size:
            self.body = PyBytes_FromStringAndSize(NULL, frame.size)
            self.body_frame = frame[0]
            self.body_size = size
            memcpy(PyBytes_AS_STRING(self.body), payload, size)
            return 0
        write_frame(header, frame.size, frame.kind, frame.flags, frame.stream_id)
        append(&self.partial, header, 9)
        return append(&self.partial, payload, size)

    cdef size_t continue_body(self, const uint8_t *at, size_t size, list events) except? 0:
        """Add to the payload of a DATA frame; return how many bytes that took."""
        cdef size_t some = min(size, self.body_frame.size - self.body_size)
        cdef bytes body
        memcpy(PyBytes_AS_STRING(self.body) + self.body_size, at, some)
        self.body_size += some
        if self.body_size == self.body_frame.size:
            body, self.body = self.body, None
            self.body_frame.payload = <const uint8_t *>PyBytes_AS_STRING(body)
            self.on_frame(&self.body_frame, body, events)
        return some

    cdef size_t continue_frame(self, const uint8_t *at, size_t size, list events) except? 0:
        """Add to a frame of another kind, or to a frame's header; return how many bytes that took."""
        cdef Frame frame
        cdef size_t some, before = self.partial.size
        if before < 9:
            some = min(size, 9 - before)
            append(&self.partial, at, some)
            if self.partial.size == 9:
                self.read_header(self.partial.at, &frame)
                if not frame.size:
                    self.on_partial(&frame, events)
                elif frame.kind == DATA and not frame.flags & PADDED:
                    clear(&self.partial, 0)
                    self.begin_frame(&frame, at, 0)
            return some
        self.read_header(self.partial.at, &frame)
        some = min(size, frame.size + 9 - before)
        append(&self.partial, at, some)
        if self.partial.size == frame.size + 9:
            self.on_partial(&frame, events)
        return some

    cdef int on_partial(self, Frame *frame, list events) except -1:
        """Handle the frame that is complete in `partial`."""
        frame.payload = self.partial.at + 9
        self.on_frame(frame, None, events)
        clear(&self.partial, 0)
        return 0

Session.register(NativeSession)
