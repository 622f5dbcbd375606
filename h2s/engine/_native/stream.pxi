# One stream: its two windows, the queue of its body, and the length it was promised; and the lines it waits in.

@cython.final
@cython.freelist(256)
cdef class Stream:
    """The state of one open stream. Sizes are in bytes; windows may be negative (RFC 9113 §6.9.2)."""

    cdef uint32_t stream_id
    cdef object key  # the same, as the dict of streams has it
    cdef bint urgent

    # Our side. `ending`: the caller has queued the end; `local_ended`: it has been sent.
    cdef int64_t send_window
    cdef bytes piece  # the first of the queue, of which `offset` bytes are gone
    cdef Py_ssize_t offset
    cdef object pieces  # the rest, a deque, or None
    cdef int64_t queued
    cdef bint above_high
    cdef list trailers
    cdef bint head_sent
    cdef bint ending
    cdef bint local_ended
    cdef int64_t moved  # sent since the last look (`stalls`)
    cdef bint waiting  # something was queued at the last look, and ever since

    # The peer's side. `window` is what `receive_window` is when all is given back; `owed` is not announced yet.
    cdef int64_t receive_window
    cdef int64_t window
    cdef int64_t owed
    cdef int informational
    cdef bint head_received
    cdef bint remote_ended
    cdef int64_t remaining  # of body that content-length still promises; -1 if it promised nothing
    cdef bint bodyless  # the answer to our request has no body whatever its content-length says (HEAD)
    cdef bint connect  # our request was a CONNECT: content-length means nothing in its answer

    # The line that it stands in.
    cdef Line line
    cdef Stream before
    cdef Stream behind

    cdef inline bint sendable(self) noexcept:
        """Say whether there is a frame to send as far as this stream's window is concerned."""
        if self.queued:
            return self.send_window > 0
        return self.ending and not self.local_ended

    cdef inline int push(self, bytes data) except -1:
        """Queue a piece."""
        if self.piece is None:
            self.piece = data
            self.offset = 0
        else:
            if self.pieces is None:
                self.pieces = deque()
            self.pieces.append(data)
        self.queued += PyBytes_GET_SIZE(data)
        return 0

    cdef int take(self, uint8_t *to, Py_ssize_t size) except -1:
        """Move the first `size` bytes of the queue to `to`."""
        cdef Py_ssize_t some
        self.queued -= size
        self.send_window -= size
        self.moved += size
        if not self.queued:
            self.waiting = False
        while size:
            some = min(PyBytes_GET_SIZE(self.piece) - self.offset, size)
            memcpy(to, PyBytes_AS_STRING(self.piece) + self.offset, some)
            self.offset += some
            if self.offset == PyBytes_GET_SIZE(self.piece):
                self.piece = self.pieces.popleft() if self.pieces else None
                self.offset = 0
            to += some
            size -= some
        return 0

    cdef bint stalls(self, int64_t least, bint connection_stalls) noexcept:
        """Look whether the peer has left the queue waiting since the last look (`Session.stalled`)."""
        cdef bint stalls
        if not self.queued:
            return False
        stalls = self.waiting and (connection_stalls or self.send_window <= 0) and self.moved < least
        self.waiting = True
        self.moved = 0
        return stalls

    cdef inline bint count(self, int64_t size, bint end_stream) noexcept:
        """Count `size` bytes of the peer's body; False if they contradict its content-length (RFC 9113 §8.1.1)."""
        if self.remaining < 0:
            return True
        if size > self.remaining:
            return False
        self.remaining -= size
        return self.remaining == 0 or not end_stream

    cdef inline int drop_queue(self) except -1:
        """Forget what waits to be sent."""
        self.piece = self.pieces = self.trailers = None
        self.queued = 0
        if self.line is not None:
            self.line.remove(self)
        return 0


@cython.final
cdef class Line:
    """Streams that wait for their turn. A stream stands in one line at the most, and leaves it from anywhere."""

    cdef Stream first
    cdef Stream last

    cdef inline int append(self, Stream stream) except -1:
        stream.line = self
        stream.before = self.last
        if self.last is None:
            self.first = stream
        else:
            self.last.behind = stream
        self.last = stream
        return 0

    cdef inline int remove(self, Stream stream) except -1:
        if stream.before is None:
            self.first = stream.behind
        else:
            stream.before.behind = stream.behind
        if stream.behind is None:
            self.last = stream.before
        else:
            stream.behind.before = stream.before
        stream.line = None
        stream.before = stream.behind = None
        return 0
