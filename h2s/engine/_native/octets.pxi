# Bytes on their way out, numbers in network order, and events made without calling their class.

cdef extern from *:
    """
    #include <string.h>
    #include "structmember.h"

    static inline uint32_t read_u16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
    static inline uint32_t read_u24(const uint8_t *at) { return (uint32_t)at[0] << 16 | at[1] << 8 | at[2]; }
    static inline uint32_t read_u32(const uint8_t *at) {
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    static inline void write_u32(uint8_t *at, uint32_t value) {
        at[0] = value >> 24; at[1] = value >> 16; at[2] = value >> 8; at[3] = value;
    }
    static inline void write_frame(uint8_t *at, uint32_t size, uint8_t kind, uint8_t flags, uint32_t stream_id) {
        at[0] = size >> 16; at[1] = size >> 8; at[2] = size; at[3] = kind; at[4] = flags;
        write_u32(at + 5, stream_id);
    }

    /* Where a class with __slots__ keeps an attribute; 0 and an exception if it does not keep it there. */
    static Py_ssize_t slot_of(PyObject *type, const char *name) {
        PyObject *descriptor = PyObject_GetAttrString(type, name);
        Py_ssize_t offset = 0;
        if (descriptor != NULL && Py_IS_TYPE(descriptor, &PyMemberDescr_Type)
                && ((PyMemberDescrObject *)descriptor)->d_member->type == T_OBJECT_EX)
            offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
        else if (descriptor != NULL)
            PyErr_Format(PyExc_ImportError, "%s of %R is not a slot", name, type);
        Py_XDECREF(descriptor);
        return offset;
    }
    static inline PyObject *bare(PyObject *type) { return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0); }
    static inline void fill(PyObject *event, Py_ssize_t slot, PyObject *value) {
        Py_INCREF(value);
        *(PyObject **)((char *)event + slot) = value;
    }
    """
    uint32_t read_u16(const uint8_t *at) nogil
    uint32_t read_u24(const uint8_t *at) nogil
    uint32_t read_u32(const uint8_t *at) nogil
    void write_u32(uint8_t *at, uint32_t value) nogil
    void write_frame(uint8_t *at, uint32_t size, uint8_t kind, uint8_t flags, uint32_t stream_id) nogil
    Py_ssize_t slot_of(object kind, const char *name) except 0
    object bare(object kind)
    void fill(object event, Py_ssize_t slot, object value)


cdef Py_ssize_t HEAD_STREAM_ID = slot_of(Head, b"stream_id")
cdef Py_ssize_t HEAD_FIELDS = slot_of(Head, b"fields")
cdef Py_ssize_t HEAD_END_STREAM = slot_of(Head, b"end_stream")
cdef Py_ssize_t DATA_STREAM_ID = slot_of(Data, b"stream_id")
cdef Py_ssize_t DATA_DATA = slot_of(Data, b"data")
cdef Py_ssize_t DATA_FLOW = slot_of(Data, b"flow")
cdef Py_ssize_t DATA_END_STREAM = slot_of(Data, b"end_stream")


cdef inline object make_head(object stream_id, list fields, bint end_stream):
    cdef object event = bare(Head)
    fill(event, HEAD_STREAM_ID, stream_id)
    fill(event, HEAD_FIELDS, fields)
    fill(event, HEAD_END_STREAM, True if end_stream else False)
    return event


cdef inline object make_data(object stream_id, object data, Py_ssize_t flow, bint end_stream):
    cdef object event = bare(Data)
    fill(event, DATA_STREAM_ID, stream_id)
    fill(event, DATA_DATA, data)
    fill(event, DATA_FLOW, flow)
    fill(event, DATA_END_STREAM, True if end_stream else False)
    return event


cdef struct Buffer:
    uint8_t *at
    size_t size
    size_t room


cdef inline int reserve(Buffer *buffer, size_t size) except -1:
    """Make room for `size` more bytes."""
    if buffer.size + size > buffer.room:
        enlarge(buffer, size)
    return 0


cdef int enlarge(Buffer *buffer, size_t size) except -1:
    cdef size_t room = max(buffer.room, <size_t>256)
    while room < buffer.size + size:
        room *= 2
    cdef void *at = PyMem_Realloc(buffer.at, room)
    if at == NULL:
        raise MemoryError
    buffer.at = <uint8_t *>at
    buffer.room = room
    return 0


cdef inline int append(Buffer *buffer, const void *data, size_t size) except -1:
    reserve(buffer, size + 1)  # never NULL, even when nothing is appended
    memcpy(buffer.at + buffer.size, data, size)
    buffer.size += size
    return 0


cdef inline void clear(Buffer *buffer, size_t keep) noexcept:
    """Empty the buffer, and give its memory back if that is more than `keep` bytes."""
    buffer.size = 0
    if buffer.room > keep:
        PyMem_Free(buffer.at)
        buffer.at = NULL
        buffer.room = 0
