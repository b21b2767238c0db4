// SPDX-License-Identifier: Apache-2.0
// A tree on its way to the host: its records, made as the channel takes them.

#include "agent.h"
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLLOW = 1, MOST_DEPTH = 512, MOST_LINKS = 1 << 20, LINK_BUCKETS = 4096 };

/// A file that has further names: those that come later are links to the first one.
struct seen {
    struct seen *next;
    dev_t device;
    ino_t number;
    char path[];
};

/// A folder that is being read.
struct level {
    DIR *folder;
    size_t path_length; // of its own path
    dev_t device;
    ino_t number;
};

struct tree_sender {
    bool follows;
    char *root;
    bool began, finished;
    struct level levels[MOST_DEPTH];
    int depth;
    char path[LONGEST_PATH + 1]; // below the root
    size_t path_length;
    // What of a record's own bytes was not yet sent.
    uint8_t head[LONGEST_RECORD];
    size_t head_start, head_end;
    // The file of which the bytes are sent.
    int file;
    uint64_t size, position, extent_left;
    bool whole; // it has no holes
    int file_error;
    struct seen *seen[LINK_BUCKETS];
    size_t seen_count;
};

void tree_sender_free(struct tree_sender *sender) {
    if (sender == NULL) {
        return;
    }
    while (sender->depth > 0) {
        closedir(sender->levels[--sender->depth].folder);
    }
    if (sender->file >= 0) {
        close(sender->file);
    }
    for (int i = 0; i < LINK_BUCKETS; i++) {
        while (sender->seen[i] != NULL) {
            struct seen *next = sender->seen[i]->next;
            free(sender->seen[i]);
            sender->seen[i] = next;
        }
    }
    free(sender->root);
    free(sender);
}

/// The path by which a file was sent before, or NULL; this is then the one to be remembered.
static const char *seen_before(struct tree_sender *sender, const struct stat *status) {
    struct seen **bucket = &sender->seen[(status->st_ino ^ status->st_dev) % LINK_BUCKETS];
    for (struct seen *each = *bucket; each != NULL; each = each->next) {
        if (each->number == status->st_ino && each->device == status->st_dev) {
            return each->path;
        }
    }
    struct seen *first = sender->seen_count < MOST_LINKS ? malloc(sizeof *first + sender->path_length + 1) : NULL;
    if (first != NULL) {
        // One that cannot be remembered is sent again as a file of its own.
        *first = (struct seen){.next = *bucket, .device = status->st_dev, .number = status->st_ino};
        memcpy(first->path, sender->path, sender->path_length + 1);
        *bucket = first;
        sender->seen_count++;
    }
    return NULL;
}

static void put_text(struct tree_sender *sender, const char *text, size_t length) {
    put32(sender->head + sender->head_end, (uint32_t)length);
    memcpy(sender->head + sender->head_end + 4, text, length);
    sender->head_end += 4 + length;
}

/// Begins a record of the current path.
static void put_record(struct tree_sender *sender, char type, const struct stat *status, uint64_t size,
                       const char *target, size_t target_length) {
    uint8_t *head = sender->head;
    head[0] = (uint8_t)type;
    put32(head + 1, status->st_mode & 07777);
    put32(head + 5, status->st_uid);
    put32(head + 9, status->st_gid);
    put64(head + 13, (uint64_t)status->st_mtim.tv_sec);
    put32(head + 21, (uint32_t)status->st_mtim.tv_nsec);
    put64(head + 25, size);
    sender->head_start = 0;
    sender->head_end = RECORD_HEADER;
    put_text(sender, sender->path, sender->path_length);
    put_text(sender, target, target_length);
}

static void put_error(struct tree_sender *sender, int error) {
    struct stat nothing = {0};
    put_record(sender, 'e', &nothing, 0, "", 0);
    put32(sender->head + 1, (uint32_t)error);
}

static void put_extent(struct tree_sender *sender, uint64_t offset, uint64_t length) {
    sender->head_start = 0;
    sender->head_end = EXTENT_HEADER;
    put64(sender->head, offset);
    put64(sender->head + 8, length);
    sender->extent_left = length;
}

