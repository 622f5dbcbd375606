# The accounts of `h2s.engine.conduct`: what a peer may cost beyond the work that this side is here for.

cdef struct Allowance:
    double burst
    double left
    double per_second
    double taken_at


cdef int allow(Allowance *allowance, object rate) except -1:
    allowance.burst = float("inf") if rate is None else rate.burst
    allowance.per_second = 0.0 if rate is None else rate.per_second
    allowance.left = allowance.burst
    allowance.taken_at = 0.0
    return 0


cdef inline bint take(Allowance *allowance, double cost, double now) noexcept:
    if now > allowance.taken_at:
        allowance.left = min(
            allowance.burst, allowance.left + (now - allowance.taken_at) * allowance.per_second
        )
        allowance.taken_at = now
    allowance.left -= cost
    return allowance.left >= 0


cdef struct Conduct:
    double now
    Allowance overhead
    Allowance resets
    int64_t max_replies
    int64_t replies


cdef int begin_conduct(Conduct *conduct, object limits) except -1:
    conduct.now = 0.0
    allow(&conduct.overhead, limits.overhead)
    allow(&conduct.resets, limits.resets)
    conduct.max_replies = limits.max_replies
    conduct.replies = 0
    return 0


cdef inline void count_useful(Conduct *conduct) noexcept:
    """Count a frame that was of use."""
    if conduct.overhead.left < conduct.overhead.burst:
        conduct.overhead.left = min(conduct.overhead.burst, conduct.overhead.left + EARNED_BY_USE)


cdef inline int count_overhead(Conduct *conduct, size_t size) except -1:
    """Count a frame that was of none, with `size` bytes of payload."""
    if not take(&conduct.overhead, 1 + size // UNIT_OF_OVERHEAD, conduct.now):
        raise RemoteProtocolError("too many frames without use", CODE_ENHANCE_YOUR_CALM)
    return 0


cdef inline int count_reset(Conduct *conduct, size_t cost) except -1:
    """Count a stream that the peer has cancelled, or made us reset."""
    if not take(&conduct.resets, cost, conduct.now):
        raise RemoteProtocolError("too many streams reset", CODE_ENHANCE_YOUR_CALM)
    return 0


cdef inline int count_reply(Conduct *conduct) except -1:
    """Count a frame that the peer has made us write; it has to read that some time."""
    conduct.replies += 1
    if conduct.replies > conduct.max_replies:
        raise RemoteProtocolError("too many replies that are not read", CODE_ENHANCE_YOUR_CALM)
    return 0
