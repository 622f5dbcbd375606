# What is used of libnghttp2: header compression (RFC 7541).

cdef extern from "nghttp2/nghttp2.h" nogil:
    ctypedef struct nghttp2_nv:
        uint8_t *name
        uint8_t *value
        size_t namelen
        size_t valuelen
        uint8_t flags

    ctypedef struct nghttp2_hd_deflater:
        pass

    ctypedef struct nghttp2_hd_inflater:
        pass

    enum:
        NGHTTP2_NV_FLAG_NONE
        NGHTTP2_NV_FLAG_NO_INDEX
        NGHTTP2_HD_INFLATE_FINAL
        NGHTTP2_HD_INFLATE_EMIT

    int nghttp2_hd_deflate_new(nghttp2_hd_deflater **deflater, size_t max_table_size)
    void nghttp2_hd_deflate_del(nghttp2_hd_deflater *deflater)
    int nghttp2_hd_deflate_change_table_size(nghttp2_hd_deflater *deflater, size_t max_table_size)
    ssize_t nghttp2_hd_deflate_hd(
        nghttp2_hd_deflater *deflater, uint8_t *buf, size_t buflen, const nghttp2_nv *nva, size_t nvlen
    )
    size_t nghttp2_hd_deflate_bound(nghttp2_hd_deflater *deflater, const nghttp2_nv *nva, size_t nvlen)

    int nghttp2_hd_inflate_new(nghttp2_hd_inflater **inflater)
    void nghttp2_hd_inflate_del(nghttp2_hd_inflater *inflater)
    ssize_t nghttp2_hd_inflate_hd2(
        nghttp2_hd_inflater *inflater, nghttp2_nv *nv, int *flags, const uint8_t *data, size_t size, int final
    )
    int nghttp2_hd_inflate_end_headers(nghttp2_hd_inflater *inflater)