/// Goes into a folder, of which the record is sent already.
static int enter(struct tree_sender *sender, int descriptor, const struct stat *status) {
    for (int i = 0; i < sender->depth; i++) {
        if (sender->levels[i].number == status->st_ino && sender->levels[i].device == status->st_dev) {
            close(descriptor);
            return ELOOP;
        }
    }
    DIR *folder = sender->depth < MOST_DEPTH ? fdopendir(descriptor) : NULL;
    if (folder == NULL) {
        int error = sender->depth < MOST_DEPTH ? errno : ENAMETOOLONG;
        close(descriptor);
        return error;
    }
    sender->levels[sender->depth++] = (struct level){folder, sender->path_length, status->st_dev, status->st_ino};
    return 0;
}

static int record_file(struct tree_sender *sender, int descriptor, const struct stat *status) {
    const char *first = status->st_nlink > 1 && sender->depth > 0 ? seen_before(sender, status) : NULL;
    if (first != NULL) {
        close(descriptor);
        put_record(sender, 'h', status, 0, first, strlen(first));
        return 0;
    }
    sender->file = descriptor;
    sender->size = (uint64_t)status->st_size;
    sender->position = sender->extent_left = 0;
    sender->file_error = 0;
    // As many blocks as bytes: there is no need to ask for holes.
    sender->whole = (uint64_t)status->st_blocks * 512 >= sender->size;
    put_record(sender, 'f', status, sender->size, "", 0);
    if (sender->size == 0) {
        close(sender->file);
        sender->file = -1;
    }
    return 0;
}

static int record_link(struct tree_sender *sender, int folder, const char *name, const struct stat *status) {
    char target[LONGEST_PATH + 1];
    ssize_t length = readlinkat(folder, name, target, sizeof target);
    if (length < 0 || (size_t)length > LONGEST_PATH) {
        return length < 0 ? errno : ENAMETOOLONG;
    }
    put_record(sender, 'l', status, 0, target, (size_t)length);
    return 0;
}

/// Opens what is a regular file or a folder. What it is now is said by its descriptor, not by its name.
static int record_opened(struct tree_sender *sender, int folder, const char *name, struct stat *status) {
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (sender->follows || !sender->depth ? 0 : O_NOFOLLOW);
    int descriptor = openat(folder, name, flags);
    if (descriptor < 0) {
        return errno;
    }
    if (fstat(descriptor, status) != 0) {
        int error = errno;
        close(descriptor);
        return error;
    }
    if (S_ISREG(status->st_mode)) {
        return record_file(sender, descriptor, status);
    }
    if (!S_ISDIR(status->st_mode)) {
        close(descriptor);
        return 0;
    }
    int error = enter(sender, descriptor, status);
    if (error == 0) {
        put_record(sender, 'd', status, 0, "", 0);
    }
    return error;
}

/// Makes the record of one name. Returns 0 or an errno; what is left out has no record.
static int record(struct tree_sender *sender, int folder, const char *name) {
    struct stat status;
    // The root is followed, as a path that a user names is.
    int flags = sender->follows || sender->depth == 0 ? 0 : AT_SYMLINK_NOFOLLOW;
    if (fstatat(folder, name, &status, flags) != 0) {
        return errno;
    }
    switch (status.st_mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
        return record_opened(sender, folder, name, &status);
    case S_IFLNK:
        return record_link(sender, folder, name, &status);
    case S_IFIFO:
        put_record(sender, 'p', &status, 0, "", 0);
        return 0;
    default:
        return 0;
    }
}

