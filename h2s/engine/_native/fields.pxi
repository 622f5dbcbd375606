# The rules of `h2s.fields` for what arrives, kept while a head is decompressed rather than afterwards.
#
# `read_field` takes each field once, and notes in a `Section` what is wrong with it in any head (`bad`) and which
# pseudo-fields there are. What these mean in a request, a response or a trailer section is asked of the section when
# it is complete. The names that HTTP uses every day are kept as Python objects (`KNOWN`); what has a rule of its own
# is among them.

cdef extern from *:
    """
    /* Loops without a branch, which compilers make wide. */
    static inline int octets_of_value(const uint8_t *at, size_t size) {
        unsigned bad = 0;
        for (size_t i = 0; i < size; i++) {
            uint8_t c = at[i];
            bad |= ((c < 0x20) & (c != 0x09)) | (c == 0x7f);
        }
        return !bad;
    }
    static inline int octets_of_class(const uint8_t *at, size_t size, const uint8_t *classes, uint8_t wanted) {
        uint8_t all = wanted;
        for (size_t i = 0; i < size; i++) all &= classes[at[i]];
        return all;
    }
    """
    int octets_of_value(const uint8_t *at, size_t size) nogil
    int octets_of_class(const uint8_t *at, size_t size, const uint8_t *classes, uint8_t wanted) nogil


cdef enum:
    # Classes of octets.
    IN_NAME = 1
    IN_TOKEN = 2
    IN_SCHEME = 4
    IN_AUTHORITY = 8
    IN_PATH = 16
    IN_NUMBER = 32
    IS_LETTER = 64

    # Kinds of names. Pseudo-fields come first; their bits in `Section.pseudo` are in this order.
    METHOD = 0
    SCHEME = 1
    AUTHORITY = 2
    PATH = 3
    PROTOCOL = 4
    STATUS = 5
    REGULAR = 6
    UNKNOWN = 7
    CONTENT_LENGTH = 8
    HOST = 9
    TE = 10
    CONNECTION_SPECIFIC = 11

    KNOWN_SIZE = 512


cdef uint8_t CLASSES[256]


cdef int classify(bytes octets, uint8_t bit) except -1:
    cdef uint8_t octet
    for octet in octets:
        CLASSES[octet] |= bit
    return 0


memset(CLASSES, 0, sizeof(CLASSES))
_DIGITS = b"0123456789"
_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_OPAQUE = bytes(range(0x80, 0x100))
_VISIBLE = bytes(range(0x21, 0x7F)) + _OPAQUE
classify(b"!#$%&'*+-.^_`|~" + _DIGITS + _LOWER, IN_NAME)
classify(b"!#$%&'*+-.^_`|~" + _DIGITS + _LOWER + _LOWER.upper(), IN_TOKEN)
classify(_LOWER + _LOWER.upper() + _DIGITS + b"+.-", IN_SCHEME)
classify(_LOWER + _LOWER.upper(), IS_LETTER)
classify(bytes(octet for octet in _VISIBLE if octet not in b"/?@"), IN_AUTHORITY)
classify(_VISIBLE, IN_PATH)
classify(_DIGITS, IN_NUMBER)


cdef struct Name:
    PyObject *text
    const char *at
    uint8_t size
    uint8_t kind
    bint never_indexed


cdef Name KNOWN[KNOWN_SIZE]
"""An open hash table of names; it is made once and never changes."""


