# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Field lines of HTTP/1.1 in C: the twin of `lines`, which says what is taken and what is refused.

Each octet is looked at once, by tables of classes. Names that HTTP uses every day are not made anew: `KNOWN` is an open
hash table of them, looked up without regard to case.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp, memcpy

from .errors import MalformedMessage

__all__ = ["join_fields", "split_fields"]

cdef enum:
    LONGEST_KNOWN = 32
    KNOWN_SIZE = 256

cdef uint8_t LOWER[256]
"""An octet of a name in lower case; 0 if it cannot stand in a name."""
cdef uint8_t IN_VALUE[256]
cdef PyObject *KNOWN[KNOWN_SIZE]



cdef int classify() except -1:
    cdef int octet
    for octet in range(256):
        LOWER[octet] = 0
        IN_VALUE[octet] = octet == 0x09 or (octet >= 0x20 and octet != 0x7F)
    for octet in bytearray(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"):
        LOWER[octet] = octet
    for octet in range(0x41, 0x5B):
        LOWER[octet] = octet + 0x20
    return 0


classify()

_NAMES = (
    b"accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials "
    b"access-control-allow-headers access-control-allow-methods access-control-allow-origin age allow alt-svc "
    b"authorization cache-control connection content-disposition content-encoding content-language content-length "
    b"content-location content-range content-security-policy content-type cookie date dnt etag expect expires "
    b"forwarded from grpc-encoding grpc-status host if-match if-modified-since if-none-match if-range "
    b"if-unmodified-since keep-alive last-modified link location origin pragma priority proxy-authorization range "
    b"referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest "
    b"sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept sec-websocket-extensions sec-websocket-key "
    b"sec-websocket-protocol sec-websocket-version server set-cookie strict-transport-security te trailer "
    b"transfer-encoding upgrade upgrade-insecure-requests user-agent vary via x-content-type-options "
    b"x-forwarded-for x-forwarded-host x-forwarded-proto x-frame-options x-powered-by x-real-ip x-request-id "
    b"x-requested-with x-xss-protection"
).split()


cdef inline size_t place(const uint8_t *name, size_t size) noexcept nogil:
    return (size * 31 + name[0] * 5 + name[size // 2] * 11 + name[size - 1] * 37) % KNOWN_SIZE


cdef int know(bytes name) except -1:
    cdef size_t slot = place(<const uint8_t *>PyBytes_AS_STRING(name), len(name))
    while KNOWN[slot] != NULL:
        slot = (slot + 1) % KNOWN_SIZE
    Py_INCREF(name)
    KNOWN[slot] = <PyObject *>name
    return 0


for _name in _NAMES:
    assert len(_name) <= LONGEST_KNOWN
    know(_name)


cdef inline bytes name_of(const uint8_t *at, Py_ssize_t size):
    """Return the name in lower case; each of its octets is one of names."""
    cdef uint8_t lower[LONGEST_KNOWN]
    cdef Py_ssize_t index
    cdef size_t slot
    cdef bytes made
    cdef uint8_t *into
    if size <= LONGEST_KNOWN:
        for index in range(size):
            lower[index] = LOWER[at[index]]
        slot = place(lower, size)
        while KNOWN[slot] != NULL:
            made = <bytes>KNOWN[slot]
            if PyBytes_GET_SIZE(made) == size and memcmp(PyBytes_AS_STRING(made), lower, size) == 0:
                return made
            slot = (slot + 1) % KNOWN_SIZE
        return PyBytes_FromStringAndSize(<char *>lower, size)
    made = PyBytes_FromStringAndSize(NULL, size)
    into = <uint8_t *>PyBytes_AS_STRING(made)
    for index in range(size):
        into[index] = LOWER[at[index]]
    return made


def split_fields(bytes data not None, Py_ssize_t at, Py_ssize_t end):
    """See `lines.portable_split_fields`."""
    cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t start, value, last
    cdef list fields = []
    cdef bytes name
    if at < 0 or end > PyBytes_GET_SIZE(data):
        raise ValueError("not a part of the data")
    while at < end:
        start = at
        while at < end and LOWER[octets[at]]:
            at += 1
        if at == start or at == end or octets[at] != c":":
            raise MalformedMessage("a line without a field's name")
        name = name_of(octets + start, at - start)
        at += 1
        while at < end and (octets[at] == c" " or octets[at] == c"\t"):
            at += 1
        value = at
        while at < end and IN_VALUE[octets[at]]:
            at += 1
        if at + 1 >= end or octets[at] != c"\r" or octets[at + 1] != c"\n":
            raise MalformedMessage("a control character or a bare line end in a value", field=name)
        last = at
        while last > value and (octets[last - 1] == c" " or octets[last - 1] == c"\t"):
            last -= 1
        fields.append((name, PyBytes_FromStringAndSize(<const char *>octets + value, last - value)))
        at += 2
    return fields


cdef inline bint breaks(const char *at, Py_ssize_t size) noexcept nogil:
    return memchr(at, c"\n", size) != NULL or memchr(at, c"\r", size) != NULL


def join_fields(list fields not None):
    """See `lines.portable_join_fields`."""
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t part
    cdef bytes name, value, section
    cdef char *into
    for name, value in fields:
        size += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + 4
    section = PyBytes_FromStringAndSize(NULL, size)
    into = PyBytes_AS_STRING(section)
    for name, value in fields:
        part = PyBytes_GET_SIZE(name)
        if breaks(PyBytes_AS_STRING(name), part) or breaks(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)):
            raise MalformedMessage("a field holds a line break")
        memcpy(into, PyBytes_AS_STRING(name), part)
        into += part
        into[0] = c":"
        into[1] = c" "
        into += 2
        part = PyBytes_GET_SIZE(value)
        memcpy(into, PyBytes_AS_STRING(value), part)
        into += part
        into[0] = c"\r"
        into[1] = c"\n"
        into += 2
    return section
