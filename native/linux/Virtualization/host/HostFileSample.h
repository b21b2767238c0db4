// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_FILE_SAMPLE_H
#define HOST_FILE_SAMPLE_H

#include <stdint.h>

/// A number by which one file is told from another of the same length: of its beginning, its end and some pages at even
/// distances, so that a file of any length takes as long. A disk's label, the headers of its file systems and their
/// copies are among that. A change elsewhere is not seen. As long as a file is the same nobody reads it again.
///
/// Against mistakes, not against malice. 0 or errno.
int host_file_sample(int file, uint64_t *sample);

#endif