cdef inline size_t slot_in_known(const char *at, size_t size) noexcept nogil:
    cdef const uint8_t *name = <const uint8_t *>at
    return (size * 31 + name[0] * 5 + name[size // 2] * 11 + name[size - 1] * 37) % KNOWN_SIZE


cdef inline Name *find_name(const char *at, size_t size) noexcept nogil:
    cdef size_t slot
    if 0 < size < 40:
        slot = slot_in_known(at, size)
        while KNOWN[slot].text != NULL:
            if KNOWN[slot].size == size and memcmp(KNOWN[slot].at, at, size) == 0:
                return &KNOWN[slot]
            slot = (slot + 1) % KNOWN_SIZE
    return NULL


cdef int know(bytes name, uint8_t kind) except -1:
    cdef size_t slot = slot_in_known(name, len(name))
    while KNOWN[slot].text != NULL:
        if <bytes>KNOWN[slot].text == name:
            return 0
        slot = (slot + 1) % KNOWN_SIZE
    Py_INCREF(name)
    KNOWN[slot].text = <PyObject *>name
    KNOWN[slot].at = name
    KNOWN[slot].size = len(name)
    KNOWN[slot].kind = kind
    KNOWN[slot].never_indexed = name in NEVER_INDEXED
    return 0


memset(KNOWN, 0, sizeof(KNOWN))
for _kind, _name in enumerate([b":method", b":scheme", b":authority", b":path", b":protocol", b":status"]):
    know(_name, _kind)
know(b"content-length", CONTENT_LENGTH)
know(b"host", HOST)
know(b"te", TE)
for _name in CONNECTION_SPECIFIC_FIELDS:
    know(_name, CONNECTION_SPECIFIC)
for _name in NEVER_INDEXED:
    know(_name, REGULAR)
for _name in (
    b"accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials "
    b"access-control-allow-headers access-control-allow-methods access-control-allow-origin "
    b"access-control-expose-headers access-control-max-age access-control-request-headers "
    b"access-control-request-method age allow alt-svc cache-control cf-ray content-disposition content-encoding "
    b"content-language content-location content-range content-security-policy content-type dnt expect expires "
    b"forwarded from grpc-accept-encoding grpc-encoding grpc-message grpc-status grpc-timeout h2s-error "
    b"h2s-error-detail h2s-service if-match if-modified-since if-none-match if-range if-unmodified-since "
    b"last-event-id link max-forwards origin permissions-policy pragma priority proxy-authenticate "
    b"proxy-authorization range referrer-policy refresh retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
    b"sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-extensions sec-websocket-protocol "
    b"sec-websocket-version server server-timing strict-transport-security tracestate trailer "
    b"upgrade-insecure-requests user-agent vary via www-authenticate x-content-type-options x-forwarded-for "
    b"x-forwarded-host x-forwarded-proto x-frame-options x-powered-by x-real-ip x-requested-with x-xss-protection"
).split():
    know(_name, REGULAR)


cdef struct Section:
    size_t size  # as RFC 9113 §6.5.2 counts
    bint bad  # malformed as any section
    bint regular  # a regular field has come
    uint8_t pseudo  # bits of the pseudo-fields there are
    PyObject *values[6]  # theirs, borrowed from the list of fields
    PyObject *host
    bint two_hosts
    bint has_length
    uint64_t length


cdef inline tuple read_field(nghttp2_nv *nv, Section *section):
    """Make a field of what was decompressed, and keep its rules."""
    cdef Name *known = find_name(<const char *>nv.name, nv.namelen)
    cdef bytes name
    cdef bytes value = PyBytes_FromStringAndSize(<const char *>nv.value, nv.valuelen)
    cdef uint8_t kind
    if known != NULL:
        name = <bytes>known.text
        kind = known.kind
    else:
        name = PyBytes_FromStringAndSize(<const char *>nv.name, nv.namelen)
        kind = UNKNOWN
    if kind < REGULAR:
        if section.regular or section.pseudo & (1 << kind):
            section.bad = True
        section.pseudo |= 1 << kind
        section.values[kind] = <PyObject *>value
    else:
        section.regular = True
        if kind == UNKNOWN and not is_made_of(name, IN_NAME):
            section.bad = True
        if not is_value(value):
            section.bad = True
        if kind > UNKNOWN:
            check_special(kind, value, section)
    return (name, value)


cdef inline bint is_made_of(bytes text, uint8_t octets):
    cdef size_t size = PyBytes_GET_SIZE(text)
    return size > 0 and octets_of_class(<const uint8_t *>PyBytes_AS_STRING(text), size, CLASSES, octets)


cdef inline bint is_value(bytes value):
    cdef size_t size = PyBytes_GET_SIZE(value)
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(value)
    if size == 0:
        return True
    if at[0] == 0x20 or at[0] == 0x09 or at[size - 1] == 0x20 or at[size - 1] == 0x09:
        return False
    return octets_of_value(at, size)


cdef int check_special(uint8_t kind, bytes value, Section *section) except -1:
    """Check a field that has rules of its own."""
    cdef uint64_t length
    cdef uint8_t digit
    if kind == CONNECTION_SPECIFIC or (kind == TE and value != b"trailers"):
        section.bad = True
    elif kind == HOST:
        section.two_hosts |= section.host != NULL
        section.host = <PyObject *>value
    elif kind == CONTENT_LENGTH:
        if len(value) > 18 or not is_made_of(value, IN_NUMBER):
            section.bad = True
            return 0
        length = 0
        for digit in value:
            length = length * 10 + (digit - 0x30)
        if section.has_length and section.length != length:
            section.bad = True
        section.has_length = True
        section.length = length
    return 0


cdef inline bint has(Section *section, uint8_t kind) noexcept:
    return section.pseudo & (1 << kind) != 0


cdef bint is_request(Section *section) except -1:
    """Say whether the section is a request's head (RFC 9113 §8.3.1, §8.5; RFC 8441 §4)."""
    cdef bytes method, path
    cdef bint connect
    if section.bad or has(section, STATUS) or not has(section, METHOD):
        return False
    method = <bytes>section.values[METHOD]
    if not is_made_of(method, IN_TOKEN) or not is_target_authority(section):
        return False
    connect = method == b"CONNECT"
    if connect and not has(section, PROTOCOL):
        if has(section, SCHEME) or has(section, PATH):
            return False
        return has(section, AUTHORITY) and PyBytes_GET_SIZE(<bytes>section.values[AUTHORITY]) > 0
    if has(section, PROTOCOL) and not (connect and is_made_of(<bytes>section.values[PROTOCOL], IN_TOKEN)):
        return False
    if not has(section, SCHEME) or not has(section, PATH) or not is_scheme(<bytes>section.values[SCHEME]):
        return False
    path = <bytes>section.values[PATH]
    if not is_made_of(path, IN_PATH):
        return False
    return PyBytes_AS_STRING(path)[0] == b"/" or (path == b"*" and method == b"OPTIONS")


cdef inline bint is_scheme(bytes scheme):
    return is_made_of(scheme, IN_SCHEME) and CLASSES[<uint8_t>PyBytes_AS_STRING(scheme)[0]] & IS_LETTER


cdef bint is_target_authority(Section *section) except -1:
    """Say whether :authority may stand, and host says the same; in a response host means nothing."""
    cdef bytes authority
    if section.two_hosts:
        return False
    if not has(section, AUTHORITY):
        return True
    authority = <bytes>section.values[AUTHORITY]
    if authority and not is_made_of(authority, IN_AUTHORITY):
        return False
    if section.host == NULL or <bytes>section.host == authority:
        return True
    return (<bytes>section.host).lower() == authority.lower()


cdef bint is_response(Section *section) except -1:
    """Say whether the section is a response's head, final or 1xx (RFC 9113 §8.3.2, §8.6)."""
    cdef bytes status
    if section.bad or section.pseudo != 1 << STATUS:
        return False
    status = <bytes>section.values[STATUS]
    if len(status) != 3 or not is_made_of(status, IN_NUMBER):
        return False
    return status[0] != b"0" and status != b"101"


cdef inline bint is_trailer(Section *section) noexcept:
    """Say whether it is a trailer section (RFC 9113 §8.1)."""
    return not section.bad and section.pseudo == 0
