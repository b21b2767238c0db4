// SPDX-License-Identifier: Apache-2.0
// Files that are read or written.

#include "agent.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, CREATE = 4, TRUNCATE = 8, EXCLUSIVE = 16, APPEND = 32 };

static int open_flags(uint32_t flags) {
    int result = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    result |= flags & WRITE ? O_WRONLY : O_RDONLY;
    if (flags & WRITE) {
        result |= flags & CREATE ? O_CREAT : 0;
        result |= flags & EXCLUSIVE ? O_EXCL : 0;
        result |= flags & APPEND ? O_APPEND : 0;
    }
    return result;
}

/// Opens a path. Returns the descriptor and what it is of, or -1 with errno.
static int open_path(const char *path, uint32_t flags, mode_t mode, uint64_t offset, struct stat *status) {
    if (!(flags & READ) == !(flags & WRITE)) {
        errno = EINVAL;
        return -1;
    }
    int descriptor = open(path, open_flags(flags), mode & 07777);
    if (descriptor < 0) {
        return -1;
    }
    if (fstat(descriptor, status) == 0) {
        if (flags & READ && S_ISDIR(status->st_mode)) {
            errno = EISDIR;
        } else if ((!(flags & WRITE && flags & TRUNCATE && S_ISREG(status->st_mode)) ||
                    ftruncate(descriptor, 0) == 0) &&
                   (offset == 0 || lseek(descriptor, (off_t)offset, SEEK_SET) >= 0)) {
            return descriptor;
        }
    }
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

static void send_started(struct agent *agent, uint32_t number, bool reading, const struct stat *status) {
    uint8_t payload[24];
    put64(payload, (uint64_t)status->st_size);
    put32(payload + 8, status->st_mode);
    put64(payload + 12, (uint64_t)status->st_mtim.tv_sec);
    put32(payload + 20, (uint32_t)status->st_mtim.tv_nsec);
    frame_send(&agent->port, STARTED, 0, number, payload, reading ? sizeof payload : 0);
}

void file_open(struct agent *agent, const struct frame *frame) {
    char *path = frame->length >= 16 ? frame_path(frame, 16) : NULL;
    if (path == NULL) {
        send_failed(agent, frame->stream, frame->length >= 16 ? errno : EPROTO, "path");
        return;
    }
    uint32_t flags = get32(frame->payload);
    struct stat status;
    follow_root(agent);
    int descriptor = open_path(path, flags, get32(frame->payload + 4), get64(frame->payload + 8), &status);
    int error = errno;
    free(path);
    if (descriptor < 0) {
        send_failed(agent, frame->stream, error, "open");
        return;
    }
    bool reading = flags & READ;
    struct stream *stream = stream_make(agent, frame->stream, reading ? READER : WRITER);
    if (stream == NULL) {
        close(descriptor);
        return;
    }
    if (!end_open(agent, stream, &stream->ends[0], descriptor)) {
        send_failed(agent, frame->stream, errno, "open");
        stream_end(agent, stream);
        return;
    }
    if (reading) {
        outward_open(&stream->out[0], &stream->ends[0]);
    } else {
        inward_open(&stream->in, &stream->ends[0]);
    }
    send_started(agent, frame->stream, reading, &status);
    stream_wake(agent, stream);
}

static bool read_step(struct agent *agent, struct stream *stream) {
    enum moved moved = outward_move(agent, stream, 1);
    if (moved == MOVED_END) {
        int error = errno;
        frame_send(&agent->port, END, 1, stream->number, NULL, 0);
        send_done(agent, stream->number, error, NULL);
        stream_end(agent, stream);
    }
    return moved == MOVED_BYTES;
}

static bool write_step(struct agent *agent, struct stream *stream) {
    int error = inward_write(&stream->in);
    bool finished = inward_finished(&stream->in);
    inward_credit(agent, stream);
    if (error == 0 && !finished) {
        return false;
    }
    // Some file systems say only now that there is no room.
    int closed = end_close(agent, &stream->ends[0]);
    error = error ? error : closed;
    send_done(agent, stream->number, error, NULL);
    stream_end(agent, stream);
    return false;
}

bool file_step(struct agent *agent, struct stream *stream) {
    return stream->kind == READER ? read_step(agent, stream) : write_step(agent, stream);
}
