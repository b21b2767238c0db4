// SPDX-License-Identifier: Apache-2.0
#include "HostDecompression.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

// Declared here as their stable interfaces have them.
typedef int lz4_decompress_safe(const char *source, char *target, int source_length, int target_capacity);
typedef size_t zstd_decompress(void *target, size_t target_capacity, const void *source, size_t source_length);
typedef int lzma_stream_buffer_decode(uint64_t *memory_limit, uint32_t flags, const void *allocator,
                                      const uint8_t *source, size_t *source_position, size_t source_length,
                                      uint8_t *target, size_t *target_position, size_t target_length);

typedef struct {
    const unsigned char *next_in;
    unsigned avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *message;
    void *state;
    void *(*allocate)(void *, unsigned, unsigned);
    void (*release)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
} zlib_stream;
typedef int zlib_inflate_init(zlib_stream *stream, int window_bits, const char *version, int stream_size);
typedef int zlib_inflate(zlib_stream *stream, int flush);
typedef int zlib_inflate_end(zlib_stream *stream);
enum { ZLIB_FINISH = 4, ZLIB_STREAM_END = 1, ZLIB_GZIP_WITH_LARGEST_WINDOW = 16 + 15 };

// What a kernel is compressed with takes less.
static const uint64_t xz_memory_limit = 256 << 20;

/// NULL where the host has no such library. It stays loaded.
static void *find(const char *library, const char *name) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    return handle != NULL ? dlsym(handle, name) : NULL;
}

static uint32_t little32(const unsigned char *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static const unsigned char lz4_magic[] = {0x02, 0x21, 0x4c, 0x18};
static const unsigned char zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
static const unsigned char xz_magic[HOST_DECOMPRESSION_MAGIC_LENGTH] = {0xfd, '7', 'z', 'X', 'Z', 0};
static const unsigned char gzip_magic[] = {0x1f, 0x8b, 0x08};

/// Blocks, each after its length; the next file's magic number may stand between them.
static bool expand_lz4(const void *source, size_t length, void *target, size_t output_length) {
    const unsigned char *bytes = source;
    char *output = target;
    enum { LARGEST_BLOCK = 8 << 20 };
    lz4_decompress_safe *decompress = (lz4_decompress_safe *)find("liblz4.so.1", "LZ4_decompress_safe");
    size_t position = 0, written = 0;
    while (decompress != NULL && length - position >= 4) {
        uint32_t block = little32(bytes + position);
        position += 4;
        if (memcmp(bytes + position - 4, lz4_magic, sizeof lz4_magic) == 0)
            continue;
        if (block > length - position || block > INT_MAX)
            return false;
        size_t room = output_length - written;
        int count = decompress((const char *)bytes + position, output + written, (int)block,
                               room < LARGEST_BLOCK ? (int)room : LARGEST_BLOCK);
        if (count < 0)
            return false;
        position += block;
        written += (size_t)count;
    }
    return position == length && written == output_length;
}

static bool expand_zstd(const void *bytes, size_t length, void *output, size_t output_length) {
    zstd_decompress *decompress = (zstd_decompress *)find("libzstd.so.1", "ZSTD_decompress");
    // Its errors are numbers that no length is.
    return decompress != NULL && decompress(output, output_length, bytes, length) == output_length;
}

static bool expand_xz(const void *bytes, size_t length, void *output, size_t output_length) {
    lzma_stream_buffer_decode *decode = (lzma_stream_buffer_decode *)find("liblzma.so.5", "lzma_stream_buffer_decode");
    uint64_t limit = xz_memory_limit;
    size_t read = 0, written = 0;
    return decode != NULL && decode(&limit, 0, NULL, bytes, &read, length, output, &written, output_length) == 0 &&
           written == output_length;
}

static bool expand_gzip(const void *bytes, size_t length, void *output, size_t output_length) {
    static const char library[] = "libz.so.1";
    zlib_inflate_init *begin = (zlib_inflate_init *)find(library, "inflateInit2_");
    zlib_inflate *inflate = (zlib_inflate *)find(library, "inflate");
    zlib_inflate_end *end = (zlib_inflate_end *)find(library, "inflateEnd");
    if (begin == NULL || inflate == NULL || end == NULL || length > UINT_MAX || output_length > UINT_MAX)
        return false;
    zlib_stream stream = {
        .next_in = bytes, .avail_in = (unsigned)length, .next_out = output, .avail_out = (unsigned)output_length};
    if (begin(&stream, ZLIB_GZIP_WITH_LARGEST_WINDOW, "1", sizeof stream) != 0)
        return false;
    bool whole = inflate(&stream, ZLIB_FINISH) == ZLIB_STREAM_END && stream.avail_out == 0;
    end(&stream);
    return whole;
}

typedef bool expander(const void *bytes, size_t length, void *output, size_t output_length);

static expander *expander_of(const void *bytes, size_t length) {
    if (length < HOST_DECOMPRESSION_MAGIC_LENGTH)
        return NULL;
    if (memcmp(bytes, lz4_magic, sizeof lz4_magic) == 0)
        return expand_lz4;
    if (memcmp(bytes, zstd_magic, sizeof zstd_magic) == 0)
        return expand_zstd;
    if (memcmp(bytes, xz_magic, sizeof xz_magic) == 0)
        return expand_xz;
    if (memcmp(bytes, gzip_magic, sizeof gzip_magic) == 0)
        return expand_gzip;
    return NULL;
}

bool host_can_decompress(const void *bytes, size_t length) {
    return expander_of(bytes, length) != NULL;
}

bool host_decompress(const void *bytes, size_t length, void *output, size_t output_length) {
    expander *expand = expander_of(bytes, length);
    return expand != NULL && expand(bytes, length, output, output_length);
}
