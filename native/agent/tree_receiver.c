// SPDX-License-Identifier: Apache-2.0
// A tree that the host sends: its records are acted on as they come. tree_maker.c does what they say.

#include "agent.h"
#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OWNERS = 1 };

static void close_descriptor(int *descriptor) {
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

void tree_receiver_free(struct tree_receiver *receiver) {
    if (receiver == NULL) {
        return;
    }
    close_descriptor(&receiver->root);
    close_descriptor(&receiver->parent);
    close_descriptor(&receiver->file);
    while (receiver->folders != NULL) {
        struct folder *next = receiver->folders->next;
        free(receiver->folders);
        receiver->folders = next;
    }
    free(receiver->root_path);
    free(receiver);
}

/// Takes apart the record that is in `head`. Returns how many bytes it lacks, 0 when it is whole, or -1 for a wrong
/// one.
static ssize_t record_parse(struct tree_receiver *receiver) {
    const uint8_t *head = receiver->head;
    size_t have = receiver->head_length;
    if (have < RECORD_HEADER + 4) {
        return (ssize_t)(RECORD_HEADER + 4 - have);
    }
    size_t path_length = get32(head + RECORD_HEADER);
    if (path_length > LONGEST_PATH) {
        return -1;
    }
    size_t at = RECORD_HEADER + 4 + path_length;
    if (have < at + 4) {
        return (ssize_t)(at + 4 - have);
    }
    size_t target_length = get32(head + at);
    if (target_length > LONGEST_PATH) {
        return -1;
    }
    if (have < at + 4 + target_length) {
        return (ssize_t)(at + 4 + target_length - have);
    }
    memcpy(receiver->path, head + RECORD_HEADER + 4, path_length);
    receiver->path[path_length] = '\0';
    memcpy(receiver->target, head + at + 4, target_length);
    receiver->target[target_length] = '\0';
    receiver->entry = (struct entry){
        .type = head[0],
        .mode = get32(head + 1),
        .user = get32(head + 5),
        .group = get32(head + 9),
        .modified = {.tv_sec = (time_t)get64(head + 13), .tv_nsec = (long)get32(head + 21)},
        .size = get64(head + 25),
        .path = receiver->path,
        .target = receiver->target,
    };
    bool right = strlen(receiver->path) == path_length && strlen(receiver->target) == target_length &&
                 receiver->entry.size <= INT64_MAX && receiver->entry.modified.tv_nsec < 1000000000;
    return right ? 0 : -1;
}

/// Takes the extent that is in `head`.
static int take_extent(struct tree_receiver *receiver) {
    uint64_t offset = get64(receiver->head), length = get64(receiver->head + 8), size = receiver->entry.size;
    if (length == 0) {
        return tree_finish_file(receiver);
    }
    if (offset < receiver->extents_end || offset > size || length > size - offset) {
        return EPROTO;
    }
    receiver->position = offset;
    receiver->extent_left = length;
    receiver->extents_end = offset + length;
    return 0;
}

static int write_extent(struct tree_receiver *receiver, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t count = pwrite(receiver->file, bytes, length, (off_t)receiver->position);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? errno : EIO;
        }
        bytes += count;
        length -= (size_t)count;
        receiver->position += (uint64_t)count;
        receiver->extent_left -= (uint64_t)count;
    }
    return 0;
}

/// Adds bytes to `head`, as many as it lacks. Returns how many there were.
static size_t gather(struct tree_receiver *receiver, const uint8_t *bytes, size_t length, size_t lacking) {
    size_t count = length < lacking ? length : lacking;
    memcpy(receiver->head + receiver->head_length, bytes, count);
    receiver->head_length += count;
    return count;
}

/// Takes some of the bytes, at least one; *taken is how many. Returns 0 or an errno.
static int take_some(struct tree_receiver *receiver, const uint8_t *bytes, size_t length, size_t *taken) {
    if (receiver->extent_left > 0) {
        *taken = length < receiver->extent_left ? length : (size_t)receiver->extent_left;
        return write_extent(receiver, bytes, *taken);
    }
    if (receiver->file >= 0) {
        *taken = gather(receiver, bytes, length, EXTENT_HEADER - receiver->head_length);
        if (receiver->head_length < EXTENT_HEADER) {
            return 0;
        }
        receiver->head_length = 0;
        return take_extent(receiver);
    }
    *taken = gather(receiver, bytes, length, (size_t)record_parse(receiver));
    ssize_t lacking = record_parse(receiver);
    if (lacking > 0) {
        return 0;
    }
    receiver->head_length = 0;
    return lacking < 0 ? EPROTO : tree_make_entry(receiver);
}

void tree_receive_open(struct agent *agent, const struct frame *frame) {
    char *path = frame->length >= 4 ? frame_path(frame, 4) : NULL;
    struct tree_receiver *receiver = path ? calloc(1, sizeof *receiver) : NULL;
    if (receiver == NULL) {
        int error = path ? ENOMEM : frame->length >= 4 ? errno : EPROTO;
        free(path);
        send_failed(agent, frame->stream, error, "path");
        return;
    }
    receiver->root = receiver->parent = receiver->file = -1;
    receiver->root_path = path;
    receiver->sets_owners = get32(frame->payload) & OWNERS;
    struct stream *stream = stream_make(agent, frame->stream, TREE_RECEIVER);
    if (stream == NULL) {
        tree_receiver_free(receiver);
        return;
    }
    stream->receiver = receiver;
    inward_open(&stream->in, NULL);
    frame_send(&agent->port, STARTED, 0, stream->number, NULL, 0);
}

void tree_receive_take(struct agent *agent, struct stream *stream, const uint8_t *bytes, size_t length) {
    struct tree_receiver *receiver = stream->receiver;
    if (length > stream->in.allowance) {
        send_failed(agent, stream->number, EPROTO, "credit");
        stream_end(agent, stream);
        return;
    }
    stream->in.allowance -= (uint32_t)length;
    stream->in.consumed += (uint32_t)length;
    follow_root(agent);
    while (length > 0) {
        size_t taken = 0;
        int error = take_some(receiver, bytes, length, &taken);
        if (error != 0) {
            send_done(agent, stream->number, error, receiver->path);
            stream_end(agent, stream);
            return;
        }
        bytes += taken;
        length -= taken;
    }
    inward_credit(agent, stream);
}

void tree_receive_end(struct agent *agent, struct stream *stream) {
    struct tree_receiver *receiver = stream->receiver;
    const char *path = NULL;
    bool whole = receiver->head_length == 0 && receiver->file < 0;
    int error = whole ? tree_finish_folders(receiver, &path) : EPROTO;
    send_done(agent, stream->number, error, path);
    stream_end(agent, stream);
}
