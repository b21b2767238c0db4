// SPDX-License-Identifier: Apache-2.0
// The records of trees, as docs/guest-agent-protocol.md has them, and what makes a tree of them.

#ifndef APPLEVZ_AGENT_TREE_H
#define APPLEVZ_AGENT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum {
    LONGEST_PATH = 4095,
    RECORD_HEADER = 33, // up to the path's length
    EXTENT_HEADER = 16,
    LONGEST_RECORD = RECORD_HEADER + 4 + LONGEST_PATH + 4 + LONGEST_PATH,
    // Of the folders that a host sends, all that is remembered. A million of them take less.
    MOST_OF_FOLDERS = 256 << 20,
};

struct entry {
    uint8_t type;
    mode_t mode;
    uid_t user;
    gid_t group;
    struct timespec modified;
    uint64_t size;
    char *path, *target;
};

/// A folder that was made or found: what is set of it once all is in it.
struct folder {
    struct folder *next;
    mode_t mode;
    uid_t user;
    gid_t group;
    struct timespec modified;
    char path[];
};

struct tree_receiver {
    bool sets_owners;
    char *root_path;
    int root; // the folder; -1 until the first record says that the root is one
    // The folder of the last path: the next one often has it, too.
    int parent;
    char parent_path[LONGEST_PATH + 1];
    // A record's own bytes, or an extent's, until all are there.
    uint8_t head[LONGEST_RECORD];
    size_t head_length;
    // The file of which the bytes come.
    int file;
    struct entry entry;
    char path[LONGEST_PATH + 1], target[LONGEST_PATH + 1];
    uint64_t position, extent_left, extents_end;
    struct folder *folders; // the last one first
    size_t folders_size;    // the bytes that they take
};

// tree_maker.c

/// Does what the record in `entry` says. Returns 0 or an errno, as the others do.
int tree_make_entry(struct tree_receiver *receiver);
/// The bytes of the file are all there.
int tree_finish_file(struct tree_receiver *receiver);
/// Sets the modes and times of folders, the last one first: what is in one is set before it. *path is where it failed.
int tree_finish_folders(struct tree_receiver *receiver, const char **path);

#endif