/// Makes the record of the next name; of none where the tree is at its end.
static void next_record(struct tree_sender *sender) {
    while (sender->depth > 0 && sender->head_start == sender->head_end) {
        struct level *level = &sender->levels[sender->depth - 1];
        sender->path_length = level->path_length;
        sender->path[sender->path_length] = '\0';
        errno = 0;
        struct dirent *entry = readdir(level->folder);
        if (entry == NULL) {
            if (errno != 0) {
                put_error(sender, errno);
            }
            closedir(level->folder);
            sender->depth--;
            continue;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        size_t length = strlen(entry->d_name), slash = sender->path_length > 0;
        if (sender->path_length + slash + length > LONGEST_PATH) {
            put_error(sender, ENAMETOOLONG);
            continue;
        }
        memcpy(sender->path + sender->path_length, "/", slash);
        memcpy(sender->path + sender->path_length + slash, entry->d_name, length + 1);
        sender->path_length += slash + length;
        int error = record(sender, dirfd(level->folder), entry->d_name);
        // What went away in the meantime was never there.
        if (error != 0 && error != ENOENT) {
            put_error(sender, error);
        }
    }
    sender->finished = sender->depth == 0 && sender->head_start == sender->head_end;
}

/// Finds the next extent of the file; one of length 0 ends it.
static void next_extent(struct tree_sender *sender) {
    uint64_t begin = sender->position, end = sender->size;
    if (begin < end && !sender->whole && sender->file_error == 0) {
        off_t data = lseek(sender->file, (off_t)begin, SEEK_DATA);
        if (data >= 0) {
            begin = (uint64_t)data < end ? (uint64_t)data : end;
            off_t hole = lseek(sender->file, (off_t)begin, SEEK_HOLE);
            end = hole > (off_t)begin && (uint64_t)hole < end ? (uint64_t)hole : end;
        } else if (errno == ENXIO) {
            begin = end;
        } else {
            // A file system that does not know of holes.
            sender->whole = true;
        }
    }
    if (begin < end && sender->file_error == 0) {
        sender->position = begin;
        put_extent(sender, begin, end - begin);
        return;
    }
    put_extent(sender, sender->size, 0);
    close(sender->file);
    sender->file = -1;
}

/// Reads bytes of the extent. A file that became shorter, or cannot be read, is filled up: its length is announced.
static size_t extent_bytes(struct tree_sender *sender, uint8_t *place, size_t most) {
    size_t wanted = sender->extent_left < most ? (size_t)sender->extent_left : most;
    ssize_t count = 0;
    if (sender->file_error == 0) {
        count = pread(sender->file, place, wanted, (off_t)sender->position);
        sender->file_error = count < 0 ? errno : count == 0 ? ESTALE : 0;
    }
    if (count <= 0) {
        memset(place, 0, wanted);
        count = (ssize_t)wanted;
    }
    sender->position += (uint64_t)count;
    sender->extent_left -= (uint64_t)count;
    return (size_t)count;
}

/// The next bytes of the tree; 0 at its end.
static size_t tree_bytes(struct tree_sender *sender, uint8_t *place, size_t most) {
    size_t length = 0;
    while (length < most && !sender->finished) {
        size_t left = sender->head_end - sender->head_start;
        if (left > 0) {
            size_t count = left < most - length ? left : most - length;
            memcpy(place + length, sender->head + sender->head_start, count);
            sender->head_start += count;
            length += count;
        } else if (sender->extent_left > 0) {
            length += extent_bytes(sender, place + length, most - length);
        } else if (sender->file >= 0) {
            next_extent(sender);
        } else if (sender->file_error != 0) {
            put_error(sender, sender->file_error);
            sender->file_error = 0;
        } else {
            next_record(sender);
        }
    }
    return length;
}

void tree_send_open(struct agent *agent, const struct frame *frame) {
    char *path = frame->length >= 4 ? frame_path(frame, 4) : NULL;
    struct tree_sender *sender = path ? calloc(1, sizeof *sender) : NULL;
    if (sender == NULL) {
        free(path);
        send_failed(agent, frame->stream, path ? ENOMEM : frame->length >= 4 ? errno : EPROTO, "path");
        return;
    }
    sender->file = -1;
    sender->root = path;
    sender->follows = get32(frame->payload) & FOLLOW;
    follow_root(agent);
    int error = record(sender, AT_FDCWD, path);
    if (error == 0 && sender->head_end == 0) {
        // A device, or a socket.
        error = EINVAL;
    }
    struct stream *stream = error == 0 ? stream_make(agent, frame->stream, TREE_SENDER) : NULL;
    if (stream == NULL) {
        if (error != 0) {
            send_failed(agent, frame->stream, error, "open");
        }
        tree_sender_free(sender);
        return;
    }
    stream->sender = sender;
    outward_open(&stream->out[0], NULL);
    frame_send(&agent->port, STARTED, 0, stream->number, NULL, 0);
    stream_wake(agent, stream);
}

bool tree_send_step(struct agent *agent, struct stream *stream) {
    struct outward *out = &stream->out[0];
    size_t room = port_room(&agent->port) - FRAME_EXTRA;
    size_t most = room < out->credit ? room : out->credit;
    if (most == 0) {
        return false;
    }
    size_t length = tree_bytes(stream->sender, port_payload(&agent->port), most);
    if (length > 0) {
        out->credit -= (uint32_t)length;
        frame_commit(&agent->port, DATA, 1, stream->number, length);
        return true;
    }
    frame_send(&agent->port, END, 1, stream->number, NULL, 0);
    send_done(agent, stream->number, 0, NULL);
    stream_end(agent, stream);
    return false;
}
